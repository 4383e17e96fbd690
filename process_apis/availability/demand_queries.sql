-- name: cut_of
select epoch, sequence from availability.demand_cut where tenant = $1 and source = $2

-- name: move_cut
insert into availability.demand_cut (tenant, source, epoch, sequence) values ($1, $2, $3, $4)
on conflict (tenant, source) do update set epoch = excluded.epoch, sequence = excluded.sequence

-- name: demand_of_source
select source_reference, location, item, owner, amount, due, epoch, sequence
from availability.demand
where tenant = $1 and source = $2 and ($3::text[] is null or source_reference = any($3))

-- name: drop_demand
delete from availability.demand d
using unnest($3::text[], $4::text[], $5::text[], $6::text[]) as k (source_reference, location, item, owner)
where d.tenant = $1 and d.source = $2 and d.source_reference = k.source_reference and d.location = k.location
  and d.item = k.item and d.owner = k.owner

-- name: write_demand
insert into availability.demand (tenant, source, source_reference, location, item, owner, amount, due, epoch, sequence)
select $1, $2, u.*
from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::date[], $9::bigint[], $10::bigint[]) as u
on conflict (tenant, source, source_reference, location, item, owner) do update
set amount = excluded.amount, due = excluded.due, epoch = excluded.epoch, sequence = excluded.sequence

-- name: outdate_parked
-- What waits and was said before this feed: all of it for a full one ($3 null), else that of the same references.
delete from availability.parked
where tenant = $1 and source = $2 and kind = 'demand' and resolved_at is null
  and ($3::text[] is null or event_id = any($3))
  and (coalesce((payload -> 'order_key' ->> 'epoch')::bigint, -1),
       coalesce((payload -> 'order_key' ->> 'sequence')::bigint, -1), ($3 is not null)::int) <= ($4::bigint, $5::bigint, 0)

-- name: parked_demand
select id, source, payload from availability.parked
where tenant = $1 and ($2::text is null or source = $2) and kind = 'demand' and resolved_at is null and mendable
  and payload ? 'order_key'
  and ($3::text[] is null or (source, availability.waits_for(payload)) in (select * from unnest($3::text[], $4::text[])))
  and ($5::text[] is null or payload ? 'locations'
       or (source, availability.waits_at(payload)) in (select * from unnest($5::text[], $6::text[])))
order by id limit 5000
