-- Goods that come back: what was authorised, what came, what became of it, what was credited.

create schema returns;

-- One thing asked of one system, under our id of what it is about (gateway/durable/tasks.py).
create table returns.task (
    subject text primary key,
    tenant text not null,
    kind text not null check (kind in ('disposition', 'credit')),
    action text not null,
    fingerprint bytea not null,
    system text,
    state text not null default 'waiting'
        check (state in ('waiting', 'pending', 'asked', 'done', 'undoing', 'absent', 'refused')),
    look boolean not null default false,
    attempts integer not null default 0,
    not_before timestamptz,
    number text,
    error_code text,
    error_detail text,
    turn integer not null default 0,
    due_at timestamptz,
    unique (tenant, action)
);
create index task_due on returns.task (due_at) where due_at is not null;

create table returns.return_order (
    return_id text primary key,
    tenant text not null,
    action text not null,
    fingerprint bytea not null,
    order_id text not null,
    partner text,
    channel text not null,
    sold_to text not null,
    currency text not null,
    -- The ERP that has the order; none: a person issues the credit note.
    system text,
    location text not null,
    freight text not null check (freight in ('buyer', 'seller')),
    note text,
    asked_by text not null,
    correlation_id text not null,
    -- Raised under the row lock with every change: the aggregate version of the return's events.
    version bigint not null default 1,
    -- Derived by rules.derive_state; kept for lists.
    state text not null,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    over text,
    decision text check (decision in ('authorised', 'refused')),
    decided_by text,
    decided_at timestamptz,
    decision_reason text,
    cancelled_at timestamptz,
    cancel_reason text,
    closed_at timestamptz,
    closed_by text,
    close_reason text,
    unique (tenant, action)
);
create index return_list on returns.return_order (tenant, return_id desc);
create index return_partner on returns.return_order (tenant, partner, return_id desc);
create index return_of_order on returns.return_order (order_id);
create index return_open on returns.return_order (tenant, return_id)
    where state not in ('refused', 'cancelled', 'credited', 'closed');

-- One order line that comes back. Counters follow from `counted` (rules.spread).
create table returns.return_line (
    return_id text not null references returns.return_order,
    line integer not null,
    item text not null,
    sku text not null,
    uom text not null,
    unit_price numeric not null,
    amount numeric not null check (amount > 0),
    reason text not null,
    fee_percent numeric not null,
    received numeric not null default 0,
    sellable numeric not null default 0,
    damaged numeric not null default 0,
    quality_hold numeric not null default 0,
    "out" numeric not null default 0,
    refused numeric not null default 0 check (refused >= 0),
    credited numeric not null default 0 check (credited >= 0),
    primary key (return_id, line)
);

-- Movements that were counted, so that each counts once and a revision takes back what it replaces. Those without a
-- return name one that is not there, or nothing, and wait for a person.
create table returns.counted (
    movement text primary key,
    tenant text not null,
    return_id text references returns.return_order,
    item text not null,
    received numeric not null default 0,
    sellable numeric not null default 0,
    damaged numeric not null default 0,
    quality_hold numeric not null default 0,
    "out" numeric not null default 0,
    document text,
    location text not null,
    source text not null,
    code text,
    heard_at timestamptz not null default clock_timestamp(),
    ignored_at timestamptz,
    ignored_by text
);
create index counted_of on returns.counted (return_id) where return_id is not null;
create index stray on returns.counted (tenant, heard_at) where return_id is null and ignored_at is null;

create table returns.disposition (
    disposition text primary key references returns.task,
    return_id text not null references returns.return_order,
    tenant text not null,
    line integer not null,
    item text not null,
    sku text not null,
    uom text not null,
    lot text,
    amount numeric not null check (amount > 0),
    target text not null check (target in ('sellable', 'damaged', 'quality_hold', 'out')),
    location text not null,
    asked_by text not null,
    correlation_id text not null,
    created_at timestamptz not null default clock_timestamp(),
    state text not null default 'requested' check (state in ('requested', 'asked', 'made', 'refused', 'withdrawn')),
    movement text
);
create index disposition_of on returns.disposition (return_id);

-- What is asked of an ERP never changes once it is written: lines [{"line", "amount", "restocked"}].
create table returns.credit (
    credit text primary key references returns.task,
    return_id text not null references returns.return_order,
    tenant text not null,
    system text,
    lines jsonb not null,
    net numeric not null,
    fee numeric not null,
    created_at timestamptz not null default clock_timestamp(),
    state text not null default 'requested' check (state in ('requested', 'issued', 'refused', 'by_hand')),
    number text,
    issued_on date,
    total numeric
);
create index credit_of on returns.credit (return_id);
