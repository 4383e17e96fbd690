-- What a person put in place of an event's data, for the consumer that had set it aside. The log itself stays as it is.
alter table store.dead_letter add column edited jsonb;
