-- Parameters: $1 is the tenant; arrays run in parallel.

-- name: insert_claims
-- As `insert_claims` of `queries.sql`, where some are components of kits: nobody else pays for these columns.
insert into availability.claim
    (claim, tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state, action,
     made_at, expires_at, allotment, priority, need_by, pinned, kit, per_kit)
select u.claim, $1, u.order_id, u.line, u.item, u.location, u.owner, u.channel, u.rule_version, u.amount,
       'reserved', u.action, $2, u.expires_at, u.allotment, u.priority, u.need_by, u.pinned, u.kit, u.per_kit
from (
    select unnest($3::text::text[]) as claim, unnest($4::text::text[]) as order_id, unnest($5::text::int[]) as line,
           unnest($6::text::text[]) as item, unnest($7::text::text[]) as location, unnest($8::text::text[]) as owner,
           unnest($9::text::text[]) as channel, unnest($10::text::bigint[]) as rule_version,
           unnest($11::text::numeric[]) as amount, unnest($12::text::text[]) as action,
           unnest($13::text::timestamptz[]) as expires_at, unnest($14::text::text[]) as allotment,
           unnest($15::text::int[]) as priority, unnest($16::text::date[]) as need_by,
           unnest($17::text::boolean[]) as pinned, unnest($18::text::text[]) as kit, unnest($19::text::numeric[]) as per_kit
) as u

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
