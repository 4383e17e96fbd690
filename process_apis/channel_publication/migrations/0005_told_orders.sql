-- What a channel was told of each order that it sold. `told` is all that it knows, as gateway.canonical.channel has it
-- (ChannelProgress). `asked` is an update on its way, with its id, and `asked_for` what the channel knows after it: both
-- stay as they are until it is known to have come. `revision` rises with news of the order, `seen` is what was told.
create table channel_publication.told_order (
    tenant text not null,
    channel text not null,
    order_id text not null,
    revision bigint not null default 1,
    seen bigint not null default 0,
    updates integer not null default 0,
    told jsonb,
    asked jsonb,
    asked_for jsonb,
    asked_revision bigint,
    not_before timestamptz not null default '-infinity',
    failures integer not null default 0,
    error_code text,
    error_detail text,
    changed_at timestamptz not null default now(),
    -- It did not take an update, and took nothing of it: a person decides.
    refused_at timestamptz,
    primary key (tenant, channel, order_id)
);
create index told_order_due on channel_publication.told_order (tenant, channel, not_before)
    where (revision > seen or asked is not null) and refused_at is null;
create index told_order_troubled on channel_publication.told_order (tenant, changed_at)
    where refused_at is not null or failures > 5;
