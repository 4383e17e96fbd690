-- name: due
select k.tenant, k.item, k.location, k.owner
from (
    select tenant, item, location, owner from availability.stock_line where short > 0
    union
    select tenant, item, location, owner from availability.shortage
) k
left join availability.shortage s using (tenant, item, location, owner)
where s.seen is distinct from (
    select sum(l.version) from availability.stock_line l where l.tenant = k.tenant and l.item = k.item)
order by s.decided_at nulls first limit $1

-- name: claims_at
select claim, order_id, order_line, item, location, owner, channel, amount, consumed, released, state, commitment,
       allotment, made_at, expires_at, priority, need_by, pinned, short, action, kit, per_kit
from availability.claim
where tenant = $1 and item = $2 and location = $3 and owner = $4 and amount - consumed - released > 0
  and state <> 'promised'
order by claim

-- name: keep_answers
-- What an action answered stays what it was, whatever becomes of its claims: it is kept as ids only while they stand still.
update availability.action a
set answer = (
    select jsonb_agg(jsonb_build_object(
        'claim', c.claim, 'line', c.order_line, 'item', c.item, 'location', c.location, 'amount', c.amount::text,
        'state', 'reserved', 'kit', c.kit, 'per_kit', c.per_kit::text) order by part.number)
    from jsonb_array_elements_text(a.answer) with ordinality as part (claim, number)
    join availability.claim c on c.claim = part.claim)
where a.tenant = $1 and a.action = any($2::text[]) and jsonb_typeof(a.answer -> 0) = 'string'

-- name: place_claims
update availability.claim c set location = u.location, amount = u.amount
from unnest($2::text[], $3::text[], $4::numeric[]) as u (claim, location, amount)
where c.tenant = $1 and c.claim = u.claim

-- name: split_claims
insert into availability.claim
    (claim, tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state, action,
     made_at, expires_at, commitment, allotment, priority, need_by)
select u.claim, $1, c.order_id, c.order_line, c.item, u.location, c.owner, c.channel, c.rule_version, u.amount, c.state,
       c.action, c.made_at, c.expires_at, c.commitment, c.allotment, c.priority, c.need_by
from unnest($2::text[], $3::text[], $4::text[], $5::numeric[]) as u (claim, origin, location, amount)
join availability.claim c on c.tenant = $1 and c.claim = u.origin

-- name: mark_claims
update availability.claim c set short = u.short
from unnest($2::text[], $3::numeric[]) as u (claim, short)
where c.tenant = $1 and c.claim = u.claim

-- name: standing_of
select order_id, claim, order_line as line, item, location, amount - consumed - released as amount, short,
       commitment = 'handed' or consumed > 0 as handed, kit, per_kit
from availability.claim
where tenant = $1 and order_id = any($2::text[]) and amount - consumed - released > 0 and state <> 'promised'
order by order_id, order_line, claim

-- name: keep_shortage
insert into availability.shortage as s (tenant, item, location, owner, short, marked, handed, seen)
select l.tenant, l.item, l.location, l.owner, l.short, $5, $6,
       (select sum(version) from availability.stock_line where tenant = $1 and item = $2)
from availability.stock_line l
where l.tenant = $1 and l.item = $2 and l.location = $3 and l.owner = $4 and l.short > 0
on conflict (tenant, item, location, owner) do update
set short = excluded.short, marked = excluded.marked, handed = excluded.handed, seen = excluded.seen,
    decided_at = clock_timestamp()

-- name: end_shortage
delete from availability.shortage s using availability.stock_line l
where s.tenant = $1 and s.item = $2 and s.location = $3 and s.owner = $4 and l.tenant = s.tenant and l.item = s.item
  and l.location = s.location and l.owner = s.owner and l.short = 0

-- name: shortages
select item, location, owner, short, marked, handed, since, decided_at from availability.shortage
where tenant = $1 and (item, location, owner) > ($2, $3, $4)
order by item, location, owner limit $5
