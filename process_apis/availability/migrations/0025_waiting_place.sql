-- Where something parked says it was, in its source's code: what waits for a location is let in when that changes.
create function availability.waits_at(payload jsonb) returns text immutable parallel safe language sql as
$$ select coalesce(payload ->> 'source_location', payload -> 'figure' ->> 'source_location',
                   payload -> 'line' ->> 'source_location') $$;

create index parked_waiting_place on availability.parked (tenant, source, availability.waits_at(payload))
where resolved_at is null;
