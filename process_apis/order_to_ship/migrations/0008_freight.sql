-- How the goods of each location and release travel, as models.Freight has it; empty where no freight rule holds.
alter table order_to_ship.sales_order add column freight jsonb not null default '[]';
