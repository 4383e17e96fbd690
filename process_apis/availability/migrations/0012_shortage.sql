-- Who gives way where less is there than was promised, and how much of a claim is not covered at its location.
alter table availability.claim add column priority integer not null default 0;
alter table availability.claim add column need_by date;
alter table availability.claim add column pinned boolean not null default false;
alter table availability.claim add column short numeric not null default 0 check (short >= 0);
create index claim_short on availability.claim (tenant, order_id) where short > 0;
create index stock_line_short on availability.stock_line (tenant, item) where short > 0;

-- Short stock lines as they were last decided on. `seen`: the sum of the versions of the item's lines by then, so that
-- whatever changes at any of them lets it be decided again. `handed` is for a person.
create table availability.shortage (
    tenant text not null,
    item text not null,
    location text not null,
    owner text not null,
    short numeric not null,
    marked numeric not null,
    handed numeric not null,
    seen bigint not null,
    since timestamptz not null default now(),
    decided_at timestamptz not null default now(),
    primary key (tenant, item, location, owner)
);
