-- One row per key in use. `key` is a keyed digest of who, where and the caller's key; `reply` is sealed.

create schema idempotency;

create table idempotency.record (
    key bytea primary key,
    tenant text not null,
    route text not null,
    fingerprint bytea not null,
    state text not null default 'reserved' check (state in ('reserved', 'done', 'unknown')),
    -- Drawn at random by each reservation: whoever lost the row can neither complete it nor free it.
    fence bigint not null,
    lease_until timestamptz not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    status integer,
    reply bytea
);
create index record_expiry on idempotency.record (expires_at) where state = 'done';
create index record_lease on idempotency.record (lease_until) where state = 'reserved';
create index record_unknown on idempotency.record (created_at) where state = 'unknown';
