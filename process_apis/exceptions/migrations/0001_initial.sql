-- One queue for everything that a person must see. What stands still is kept by whoever owns it; here is who looks
-- after it, since when, and what was done.

create schema exceptions;

create table exceptions.entry (
    entry text primary key,
    tenant text not null,
    kind text not null,
    key text not null,
    error_class text not null check (error_class in
        ('transient', 'throttled', 'mapping', 'validation', 'sequence', 'vendor_outage', 'business', 'defect')),
    effect text not null,
    fault_domain text not null,
    code text not null,
    detail text not null,
    about text not null,
    rank integer not null check (rank between 0 and 99),
    count integer not null,
    value numeric,
    currency text,
    verbs text[] not null,
    raised_at timestamptz not null,
    last_at timestamptz not null,
    by_itself_at timestamptz,
    seen integer not null,
    state text not null check (state in ('open', 'assigned', 'retrying', 'resolved', 'ignored')),
    assignee text,
    asked_by text,
    asked_at timestamptz,
    ended_at timestamptz,
    ended_by text,
    reason text,
    version integer not null,
    unique (tenant, kind, key),
    check ((state in ('resolved', 'ignored')) = (ended_at is not null)),
    check ((state = 'assigned') <= (assignee is not null)),
    check ((state = 'ignored') <= (reason is not null))
);
create index entry_open on exceptions.entry (tenant, rank desc, entry desc)
    where state in ('open', 'assigned', 'retrying');
create index entry_ended on exceptions.entry (ended_at) where ended_at is not null;

create table exceptions.step (
    entry text not null references exceptions.entry on delete cascade,
    number integer not null,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    what text not null,
    reason text,
    code text,
    detail text,
    primary key (entry, number)
);

create table exceptions.revision (
    entry text not null references exceptions.entry on delete cascade,
    number integer not null,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    reason text not null,
    before jsonb not null,
    after jsonb not null,
    primary key (entry, number)
);
