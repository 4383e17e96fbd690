-- Purchase orders as ERPs approved them, what was said of each since, and suppliers.

create schema procure_to_pay;

-- A supplier is told of orders once it is active. `partner` is the party of the supplier's door that speaks for it.
create table procure_to_pay.supplier (
    supplier text primary key,
    tenant text not null,
    name text not null,
    partner text,
    state text not null default 'onboarding' check (state in ('onboarding', 'active', 'suspended')),
    -- Steps of onboarding that are done: [{"step", "by", "at", "note"}].
    steps jsonb not null default '[]',
    version bigint not null default 1,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    unique (tenant, name),
    unique (tenant, partner)
);
create index supplier_list on procure_to_pay.supplier (tenant, supplier);

-- What a source calls a supplier.
create table procure_to_pay.supplier_code (
    tenant text not null,
    source text not null,
    code text not null,
    supplier text not null references procure_to_pay.supplier,
    primary key (tenant, source, code)
);

-- One purchase order. Its row lock is the lock of all that belongs to it; `version` is that of its events.
create table procure_to_pay.purchase (
    purchase text primary key,
    tenant text not null,
    source text not null,
    number text not null,
    status text not null check (status in ('approved', 'cancelled', 'closed')),
    currency text not null,
    epoch bigint not null,
    sequence bigint not null,
    version bigint not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    -- As the ERP told it last, in its own codes.
    reported jsonb not null,
    supplier text references procure_to_pay.supplier,
    location text,
    lines jsonb not null default '[]',
    test boolean not null default false,
    -- Why it could not be mapped.
    cause text,
    detail text,
    -- Derived by rules.stand from the facts; kept for lists and for the queue of exceptions.
    state text not null default 'unmapped',
    standing jsonb,
    needs jsonb not null default '[]',
    -- What was last told of it as supply: its parts, and under which version.
    supplied jsonb not null default '[]',
    supply_parts integer not null default 0,
    supply_version bigint not null default 0,
    approved_at timestamptz,
    acknowledged_at timestamptz,
    received_at timestamptz,
    matched_at timestamptz,
    unique (tenant, source, number)
);
create index purchase_list on procure_to_pay.purchase (tenant, purchase desc);
create index purchase_of_supplier on procure_to_pay.purchase (tenant, supplier, purchase desc);
create index purchase_number on procure_to_pay.purchase (tenant, number);
create index purchase_unmapped on procure_to_pay.purchase (tenant, purchase) where cause is not null;
create index purchase_needs on procure_to_pay.purchase (tenant, purchase) where needs <> '[]';

-- What was said of a purchase, once each: acknowledgements, ship notices, invoices, decisions, closures, returns.
create table procure_to_pay.fact (
    fact bigint generated always as identity primary key,
    purchase text not null references procure_to_pay.purchase,
    tenant text not null,
    supplier text,
    kind text not null check (kind in ('acknowledgement', 'notice', 'invoice', 'decision', 'closure', 'sent_back')),
    reference text not null,
    sequence bigint not null default 0,
    fingerprint bytea not null,
    body jsonb not null,
    told_by text not null,
    told_at timestamptz not null default clock_timestamp(),
    unique (purchase, kind, reference, sequence)
);
-- A supplier's invoice number is its own for ever, whichever order it is for.
create unique index fact_invoice on procure_to_pay.fact (tenant, supplier, reference) where kind = 'invoice';

-- Receipts by movement, so that each counts once and a revision takes back what it replaces. One that came before its
-- purchase is known waits without.
create table procure_to_pay.received (
    movement text primary key,
    tenant text not null,
    document text not null,
    purchase text references procure_to_pay.purchase,
    item text not null,
    location text not null,
    amount numeric not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create index received_of on procure_to_pay.received (purchase) where purchase is not null;
create index received_waiting on procure_to_pay.received (tenant, document) where purchase is null;

-- Where the purchases of a source are read on from.
create table procure_to_pay.reading (
    tenant text not null,
    source text not null,
    cursor text,
    read_at timestamptz not null default clock_timestamp(),
    primary key (tenant, source)
);
