-- The feed file of a channel: the number of the last one, and which was the last with everything.
create table channel_publication.feed (
    tenant text not null,
    channel text not null,
    number bigint not null default 0,
    full_number bigint not null default 0,
    full_at timestamptz,
    written_at timestamptz,
    primary key (tenant, channel)
);
