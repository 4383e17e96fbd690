-- Where the pollers stand: one row per tenant and instance.
create schema systems;

create table systems.poll (
    tenant text not null,
    instance text not null,
    cursor text,
    opened_at timestamptz,        -- the opening snapshot was recorded
    snapshot_at timestamptz,      -- the last snapshot was recorded
    polled_at timestamptz,        -- the last time the instance was asked and answered
    movements bigint not null default 0,
    failures integer not null default 0,  -- in a row
    last_error text,
    leased_by text,
    leased_until timestamptz not null default '-infinity',
    primary key (tenant, instance)
);
