-- One verb for many entries: planned, seen, begun (by a second person above a size), carried out one by one, cancelled.

create table exceptions.bulk (
    bulk text primary key,
    tenant text not null,
    verb text not null check (verb in ('retry', 'ignore')),
    wanted jsonb not null,
    reason text not null,
    size integer not null,
    state text not null check (state in ('planned', 'running', 'done', 'cancelled')),
    planned_by text not null,
    planned_at timestamptz not null default clock_timestamp(),
    begun_by text,
    begun_at timestamptz,
    ended_by text,
    ended_at timestamptz,
    check ((state in ('done', 'cancelled')) = (ended_at is not null))
);
create index bulk_list on exceptions.bulk (tenant, bulk desc);
create index bulk_running on exceptions.bulk (tenant, bulk) where state = 'running';

-- `version` is the entry's as it was planned: what changed since is skipped.
create table exceptions.bulk_member (
    bulk text not null references exceptions.bulk on delete cascade,
    entry text not null references exceptions.entry on delete cascade,
    version integer not null,
    state text not null default 'waiting' check (state in ('waiting', 'done', 'skipped', 'failed')),
    code text,
    detail text,
    primary key (bulk, entry)
);
create index bulk_member_waiting on exceptions.bulk_member (bulk, entry) where state = 'waiting';
