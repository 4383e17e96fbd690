-- One row per tenant, locked by whoever changes its kits: what caches compare, and what keeps two changes from nesting
-- kits in each other.
create table items.kit_catalogue (
    tenant text primary key,
    version bigint not null
);

-- What an item is made of from an instant on; without components it is no kit from then on. The latest that has begun
-- holds.
create table items.kit (
    tenant text not null,
    kit text not null,
    effective_from timestamptz not null,
    version bigint not null,
    source text not null,
    made_by text not null,
    made_at timestamptz not null,
    note text not null,
    told boolean not null,
    primary key (tenant, kit, effective_from),
    foreign key (tenant, kit) references items.item
);

create index kit_to_begin on items.kit (effective_from) where not told;

create table items.kit_component (
    tenant text not null,
    kit text not null,
    effective_from timestamptz not null,
    component text not null,
    amount numeric not null check (amount > 0),
    primary key (tenant, kit, effective_from, component),
    foreign key (tenant, kit, effective_from) references items.kit on delete cascade,
    foreign key (tenant, component) references items.item,
    check (component <> kit)
);
create index kit_component_item on items.kit_component (tenant, component);
