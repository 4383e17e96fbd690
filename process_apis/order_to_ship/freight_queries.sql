-- name: update_freight
update order_to_ship.sales_order set freight = $2 where order_id = $1
