-- How far a system's list of records has been read. `run` is whose turn it is: a reading that another took over stops.
-- `began_at` and `whole_at` are when the last reading, and the last of the whole list, that came to their end began.
create table reference.reading (
    tenant text not null,
    domain text not null,
    source text not null,
    run text not null,
    began_at timestamptz,
    whole_at timestamptz,
    ended_at timestamptz,
    listed bigint not null default 0,
    created bigint not null default 0,
    changed bigint not null default 0,
    closed bigint not null default 0,
    failed text,
    primary key (tenant, domain, source)
);

-- What of a system's list is not taken as it stands, until it is or the list has it no more.
create table reference.refusal (
    tenant text not null,
    domain text not null,
    source text not null,
    record text not null,
    attribute text not null,
    code text not null,
    detail text not null,
    told_at timestamptz not null,
    primary key (tenant, domain, source, record, attribute)
);
