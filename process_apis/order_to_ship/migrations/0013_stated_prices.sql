-- What the buyer says a line costs, in the unit it was ordered in; none where nothing was said. Ours is unit_price.
alter table order_to_ship.line add column stated_price numeric;
