-- Who called which version of which API on which day (UTC), so that the end of a version can be planned.
-- Counted in each gateway process and added here every few seconds.

create schema version;

create table version.usage (
    day date not null,
    tenant text not null,
    client text not null,
    api text not null,
    version text not null,
    partner text,
    calls bigint not null,
    last_seen_at timestamptz not null,
    primary key (day, tenant, client, api, version)
);
