-- A component that was promised for a line of kits: which kit, and how much of it goes into one.
alter table availability.claim add column kit text;
alter table availability.claim add column per_kit numeric;
alter table availability.claim add constraint claim_of_kit check ((kit is null) = (per_kit is null) and per_kit > 0);
