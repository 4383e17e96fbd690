-- Who holds a location that has a stand-by source, era by era. Without a row its declared holder always did.
-- Order keys of an era stand above those of all before it; `snapshot_at` is when its first full snapshot was applied.
create table availability.holding (
    tenant text not null,
    location text not null,
    era integer not null check (era between 1 and 400),
    holder text not null,
    before text not null,
    since timestamptz not null,
    snapshot_at timestamptz,
    made_by text not null,
    reason text not null,
    primary key (tenant, location, era)
);

create view availability.holder_now as
select distinct on (tenant, location) tenant, location, era, holder, since, snapshot_at, made_by, reason
from availability.holding order by tenant, location, era desc;
