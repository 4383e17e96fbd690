-- What a line of kits was promised in components, and how much of each goes into one.
create table order_to_ship.kit_line (
    order_id text not null references order_to_ship.sales_order,
    line integer not null,
    item text not null,
    per_kit numeric not null check (per_kit > 0),
    primary key (order_id, line, item)
);

-- Components that left for a line of kits, by movement. The one that completes kits has them as its `shipment_line`.
create table order_to_ship.kit_shipped (
    movement text primary key,
    order_id text not null,
    line integer not null,
    item text not null,
    amount numeric not null
);
create index kit_shipped_for on order_to_ship.kit_shipped (order_id, line);
