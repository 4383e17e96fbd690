-- A table that vacuum has cut to nothing is planned for as if it stayed empty, and whoever prepared a statement then
-- reads all of it for each of its rows when a burst comes. It keeps its pages instead.
alter table channel_publication.due set (vacuum_truncate = off);
alter table channel_publication.figure set (vacuum_truncate = off);
