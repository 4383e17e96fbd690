-- name: troubles
-- What waits, by source and by what it waits for.
select source, kind, cause, detail, availability.waiting_key(source, kind, cause, detail) as key, count(*) as number,
       bool_and(mendable) as mendable, min(parked_at) as raised_at, max(parked_at) as last_at, min(event_id) as event_id,
       bool_or(payload ->> 'type' = any($3::text[])
               or (payload ->> 'type' = 'stock_adjusted' and payload ->> 'amount' like '-%')) as lowers
from availability.parked
where tenant = $1 and resolved_at is null
group by source, kind, cause, detail
order by min(parked_at)
limit $2;

-- name: members
-- Locked: what is let in meanwhile ends first.
select id, source, event_id, line, kind, cause, detail, mendable, payload::text as payload
from availability.parked
where tenant = $1 and resolved_at is null and availability.waiting_key(source, kind, cause, detail) = $2
order by id
limit $3
for update;

-- name: first_member
select payload::text as payload from availability.parked
where tenant = $1 and resolved_at is null and availability.waiting_key(source, kind, cause, detail) = $2
order by id
limit 1;

-- name: put_in_place
update availability.parked set payload = $3::jsonb, fingerprint = $4, mendable = true where tenant = $1 and id = $2;

-- name: last_version
select coalesce(max(aggregate_version), 0) from store.event where tenant = $1 and aggregate = $2 and type <> 'availability.changed';

-- name: close
update availability.parked set resolved_at = now(), resolution = $3
where tenant = $1 and resolved_at is null and availability.waiting_key(source, kind, cause, detail) = $2;
