-- What was sold already and stock could not give. Parameters: $1 is the tenant; arrays run in parallel.

-- name: insert_backorders
-- Promises on supply, each for when known supply covers it behind all that waits already, so that no promise made before
-- is broken; `need_by` is when the goods are wanted.
insert into availability.claim
    (claim, tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state, commitment,
     action, made_at, due, need_by, expected, priority, pinned)
select u.claim, $1, $2, u.line, u.item, u.location, $3, $4, $5, u.amount, 'promised', 'ahead', $6, $7,
       coalesce(u.expected, $17), $8,
       u.expected, $9, u.pinned
from unnest($10::text[], $11::int[], $12::text[], $13::text[], $14::numeric[], $15::date[], $16::boolean[])
     as u (claim, line, item, location, amount, expected, pinned)

-- name: standing_of_order
-- All that an order holds open, with what of it is not there: marked short, or waiting for supply. Components of a kit are
-- told as the kits that they make: a kit lacks what any of them lacks.
with open as (
    select claim, order_line as line, location, amount - consumed - released as amount,
           case when state = 'promised' then amount - consumed - released else short end as lacking,
           commitment = 'handed' or consumed > 0 as handed, due, expected, kit, per_kit, item
    from availability.claim
    where tenant = $1 and order_id = $2 and amount - consumed - released > 0
),
component as (
    select min(claim) as claim, line, location, kit, floor(sum(amount) / min(per_kit)) as kits,
           ceil(sum(lacking) / min(per_kit)) as lacking, bool_or(handed) as handed
    from open where kit is not null group by line, location, kit, item
)
select claim, line, location, amount, lacking, handed, due, expected from open where kit is null
union all
select min(claim), line, location, min(kits), least(min(kits), max(lacking)), bool_or(handed), null, null
from component group by line, location, kit
order by line, location, claim

-- name: starved_lines
-- Where promises wait that are late, and there is stock that nobody holds: something was given back.
select distinct c.item, c.location, c.owner
from availability.claim c
join availability.stock_line l using (tenant, item, location, owner)
where c.tenant = $1 and c.state = 'promised'
  and (c.expected is null or c.expected > coalesce(c.need_by, c.due, '-infinity'))
  and l.waiting > 0 and l.sellable > l.reserved + l.allocated + l.external
order by c.item, c.location, c.owner
limit $2
