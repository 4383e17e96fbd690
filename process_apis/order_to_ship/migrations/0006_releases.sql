-- How an order's lines leave where stock does not do for all: together, each when all of it is there, or what there is.
alter table order_to_ship.sales_order add column fill text not null default 'complete'
    check (fill in ('complete', 'line_complete', 'partial', 'fill_or_kill'));

-- What was handed over in parts, by release: each is an order of its own to ERP and warehouse. Orders that are handed
-- over whole have none. `claims` are those that it was handed over under.
create table order_to_ship.released_line (
    order_id text not null references order_to_ship.sales_order,
    release integer not null check (release > 0),
    line integer not null,
    location text not null,
    amount numeric not null check (amount > 0),
    claims text[] not null,
    primary key (order_id, release, line, location)
);

-- Which release goods left for.
alter table order_to_ship.shipment add column release integer not null default 1;
