-- name: park
update order_to_ship.sales_order set due_at = null where order_id = $1 and due_at is not null
