-- A change of what waits in line asks for a new place (`stale`) and leaves it the one it has: what changes faster than its
-- place can be reckoned was never published while it sold.
alter table channel_publication.due add column stale boolean not null default true;
update channel_publication.due set stale = tier is null;
drop index channel_publication.due_reckon;
create index due_reckon on channel_publication.due (tenant, channel, since) where stale;
