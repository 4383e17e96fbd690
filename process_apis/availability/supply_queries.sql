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
  and ($5::text[] is null or (source, availability.waits_for(payload)) in (select * from unnest($5::text[], $6::text[])))
  and ($7::text[] is null or payload ? 'locations'
       or (source, availability.waits_at(payload)) in (select * from unnest($7::text[], $8::text[])))
order by id limit $4

-- name: promised_on_items
select claim, order_id, order_line, item, location, owner, channel, amount - consumed - released as open, due, priority
from availability.claim where tenant = $1 and item = any($2::text[]) and state = 'promised'

-- name: waiting_at
-- The promises that wait at locked stock lines. Asked behind the locks, in a statement of its own.
select c.claim, c.order_id, c.order_line, c.item, c.location, c.owner, c.channel, c.rule_version, c.made_at,
       c.amount - c.consumed - c.released as open, c.due, c.need_by, c.priority, c.expected, c.told, c.expires_at
from availability.claim c
join unnest($2::text[], $3::text[], $4::text[]) as k (item, location, owner) using (item, location, owner)
where c.tenant = $1 and c.state = 'promised' and c.amount > c.consumed + c.released
order by c.claim

-- name: free_at
-- What nobody holds of locked stock lines, by positions as they are now (below zero where they are short), and what
-- came in since the figures of the line were written.
select l.item, l.location, l.owner,
       coalesce(p.sellable, 0) - l.reserved - l.allocated - l.external as free,
       coalesce(p.sellable, 0) - l.sellable as arrived
from availability.stock_line l
join unnest($2::text[], $3::text[], $4::text[]) as k (item, location, owner) using (item, location, owner)
cross join lateral (
    select sum(amount) as sellable from availability.position
    where tenant = $1 and location = l.location and item = l.item and owner = l.owner and bucket = 'sellable'
) p
where l.tenant = $1

-- name: insert_promised
insert into availability.claim
    (claim, tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state, commitment,
     action, made_at, expires_at, due, need_by, expected, priority)
select u.claim, $1, $2, u.line, u.item, u.location, $3, $4, $5, u.amount, 'promised', 'ahead', $6, $7,
       coalesce($8::timestamptz, clock_timestamp() + $9::interval), $10, $10, $10, $11
from unnest($12::text[], $13::int[], $14::text[], $15::text[], $16::numeric[]) as u (claim, line, item, location, amount)

-- name: move_waiting
update availability.stock_line l
set waiting = l.waiting + k.waiting
from unnest($2::text[], $3::text[], $4::text[], $5::numeric[]) as k (item, location, owner, waiting)
where l.tenant = $1 and l.item = k.item and l.location = k.location and l.owner = k.owner

-- name: take_in
-- Promises whose goods came in, whole or in part: a part stands as a claim of its own from then on.
update availability.claim c
set state = case when u.part is not null then 'promised' when c.expires_at is null then 'allocated' else 'reserved' end,
    commitment = case when u.part is not null then c.commitment when c.expires_at is null then 'firm' else 'soft' end,
    released = c.released + case when u.part is null then 0 else u.amount end,
    told = u.told
from unnest($2::text[], $3::text[], $4::numeric[], $5::int[]) as u (claim, part, amount, told)
where c.tenant = $1 and c.claim = u.claim

-- name: insert_parts
with made as (
    insert into availability.claim
        (claim, tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state, commitment,
         action, made_at, expires_at, due, need_by, priority)
    select u.part, $1, c.order_id, c.order_line, c.item, c.location, c.owner, c.channel, c.rule_version, u.amount,
           case when c.expires_at is null then 'allocated' else 'reserved' end,
           case when c.expires_at is null then 'firm' else 'soft' end, 'arrival/' || u.part, $5, c.expires_at, c.due,
           c.need_by, c.priority
    from unnest($2::text[], $3::text[], $4::numeric[]) as u (claim, part, amount)
    join availability.claim c on c.tenant = $1 and c.claim = u.claim
    returning action, order_id
)
insert into availability.action (tenant, action, verb, order_id, fingerprint, answer)
select $1, action, 'arrival', order_id, '', '[]' from made

-- name: count_in
insert into availability.channel_line as c (tenant, item, channel, owner, open)
select $1, u.* from unnest($2::text[], $3::text[], $4::text[], $5::numeric[]) as u (item, channel, owner, open)
order by u.item, u.channel, u.owner
on conflict (tenant, item, channel, owner) do update set open = c.open + excluded.open, version = c.version + 1
returning item, channel, owner, open, version, allotment, drawn

-- name: redate
update availability.claim c set expected = u.expected, told = u.told
from unnest($2::text[], $3::date[], $4::int[]) as u (claim, expected, told)
where c.tenant = $1 and c.claim = u.claim

-- name: make_firm
update availability.claim set expires_at = null
where tenant = $1 and order_id = $2 and state = 'promised' and expires_at is not null

-- name: overdue_supply
select s.source, s.document, s.line, s.item, s.location, s.owner
from availability.supply s
join unnest($2::text[], $3::date[]) as k (location, today) on s.location = k.location and s.due < k.today
where s.tenant = $1 and not s.overdue
order by s.due limit $4

-- name: mark_overdue
update availability.supply s set overdue = true, version = s.version + 1
where s.tenant = $1 and s.source = $2 and s.document = $3 and s.line = $4 and not s.overdue and s.due < $5
  and s.item = $6 and s.location = $7 and s.owner = $8
returning s.due, s.version

-- name: late_claims
select claim, order_id, order_line, item, location, owner, channel, amount - consumed - released as open, due, expected,
       priority, made_at
from availability.claim
where tenant = $1 and state = 'promised' and (expected is null or expected > due) and claim > $2
order by claim limit $3
