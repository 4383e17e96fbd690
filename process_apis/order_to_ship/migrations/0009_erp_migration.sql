-- From when on orders that would go to one ERP go to another one. Rows stay: which ERP has an order follows from them.
create table order_to_ship.cut_over (
    cut_over_id text primary key,
    tenant text not null,
    from_erp text not null,
    to_erp text not null,
    -- Our locations that move; empty: all of them.
    locations text[] not null,
    effective_at timestamptz not null,
    -- Rolled back: orders placed from here on go to from_erp again.
    ended_at timestamptz,
    made_by text not null,
    made_at timestamptz not null default now(),
    check (from_erp <> to_erp),
    check (ended_at is null or ended_at >= effective_at)
);
create index cut_over_of on order_to_ship.cut_over (tenant, effective_at);

-- Orders that are taken from one ERP to another: cancelled there, confirmed, then submitted here.
create table order_to_ship.erp_move (
    order_id text not null references order_to_ship.sales_order,
    from_erp text not null,
    to_erp text not null,
    state text not null default 'asked' check (state in ('asked', 'withdrawing', 'submitting', 'moved', 'stayed')),
    detail text,
    asked_by text not null,
    asked_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    primary key (order_id, from_erp),
    check (from_erp <> to_erp)
);
