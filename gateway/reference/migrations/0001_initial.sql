create schema reference;

-- What one source says of one record. `said_at` has, by attribute, since when it says so; `first_at` when it first
-- spoke of the record: of sources that nobody ranked, the one that spoke first counts.
create table reference.statement (
    tenant text not null,
    domain text not null,
    record text not null,
    source text not null,
    first_at timestamptz not null,
    said_at jsonb not null,
    attributes jsonb not null,
    primary key (tenant, domain, record, source)
);

-- Who publishes, enriches, validates and consumes each attribute; the latest version holds, all are kept.
create table reference.ownership (
    tenant text not null,
    domain text not null,
    version bigint not null,
    attributes jsonb not null,
    actor text not null,
    note text not null,
    made_at timestamptz not null,
    primary key (tenant, domain, version)
);
