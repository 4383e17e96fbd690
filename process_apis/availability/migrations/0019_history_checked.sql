-- Second: all rows are read once, beside whoever reads and writes them.
alter table availability.movement validate constraint movement_span;
alter table availability.figure validate constraint figure_span;
