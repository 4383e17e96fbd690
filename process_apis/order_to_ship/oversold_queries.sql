-- Orders of buyer-committed channels that stock could not give whole. Arrays run in parallel.

-- name: accept_short
-- Lines that this transaction inserted as open: what waits of each, or when it comes where that is too late.
update order_to_ship.line l
set open = l.open - k.waiting, backordered = k.waiting, oversold = k.oversold, expected = k.expected
from unnest($1::text[], $2::integer[], $3::numeric[], $4::numeric[], $5::date[])
    k (order_id, line, waiting, oversold, expected)
where l.order_id = k.order_id and l.line = k.line

-- name: state_short
-- Their orders, inserted as promised.
update order_to_ship.sales_order o set state = k.state
from unnest($1::text[], $2::text[]) k (order_id, state)
where o.order_id = k.order_id

-- name: raise_waiting
insert into order_to_ship.exception
    (exception_id, tenant, order_id, class, fault_domain, code, detail, blocking, kind, target)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[],
                     $9::text[], $10::text[])

-- name: count_oversold
insert into order_to_ship.oversell as o (tenant, channel, units, orders, last_at)
select $1, k.channel, k.units, k.orders, $5
from unnest($2::text[], $3::numeric[], $4::bigint[]) k (channel, units, orders) order by k.channel
on conflict (tenant, channel) do update
set units = o.units + excluded.units, orders = o.orders + excluded.orders, last_at = excluded.last_at

-- name: oversold
select v.channel, v.units, v.orders, v.last_at,
       coalesce((select sum(l.backordered) from order_to_ship.line l join order_to_ship.sales_order o using (order_id)
                 where o.tenant = v.tenant and o.channel = v.channel and l.oversold > 0 and l.backordered > 0), 0) as waiting
from order_to_ship.oversell v where v.tenant = $1 order by v.channel
