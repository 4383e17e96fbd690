-- name: add_usage
-- Sorted by the caller, so that two processes lock the same rows in the same order.
insert into version.usage as known (day, tenant, client, api, version, partner, calls, last_seen_at)
select (now() at time zone 'utc')::date, tenant, client, api, version, partner, calls, now()
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    as counted (tenant, client, api, version, partner, calls)
on conflict (day, tenant, client, api, version) do update
set calls = known.calls + excluded.calls, partner = excluded.partner,
    last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at);

-- name: drop_old_usage
delete from version.usage where day < (now() at time zone 'utc')::date - $1::int;

-- name: read_usage
select api, version, partner, client, sum(calls)::bigint as calls, max(last_seen_at) as last_seen_at,
       jsonb_object_agg(day, calls order by day)::text as days
from version.usage
where tenant = $1 and day > (now() at time zone 'utc')::date - $2::int
group by api, version, partner, client
order by api, version, sum(calls) desc, client;
