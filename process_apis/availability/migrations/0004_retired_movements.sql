-- For questions about the past: what a revision replaced is few, and found by its key like what counts.
create index movement_retired on availability.movement (tenant, location, item) where not live;
