-- What can be told from the rest of the row is not written into it: a movement brought the name of its event three times.
-- Without a correlation of its own it belongs to "source:event_id".
alter table availability.movement alter column correlation_id drop not null;
comment on column availability.movement.correlation_id is 'what the source said it belongs to; null: source:event_id';
comment on column availability.movement.causation_id is 'written by older releases, and always event_id';
