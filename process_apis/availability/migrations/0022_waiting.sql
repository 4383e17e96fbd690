-- The source's own code for the item that a parked report is about: when that item changes, what waits for it is found.
create function availability.waits_for(payload jsonb) returns text immutable parallel safe language sql as
$$ select coalesce(payload ->> 'source_item', payload -> 'figure' ->> 'source_item', payload -> 'line' ->> 'source_item') $$;

create index parked_waiting on availability.parked (tenant, source, availability.waits_for(payload))
where resolved_at is null;
