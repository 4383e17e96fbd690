-- Each line of demand has its place in its source's order; a word that nothing is open is kept until a full feed covers it.
alter table availability.demand add column epoch bigint not null default -1;
alter table availability.demand add column sequence bigint not null default -1;

create table availability.demand_cut (
    tenant text not null,
    source text not null,
    epoch bigint not null,
    sequence bigint not null,
    primary key (tenant, source)
);
