create schema availability;

-- Where and how far each source was heard; what cannot be mapped; what happened once -----------------------------

create table availability.source (
    tenant text not null,
    source text not null,
    heard_at timestamptz not null,
    primary key (tenant, source)
);

-- Outlives movements: whatever arrives again is known here. Line -1 stands for a snapshot as a whole.
create table availability.once (
    tenant text not null,
    source text not null,
    event_id text not null,
    line integer not null,
    revision integer not null,
    fingerprint bytea not null,
    recorded_at timestamptz not null default now(),
    primary key (tenant, source, event_id, line)
);

create table availability.parked (
    id bigint generated always as identity primary key,
    tenant text not null,
    source text not null,
    event_id text not null,
    line integer not null,
    fingerprint bytea not null,
    kind text not null check (kind in ('movement', 'figure', 'demand')),
    cause text not null,
    detail text not null,
    mendable boolean not null,
    payload jsonb not null,
    parked_at timestamptz not null default now(),
    resolved_at timestamptz,
    unique (tenant, source, event_id, line, kind, fingerprint)
);
create index parked_open on availability.parked (tenant, source, id) where resolved_at is null;

-- The ledger ------------------------------------------------------------------------------------------------------

-- `moves` is false for what a system says about buckets that another one owns: kept to reconcile, moves nothing.
-- `live` is false once a revision replaced it. `handling` groups the picks and shipments of one order line or document;
-- a shipment from `sellable` that has one takes from `picked` what the group picked (table `settlement`).
create table availability.movement (
    movement text primary key,
    tenant text not null,
    source text not null,
    event_id text not null,
    line integer not null,
    revision integer not null,
    epoch bigint not null,
    sequence bigint not null,
    type text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    owner text not null,
    location text not null,
    item text not null,
    lot text not null,
    from_bucket text,
    to_bucket text,
    amount numeric not null,
    source_item text not null,
    source_location text not null,
    source_amount numeric not null,
    source_uom text not null,
    factor numeric not null,
    order_id text,
    order_line integer,
    handling text,
    document text,
    reason text,
    serial text,
    bin text,
    correlation_id text not null,
    causation_id text,
    moves boolean not null,
    live boolean not null default true
);
create index movement_key on availability.movement (tenant, location, item, epoch, sequence) where moves and live;
create index movement_handling on availability.movement (tenant, handling) where moves and live and handling is not null;
create index movement_event on availability.movement (tenant, source, event_id, line) where live;

-- One physical figure: the latest snapshot by cut-off plus the deltas after it. Negative figures are kept.
create table availability.position (
    tenant text not null,
    location text not null,
    item text not null,
    owner text not null,
    bucket text not null,
    lot text not null,
    amount numeric not null,
    cut_epoch bigint not null,
    cut_sequence bigint not null,
    cut_event text collate "C" not null,
    as_of timestamptz not null,
    primary key (tenant, location, item, owner, bucket, lot)
) with (fillfactor = 70);
create index position_negative on availability.position (tenant, location) where amount < 0;

-- What shipments of one handling group took out of `picked` instead of `sellable`, as far as it counts in the bucket.
create table availability.settlement (
    tenant text not null,
    location text not null,
    item text not null,
    owner text not null,
    lot text not null,
    handling text not null,
    bucket text not null,
    settled numeric not null,
    primary key (tenant, location, item, owner, lot, handling, bucket)
);

-- The latest full snapshot of a location: what it did not name was zero at its cut-off.
create table availability.full_snapshot (
    tenant text not null,
    location text not null,
    cut_epoch bigint not null,
    cut_sequence bigint not null,
    cut_event text collate "C" not null,
    taken_at timestamptz not null,
    primary key (tenant, location)
);

create table availability.snapshot (
    snapshot text primary key,
    tenant text not null,
    source text not null,
    event_id text not null,
    cut_epoch bigint not null,
    cut_sequence bigint not null,
    taken_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    full_scope boolean not null,
    moves boolean not null,
    figures integer not null,
    drifted integer not null,
    drift jsonb not null
);

