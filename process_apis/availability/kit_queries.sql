-- Parameters: $1 is the tenant; arrays run in parallel.

-- name: mark_kits
update availability.claim c set kit = u.kit, per_kit = u.per_kit
from unnest($2::text::text[], $3::text::text[], $4::text::numeric[]) as u (claim, kit, per_kit)
where c.claim = u.claim

-- name: parts_of
-- The other components of the same kits, line by line and location by location, that are promised with these claims.
select distinct o.claim, o.order_id, o.order_line, o.item, o.location, o.owner, o.channel, o.amount, o.consumed, o.released,
       o.state, o.commitment, o.allotment, o.short, o.kit, o.per_kit
from availability.claim c
join availability.claim o
  on o.tenant = c.tenant and o.order_id = c.order_id and o.order_line = c.order_line and o.location = c.location
 and o.kit = c.kit and o.claim <> c.claim
where c.tenant = $1 and c.claim = any($2::text[]) and o.amount - o.consumed - o.released > 0
order by o.claim

-- name: lock_items_lines
select item, location, owner, on_hand, sellable, reserved, allocated, external, short, version, as_of
from availability.stock_line where tenant = $1 and item = any($2::text[])
order by item, location, owner
for update
