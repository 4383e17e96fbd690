-- One row per tenant, locked by whoever changes what stands in for what: what copies compare.
create table items.substitute_catalogue (
    tenant text primary key,
    version bigint not null
);

-- What may stand in for an item from an instant on, the preferred first; without any, nothing does. The latest list that
-- has begun holds.
create table items.substitute_list (
    tenant text not null,
    item text not null,
    effective_from timestamptz not null,
    version bigint not null,
    source text not null,
    made_by text not null,
    made_at timestamptz not null,
    note text not null,
    primary key (tenant, item, effective_from),
    foreign key (tenant, item) references items.item
);

-- `factor` base units of the substitute serve one of the item, whole ones where it is `counted`; `channels`: empty for
-- all of them.
create table items.substitute (
    tenant text not null,
    item text not null,
    effective_from timestamptz not null,
    rank integer not null,
    substitute text not null,
    factor numeric not null check (factor > 0),
    both_ways boolean not null,
    counted boolean not null,
    channels text[] not null,
    primary key (tenant, item, effective_from, rank),
    unique (tenant, item, effective_from, substitute),
    foreign key (tenant, item, effective_from) references items.substitute_list on delete cascade,
    foreign key (tenant, substitute) references items.item,
    check (substitute <> item)
);
