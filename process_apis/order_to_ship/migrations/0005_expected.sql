-- When what waits of a line is expected; null while nothing waits, or nothing that is known will cover it.
alter table order_to_ship.line add column expected date;
create index line_waiting on order_to_ship.line (order_id) where backordered > 0;
