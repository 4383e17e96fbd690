-- Snapshots of the configuration, never changed once written, and which worker holds which.

create schema configuration;

create table configuration.snapshot (
    version bigint primary key check (version > 0),
    content jsonb not null,
    sha256 text not null,
    -- A rollback is a new version with the content of an old one, so that versions only ever rise.
    restores bigint references configuration.snapshot,
    actor text not null,
    note text not null default '',
    created_at timestamptz not null default clock_timestamp()
);

-- Who lives, by heartbeat. Unlogged: it is written every second, and what a crash loses is written again a second later.
create unlogged table configuration.worker (
    worker_id text primary key,
    role text not null,
    host text not null,
    pid integer not null,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    version bigint not null,
    refused_version bigint,
    refusal text
) with (fillfactor = 50);
