-- What people ask of orders that are under way.

-- name: set_rework
update order_to_ship.sales_order set hold_kind = $2, rework = $3::jsonb, vetted_at = $4 where order_id = $1

-- name: withdraw_releases
update order_to_ship.released_line set withdrawn = true where order_id = $1 and release = any($2::integer[])

-- name: action_of
select fingerprint from order_to_ship.action where order_id = $1 and action = $2

-- name: keep_action
insert into order_to_ship.action (order_id, action, fingerprint, actor) values ($1, $2, $3, $4)
