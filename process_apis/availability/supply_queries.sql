-- Supply and what is promised on it. Parameters: $1 is the tenant unless said otherwise; arrays run in parallel.

-- name: known_supply
select s.source, s.document, s.line, s.item, s.location, s.owner, s.epoch, s.sequence, s.fingerprint, s.version
from availability.supply s
join unnest($2::text[], $3::text[], $4::int[]) as k (source, document, line) using (source, document, line)
where s.tenant = $1

-- name: write_supply
insert into availability.supply as s
    (tenant, source, document, line, kind, item, location, owner, ordered, cancelled, received, requested, acknowledged,
     advised, epoch, sequence, fingerprint)
select $1, u.*
from unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::numeric[],
            $10::numeric[], $11::numeric[], $12::date[], $13::date[], $14::date[], $15::bigint[], $16::bigint[],
            $17::bytea[]) as u
on conflict (tenant, source, document, line) do update
set kind = excluded.kind, item = excluded.item, location = excluded.location, owner = excluded.owner,
    ordered = excluded.ordered, cancelled = excluded.cancelled, received = excluded.received,
    requested = excluded.requested, acknowledged = excluded.acknowledged, advised = excluded.advised,
    epoch = excluded.epoch, sequence = excluded.sequence, fingerprint = excluded.fingerprint, overdue = false,
    version = s.version + 1, reported_at = clock_timestamp()
returning source, document, line, version

-- name: supply_of_items
select s.source, s.document, s.line, s.kind, s.item, s.location, s.owner, s.ordered, s.cancelled, s.received,
       s.requested, s.acknowledged, s.advised, s.due, s.reported_at,
       coalesce(b.opened, 0) as opened, coalesce(b.closed, 0) as closed
from availability.supply s
left join availability.balance b
  on b.tenant = s.tenant and b.document = s.document and b.item = s.item
 and b.kind = case s.kind when 'purchase' then 'receipt' else s.kind end
where s.tenant = $1 and s.item = any($2::text[])
order by s.item, s.kind, s.document, s.source, s.line

-- name: receiving_of_items
select location, item, owner, sum(amount) as amount from availability.position
where tenant = $1 and item = any($2::text[]) and bucket = 'receiving'
group by location, item, owner having sum(amount) <> 0

-- name: parked_supply
select id, payload from availability.parked
where tenant = $1 and ($2::text is null or source = $2) and resolved_at is null and mendable and kind = 'supply'
  and id > $3
order by id limit $4
