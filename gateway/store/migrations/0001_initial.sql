-- The installation, the event log, consumers' positions, dead letters and the audit trail.

create table store.installation (
    only_one boolean primary key default true check (only_one),
    installation_id uuid not null default gen_random_uuid(),
    log_epoch integer not null default 1,
    cluster text,
    created_at timestamptz not null default now()
);
comment on column store.installation.cluster is 'server and timeline of the current log epoch; another one starts a new epoch';
insert into store.installation default values;

create table store.event (
    id bigint generated always as identity primary key,
    transaction_id xid8 not null default pg_current_xact_id(),
    log_epoch integer not null default 1,
    stream text not null,
    tenant text not null,
    type text not null,
    version integer not null,
    aggregate text not null,
    aggregate_version bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    correlation_id text not null,
    causation_id text,
    data jsonb not null
);
create index event_delivery on store.event (stream, log_epoch, transaction_id, id);
create index event_aggregate on store.event (tenant, aggregate, aggregate_version);
create index event_correlation on store.event (correlation_id);

create table store.consumer (
    name text primary key,
    log_epoch integer not null,
    transaction_id xid8 not null,
    event_id bigint not null,
    moved_at timestamptz not null default now()
);

-- An event that a consumer set aside. The event itself stays in store.event for as long as its letter is open.
-- state: retrying (due at next_attempt_at), parked (waits behind an earlier letter of its aggregate), dead (waits for a
-- person), resolved.
create table store.dead_letter (
    id bigint generated always as identity primary key,
    consumer text not null,
    event_id bigint not null,
    log_epoch integer not null,
    transaction_id xid8 not null,
    tenant text not null,
    aggregate text not null,
    state text not null check (state in ('retrying', 'parked', 'dead', 'resolved')),
    error_class text not null,
    error_code text not null,
    detail text not null,
    fault_domain text not null,
    attempts integer not null default 1,
    history jsonb not null default '[]',
    first_failed_at timestamptz not null default now(),
    last_failed_at timestamptz not null default now(),
    next_attempt_at timestamptz,
    resolved_at timestamptz,
    resolution text,
    unique (consumer, event_id),
    check ((state = 'resolved') = (resolved_at is not null))
);
create index dead_letter_open on store.dead_letter (last_failed_at, id) where state <> 'resolved';
create index dead_letter_line on store.dead_letter (consumer, tenant, aggregate, log_epoch, transaction_id, event_id)
    where state <> 'resolved';

create table store.audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    tenant text not null,
    actor text not null,
    action text not null,
    subject text not null,
    outcome text not null,
    correlation_id text not null,
    detail jsonb not null default '{}'
);
create index audit_subject on store.audit (tenant, subject, id);
create index audit_time on store.audit (at);
