-- Cycle counts: what is to be counted, what was found at which cut-off, who agreed.

create table stock_operations.stock_count (
    count text primary key references stock_operations.task,
    tenant text not null,
    location text not null,
    bucket text not null,
    reason text not null,
    asked_by text not null,
    correlation_id text not null,
    version bigint not null default 1,
    state text not null
        check (state in ('open', 'recount', 'to_approve', 'posting', 'refused', 'applied', 'rejected')),
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    round integer not null default 1,
    cut_epoch bigint,
    cut_sequence bigint,
    counted_at timestamptz,
    counted_by text,
    first_counted_by text,
    proposed_by text,
    decided_by text,
    decision text
);
create index stock_count_list on stock_operations.stock_count (tenant, count desc);
create index stock_count_open on stock_operations.stock_count (tenant, count)
    where state not in ('applied', 'rejected');

-- One item of a count. `variance` is counted less `expected`, what the books have at the cut-off; `value` at list price.
create table stock_operations.count_line (
    count text not null references stock_operations.stock_count,
    line integer not null,
    item text not null,
    sku text not null,
    uom text not null,
    counted numeric,
    expected numeric,
    variance numeric,
    value numeric,
    movement text,
    primary key (count, line),
    unique (count, item)
);
