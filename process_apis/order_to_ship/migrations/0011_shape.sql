-- The shape of turns that an order's work has: those of another release leave it alone (gateway/durable/shapes.toml).
alter table order_to_ship.sales_order add column shape text not null default '1';
