-- Orders, what they ask of other systems, what was shipped, and what needs a person.

create schema order_to_ship;

create table order_to_ship.sales_order (
    order_id text primary key,
    tenant text not null,
    channel text not null,
    partner text,
    sold_to text not null,
    external_number text not null,
    release text not null default '',
    fingerprint bytea not null,
    currency text not null,
    ship_to jsonb not null,
    requested_date date,
    total numeric not null,
    placed_at timestamptz not null,
    correlation_id text not null,
    -- Raised under the row lock with every change: the aggregate version of the order's events.
    version bigint not null default 1,
    -- Derived by rules.derive_state from the facts below and in the other tables; kept for lists.
    state text not null,
    approved_at timestamptz,
    allocated_at timestamptz,
    hold_reason text,
    cancel_requested_at timestamptz,
    cancel_reason text,
    cancel_refused_at timestamptz,
    picking_began_at timestamptz,
    rejected_at timestamptz,
    reject_reason text,
    cancelled_at timestamptz,
    completed_at timestamptz,
    -- What of the customer's credit this order takes, in `currency`: ordered less cancelled, none once it is closed.
    exposure numeric not null,
    -- Turns of the workflow enqueued so far, the latest of them that was to wait, and when work is due (none: null).
    turn integer not null default 1,
    waiting_turn integer not null default 0,
    due_at timestamptz,
    unique (tenant, channel, sold_to, external_number, release)
);
create index sales_order_list on order_to_ship.sales_order (tenant, order_id desc);
create index sales_order_partner on order_to_ship.sales_order (tenant, partner, order_id desc);
create index sales_order_exposure on order_to_ship.sales_order (tenant, sold_to) where exposure > 0;
create index sales_order_troubled on order_to_ship.sales_order (tenant, order_id desc)
    where state in ('held', 'backordered', 'exception');
create index sales_order_due on order_to_ship.sales_order (due_at) where due_at is not null;

create table order_to_ship.line (
    order_id text not null references order_to_ship.sales_order,
    line integer not null,
    item text not null,
    sku text not null,
    asked_amount numeric not null,
    asked_uom text not null,
    -- All below in base units; the factor was frozen at acceptance.
    uom text not null,
    factor numeric not null,
    unit_price numeric not null,
    ordered numeric not null check (ordered > 0),
    open numeric not null check (open >= 0),
    backordered numeric not null default 0 check (backordered >= 0),
    shipped numeric not null default 0 check (shipped >= 0),
    cancelled numeric not null default 0 check (cancelled >= 0),
    -- Shipped beyond what was ordered: kept apart, so that the law below holds whatever a warehouse does.
    over_shipped numeric not null default 0 check (over_shipped >= 0),
    primary key (order_id, line),
    constraint counters_add_up check (ordered = open + backordered + shipped + cancelled)
);

create table order_to_ship.allocation (
    order_id text not null references order_to_ship.sales_order,
    line integer not null,
    location text not null,
    claim text not null,
    amount numeric not null check (amount > 0),
    primary key (order_id, line, location)
);

-- One row per thing asked of another system: written before it is asked, so that a crash leaves a trace.
create table order_to_ship.task (
    order_id text not null references order_to_ship.sales_order,
    kind text not null,
    target text not null,
    system text not null,
    state text not null,
    attempts integer not null default 0,
    settling boolean not null default false,
    not_before timestamptz,
    verify_at timestamptz,
    number text,
    error_code text,
    changed_at timestamptz not null default now(),
    primary key (order_id, kind, target)
);

create table order_to_ship.shipment (
    shipment_id text primary key,
    order_id text not null references order_to_ship.sales_order,
    sequence integer not null,
    source text not null,
    event_id text not null,
    location text not null,
    confirmed_at timestamptz not null,
    unique (order_id, sequence)
);

create table order_to_ship.shipment_line (
    movement text primary key,
    shipment_id text not null references order_to_ship.shipment,
    line integer not null,
    item text not null,
    amount numeric not null
);
create index shipment_line_of on order_to_ship.shipment_line (shipment_id);

create table order_to_ship.exception (
    exception_id text primary key,
    tenant text not null,
    order_id text not null,
    class text not null,
    fault_domain text not null,
    code text not null,
    detail text not null,
    -- A blocking one stops the order until a person decides; another one is news, and work goes on being tried.
    blocking boolean not null,
    kind text not null default '',
    target text not null default '',
    state text not null default 'open' check (state in ('open', 'resolved')),
    seen integer not null default 1,
    raised_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    resolved_at timestamptz,
    resolved_by text,
    resolution text
);
create unique index exception_open on order_to_ship.exception (order_id, class, kind, target) where state = 'open';
create index exception_list on order_to_ship.exception (tenant, exception_id desc);
