-- Where stock fell to its reorder point and has not recovered, by the version of the stock line that was seen last.
create table procure_to_pay.replenishment (
    tenant text not null,
    item text not null,
    location text not null,
    owner text not null,
    breached boolean not null,
    line_version bigint not null,
    version bigint not null,
    primary key (tenant, item, location, owner)
);
