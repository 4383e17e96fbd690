-- What was compared, what differed, why, and what was decided.

create schema reconciliation;

create table reconciliation.run (
    run text primary key,
    tenant text not null,
    what text not null check (what in ('stock', 'orders', 'shipments')),
    source text,
    location text,
    asked_by text not null,
    state text not null default 'running' check (state in ('running', 'done', 'failed')),
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    compared integer not null default 0,
    differing integer not null default 0,
    recovered integer not null default 0,
    in_flight integer not null default 0,
    error text
);
create index run_list on reconciliation.run (tenant, run desc);

-- Snapshots that were examined. Its row lock lets one run at a time write what one snapshot showed.
create table reconciliation.examined (
    tenant text not null,
    snapshot text not null,
    source text not null,
    recorded_at timestamptz not null,
    primary key (tenant, snapshot)
);
create index examined_recorded on reconciliation.examined (tenant, recorded_at);

-- How far each source's own journal was read again, and which of its events had never come to us.
create table reconciliation.journal (
    tenant text not null,
    source text not null,
    cursor text,
    read_at timestamptz not null default clock_timestamp(),
    primary key (tenant, source)
);
create table reconciliation.recovered (
    tenant text not null,
    source text not null,
    event_id text not null,
    line integer not null,
    found_at timestamptz not null default clock_timestamp(),
    primary key (tenant, source, event_id, line)
);

-- One cause of one difference. `scope` is what was examined: a snapshot, or a source in the run that raised it.
-- `adjusting` is written before the ERP is asked, so that a crash leaves a trace: `finding` is the id it knows it by.
create table reconciliation.finding (
    finding text primary key,
    tenant text not null,
    run text not null references reconciliation.run,
    what text not null check (what in ('stock', 'orders', 'shipments')),
    against text not null check (against in ('owner', 'erp')),
    scope text not null,
    class text not null check (class in ('timing', 'mapping', 'loss', 'source_only')),
    source text not null,
    location text not null default '',
    item text not null default '',
    sku text not null default '',
    code text not null default '',
    owner text not null default '',
    bucket text not null default '',
    lot text not null default '',
    reference text not null default '',
    reported numeric,
    expected numeric,
    amount numeric not null,
    value numeric,
    detail text not null default '',
    evidence jsonb not null default '[]',
    state text not null
        check (state in ('open', 'explained', 'accepted', 'rejected', 'adjusting', 'adjusted')),
    raised_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    proposed_by text,
    decided_by text,
    decided_at timestamptz,
    reason text,
    number text,
    not_before timestamptz,
    attempts integer not null default 0,
    error text,
    unique (tenant, what, scope, location, item, code, owner, bucket, lot, reference, class)
);
create index finding_list on reconciliation.finding (tenant, finding desc);
create index finding_open on reconciliation.finding (tenant, what, against, source)
    where state in ('open', 'adjusting');
