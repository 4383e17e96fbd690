-- Snapshots too large for one transaction arrive in parts and are applied part by part once they are complete.
-- `zeroed` counts the figures that drifted to zero because a full one did not name them; `drift` shows some of them.
create table availability.parted_snapshot (
    id bigint generated always as identity primary key,
    tenant text not null,
    source text not null,
    event_id text not null,
    cut_epoch bigint not null,
    cut_sequence bigint not null,
    taken_at timestamptz not null,
    full_scope boolean not null,
    locations text[] not null,
    parts integer not null check (parts > 0),
    fingerprint bytea not null,
    name text not null,
    zeroed integer not null default 0,
    drift jsonb not null default '[]',
    opened_at timestamptz not null default now(),
    completed_at timestamptz,
    applied_at timestamptz,
    failed_at timestamptz,
    unique (tenant, source, event_id)
);
create index parted_snapshot_due on availability.parted_snapshot (completed_at, id) where applied_at is null;

-- `figures` is JSON as it was told, until it is applied. Counted: of locations that the source holds; told: of others.
create table availability.snapshot_part (
    snapshot bigint not null references availability.parted_snapshot on delete cascade,
    number integer not null check (number > 0),
    fingerprint bytea not null,
    figures text not null,
    applied_at timestamptz,
    counted integer not null default 0,
    drifted integer not null default 0,
    drift jsonb not null default '[]',
    told integer not null default 0,
    told_drifted integer not null default 0,
    told_drift jsonb not null default '[]',
    primary key (snapshot, number)
);
create index snapshot_part_due on availability.snapshot_part (snapshot, number) where applied_at is null;
