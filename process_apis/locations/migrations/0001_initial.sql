create schema locations;

-- One row per tenant, locked by whoever changes its locations: its version is what copies compare, and because the lock
-- is held until commit, versions become visible in their order.
create table locations.catalogue (
    tenant text primary key,
    version bigint not null
);

-- What is said of it stands in reference.statement, domain 'location'.
create table locations.location (
    tenant text not null,
    location text not null,
    version bigint not null,
    changed_at timestamptz not null,
    primary key (tenant, location)
);

-- What a source calls a location, from an instant on and until another; a code means one location at a time, which the
-- process holds under the catalogue's lock.
create table locations.code (
    tenant text not null,
    source text not null,
    code text not null,
    valid_from timestamptz not null default '-infinity',
    valid_until timestamptz not null default 'infinity',
    location text not null,
    primary key (tenant, source, code, valid_from),
    foreign key (tenant, location) references locations.location,
    check (valid_from < valid_until)
);
create index code_location on locations.code (tenant, location);