-- Documents that open and close quantities in either order of arrival: in transit = opened - closed.
create table availability.balance (
    tenant text not null,
    kind text not null check (kind in ('transfer', 'return', 'receipt')),
    document text not null,
    item text not null,
    opened numeric not null,
    closed numeric not null,
    primary key (tenant, kind, document, item)
);

-- Demand of other systems that does not bear our reference.
create table availability.demand (
    tenant text not null,
    source text not null,
    source_reference text not null,
    location text not null,
    item text not null,
    owner text not null,
    amount numeric not null check (amount >= 0),
    due date,
    primary key (tenant, source, source_reference, location, item, owner)
);

-- Promises --------------------------------------------------------------------------------------------------------

-- What may be promised of one item of one owner at one location. Whoever changes any figure of it holds its row lock,
-- always taken in the order (item, location, owner). The check is the last line of "no oversell by our own promise":
-- only a movement or another system's demand can raise `short`, a claim cannot.
create table availability.stock_line (
    tenant text not null,
    item text not null,
    location text not null,
    owner text not null,
    on_hand numeric not null default 0,
    sellable numeric not null default 0,
    reserved numeric not null default 0 check (reserved >= 0),
    allocated numeric not null default 0 check (allocated >= 0),
    external numeric not null default 0 check (external >= 0),
    short numeric not null default 0 check (short >= 0),
    negative boolean not null default false,
    version bigint not null default 0,
    as_of timestamptz not null default 'epoch',
    primary key (tenant, item, location, owner),
    constraint no_oversell check (reserved + allocated + external <= sellable + short)
) with (fillfactor = 70);

-- One row per order that holds or held stock, locked first by every verb; its version orders its claim events.
create table availability.claim_order (
    tenant text not null,
    order_id text not null,
    version bigint not null,
    primary key (tenant, order_id)
);

create table availability.claim (
    claim text primary key,
    tenant text not null,
    order_id text not null,
    order_line integer not null,
    item text not null,
    location text not null,
    owner text not null,
    channel text not null,
    rule_version bigint not null,
    amount numeric not null check (amount > 0),
    consumed numeric not null default 0 check (consumed >= 0),
    released numeric not null default 0 check (released >= 0),
    open numeric generated always as (amount - consumed - released) stored check (amount - consumed - released >= 0),
    state text not null check (state in ('reserved', 'allocated', 'fulfilled', 'released')),
    action text not null,
    made_at timestamptz not null,
    expires_at timestamptz,
    ended_at timestamptz
) with (fillfactor = 80);
create index claim_of_order on availability.claim (tenant, order_id);
create index claim_open on availability.claim (tenant, item, location, owner) where amount - consumed - released > 0;
create index claim_expiry on availability.claim (expires_at) where state = 'reserved' and expires_at is not null;

-- Open promises of one channel, for its share of the pool. Guarded by the stock lines of the item.
create table availability.channel_line (
    tenant text not null,
    item text not null,
    channel text not null,
    owner text not null,
    open numeric not null check (open >= 0),
    version bigint not null default 1,
    primary key (tenant, item, channel, owner)
) with (fillfactor = 70);

-- Net picks and shipments per order line and location, kept for unknown orders too: they wait.
create table availability.progress (
    tenant text not null,
    order_id text not null,
    order_line integer not null,
    location text not null,
    picked numeric not null,
    shipped numeric not null,
    primary key (tenant, order_id, order_line, location)
);

create table availability.action (
    tenant text not null,
    action text not null,
    verb text not null,
    order_id text not null,
    fingerprint bytea not null,
    answer jsonb not null,
    done_at timestamptz not null default now(),
    primary key (tenant, action)
);

-- Rules of a channel, versioned: the one in force is the latest version whose date of effect has come.
create table availability.channel_rule (
    tenant text not null,
    channel text not null,
    version bigint not null,
    effective_from timestamptz not null,
    terms jsonb not null,
    made_by text not null,
    made_at timestamptz not null default now(),
    primary key (tenant, channel, version)
);

-- Set when a change could not be written to the projection: it is rebuilt before it is read again.
create table availability.projection (
    only_one boolean primary key default true check (only_one),
    dirty boolean not null default false
);
insert into availability.projection default values;
