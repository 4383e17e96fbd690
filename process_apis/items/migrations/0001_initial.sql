create schema items;

-- One row per tenant, locked by whoever changes its items: its version is what caches compare, and because the lock
-- is held until commit, versions become visible in their order.
create table items.catalogue (
    tenant text primary key,
    version bigint not null
);

-- `publisher` is the source whose description counts; other sources only add their codes.
create table items.item (
    tenant text not null,
    item text not null,
    sku text not null,
    name text not null,
    base_uom text not null,
    sellable boolean not null,
    list_price numeric,
    currency text,
    publisher text not null,
    version bigint not null,
    catalogue_version bigint not null,
    changed_at timestamptz not null,
    primary key (tenant, item),
    unique (tenant, sku),
    check ((list_price is null) = (currency is null))
);
create index item_changed on items.item (tenant, catalogue_version);

-- Base units per alternative unit, from an instant on: a movement freezes the factor that held when it happened.
create table items.pack (
    tenant text not null,
    item text not null,
    uom text not null,
    effective_from timestamptz not null default '-infinity',
    factor numeric not null check (factor > 0),
    primary key (tenant, item, uom, effective_from),
    foreign key (tenant, item) references items.item
);

create table items.cross_reference (
    tenant text not null,
    source text not null,
    code text not null,
    item text not null,
    primary key (tenant, source, code),
    foreign key (tenant, item) references items.item
);
create index cross_reference_item on items.cross_reference (tenant, source, item);
