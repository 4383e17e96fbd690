-- The last day on which goods of a lot may be used. What is not told here has none.
create table availability.lot (
    tenant text not null,
    item text not null,
    lot text not null,
    expires_on date not null,
    told_by text not null,
    told_at timestamptz not null default now(),
    primary key (tenant, item, lot)
);
