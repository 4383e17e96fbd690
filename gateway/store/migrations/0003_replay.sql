-- A stretch of the log that one consumer goes through once more. `after_*` is how far it is, moved in the transaction
-- of what was done.
create table store.replay (
    replay text primary key,
    tenant text not null,
    consumer text not null,
    from_at timestamptz not null,
    to_at timestamptz not null,
    types text[],
    aggregate text,
    again boolean not null,
    asked_by text not null,
    reason text not null,
    state text not null default 'running' check (state in ('running', 'done', 'cancelled')),
    after_epoch integer not null default 0,
    after_transaction xid8 not null default '0',
    after_event bigint not null default 0,
    matched integer not null default 0,
    handled integer not null default 0,
    dropped integer not null default 0,
    failed integer not null default 0,
    error text,
    asked_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    check ((state = 'running') = (ended_at is null))
);
create unique index replay_running on store.replay (consumer) where state = 'running';
