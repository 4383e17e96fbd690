-- What was asked of warehouses besides shipping orders, and what came of it.

create schema stock_operations;

-- One thing asked of one system, under our id of what it is about. Its row lock is the lock of the whole subject.
-- `look`: an earlier attempt may have succeeded. No `system`: nobody is to be asked, we do it ourselves.
create table stock_operations.task (
    subject text primary key,
    tenant text not null,
    kind text not null check (kind in ('transfer', 'status', 'count')),
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
    -- Turns of the workflow enqueued so far, and when the latest is due (none: null).
    turn integer not null default 0,
    due_at timestamptz,
    unique (tenant, action)
);
create index task_due on stock_operations.task (due_at) where due_at is not null;

create table stock_operations.transfer (
    transfer text primary key references stock_operations.task,
    tenant text not null,
    origin text not null,
    destination text not null,
    ship_on date,
    expected_on date,
    note text,
    asked_by text not null,
    correlation_id text not null,
    -- Raised under the task's row lock with every change: the aggregate version of the transfer's events.
    version bigint not null default 1,
    -- Derived by rules.derive_state; kept for lists.
    state text not null,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    released_at timestamptz,
    picking_began_at timestamptz,
    dispatched_at timestamptz,
    cancel_requested_at timestamptz,
    cancel_reason text,
    cancelled_at timestamptz,
    closed_at timestamptz,
    closed_by text,
    close_reason text,
    missing text check (missing in ('lost', 'at_origin', 'at_destination')),
    stray text,
    supply_version bigint not null default 1,
    supply_told bigint not null default 0
);
create index transfer_list on stock_operations.transfer (tenant, transfer desc);
create index transfer_open on stock_operations.transfer (tenant, transfer)
    where state not in ('completed', 'closed', 'cancelled');

create table stock_operations.transfer_line (
    transfer text not null references stock_operations.transfer,
    line integer not null,
    item text not null,
    sku text not null,
    uom text not null,
    amount numeric not null check (amount > 0),
    dispatched numeric not null default 0,
    received numeric not null default 0,
    written_off numeric not null default 0,
    primary key (transfer, line),
    unique (transfer, item)
);

-- Movements that were counted, so that each counts once and a revision takes back what it replaces.
create table stock_operations.counted (
    movement text primary key,
    transfer text not null,
    line integer not null,
    dispatched numeric not null,
    received numeric not null
);

create table stock_operations.status_change (
    change text primary key references stock_operations.task,
    tenant text not null,
    kind text not null check (kind in ('hold', 'release', 'damage', 'restore')),
    location text not null,
    item text not null,
    sku text not null,
    uom text not null,
    amount numeric not null check (amount > 0),
    lot text,
    from_bucket text not null,
    to_bucket text not null,
    reason text not null,
    asked_by text not null,
    correlation_id text not null,
    version bigint not null default 1,
    state text not null check (state in ('requested', 'asked', 'changed', 'refused', 'withdrawn')),
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    movement text
);
create index status_change_list on stock_operations.status_change (tenant, change desc);
create index status_change_open on stock_operations.status_change (tenant, change)
    where state in ('requested', 'asked', 'refused');
