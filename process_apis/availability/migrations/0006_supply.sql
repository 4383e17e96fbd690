-- Supply that was ordered or dispatched, by document line, as its source told it last. What of it was received is read
-- from `balance`, which movements keep in either order of arrival. Guarded by the stock line that it will come to.
create table availability.supply (
    tenant text not null,
    source text not null,
    document text not null,
    line integer not null,
    kind text not null check (kind in ('purchase', 'transfer')),
    item text not null,
    location text not null,
    owner text not null,
    ordered numeric not null check (ordered >= 0),
    cancelled numeric not null check (cancelled >= 0),
    received numeric not null check (received >= 0),
    requested date,
    acknowledged date,
    advised date,
    due date generated always as (coalesce(advised, acknowledged, requested)) stored,
    epoch bigint not null,
    sequence bigint not null,
    fingerprint bytea not null,
    overdue boolean not null default false,
    version bigint not null default 1,
    reported_at timestamptz not null default clock_timestamp(),
    primary key (tenant, source, document, line)
);
create index supply_item on availability.supply (tenant, item);
create index supply_due on availability.supply (due) where not overdue;

alter table availability.parked drop constraint parked_kind_check;
alter table availability.parked add constraint parked_kind_check
    check (kind in ('movement', 'figure', 'demand', 'supply'));
