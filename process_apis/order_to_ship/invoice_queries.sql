-- name: update_invoices
update order_to_ship.sales_order set invoices = $2 where order_id = $1
