-- What people do to orders that are under way.

-- Who holds an order: null its customer's terms, 'person' somebody; and what was asked of it and is not done yet.
alter table order_to_ship.sales_order add column hold_kind text, add column rework jsonb;

-- Releases that every system confirmed to have no more; what they held is handed over again in another one.
alter table order_to_ship.released_line add column withdrawn boolean not null default false;

-- Each command happens once, by its caller's own id.
create table order_to_ship.action (
    order_id text not null references order_to_ship.sales_order,
    action text not null,
    fingerprint bytea not null,
    actor text not null,
    asked_at timestamptz not null default now(),
    primary key (order_id, action)
);
