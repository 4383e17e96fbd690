-- What the ERP is told of a purchase: goods that came in and were accepted, invoices that match.

-- One thing asked of one system, under our id of what it is about (gateway/durable/tasks.py).
create table procure_to_pay.task (
    subject text primary key,
    tenant text not null,
    kind text not null check (kind in ('receipt', 'invoice')),
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
create index task_due on procure_to_pay.task (due_at) where due_at is not null;
create index task_troubled on procure_to_pay.task (tenant) where state = 'refused' or attempts > 0;

-- `number` is its place among those of its purchase: they are told one after the other.
create table procure_to_pay.posting (
    posting text primary key references procure_to_pay.task,
    purchase text not null references procure_to_pay.purchase,
    tenant text not null,
    number integer not null,
    kind text not null check (kind in ('receipt', 'invoice')),
    -- Of a receipt: the day the goods came, and its lines. Of an invoice: the invoice.
    received_on date,
    lines jsonb,
    invoice jsonb,
    created_at timestamptz not null default clock_timestamp(),
    unique (purchase, number)
);
