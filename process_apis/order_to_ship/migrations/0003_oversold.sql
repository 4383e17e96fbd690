-- What stock could not give of a line when it was accepted, because its buyer was committed already.
alter table order_to_ship.line add column oversold numeric not null default 0 check (oversold >= 0);
create index line_oversold on order_to_ship.line (order_id) where oversold > 0 and backordered > 0;

-- `channel_oversell`: units and orders since ever, by channel. Changed with the orders that it counts.
create table order_to_ship.oversell (
    tenant text not null,
    channel text not null,
    units numeric not null,
    orders bigint not null,
    last_at timestamptz not null,
    primary key (tenant, channel)
);
