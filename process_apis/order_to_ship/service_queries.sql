-- What people ask of orders that are under way.

-- name: set_rework
update order_to_ship.sales_order set hold_kind = $2, rework = $3::jsonb, vetted_at = $4 where order_id = $1

-- name: amend
update order_to_ship.sales_order set ship_to = $2::jsonb, requested_date = $3, total = $4 where order_id = $1

-- name: lengthen_lines
-- What was ordered changes with the counters, in one statement: they add up.
update order_to_ship.line l set
    ordered = k.ordered, asked_amount = k.asked_amount, open = k.open, backordered = k.backordered,
    shipped = k.shipped, cancelled = k.cancelled, over_shipped = k.over_shipped, expected = k.expected
from unnest($2::integer[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[],
            $9::numeric[], $10::date[])
    k (line, ordered, asked_amount, open, backordered, shipped, cancelled, over_shipped, expected)
where l.order_id = $1 and l.line = k.line

-- name: withdraw_releases
update order_to_ship.released_line set withdrawn = true where order_id = $1 and release = any($2::integer[])

-- name: action_of
select fingerprint from order_to_ship.action where order_id = $1 and action = $2

-- name: keep_action
insert into order_to_ship.action (order_id, action, fingerprint, actor) values ($1, $2, $3, $4)
