create schema channel_publication;

-- One row per channel: how far its orders are imported, and how its last call went.
create table channel_publication.channel (
    tenant text not null,
    channel text not null,
    cursor text,
    imported_at timestamptz,
    swept_at timestamptz,
    read_back_at timestamptz,
    rule_version bigint,
    failures integer not null default 0,
    last_error text,
    primary key (tenant, channel)
);

-- What one channel shows of one item, as far as we know. The shop showed `base` at its version `base_version`, and its
-- sales after that took from it. `attempted` was sent to replace version `attempted_version` and its answer is not known
-- yet. `looked` was read at `looked_version`, and is not explained by what we know yet. `fed_at`: sent in a feed that
-- does not say what it knew, and not read back since.
create table channel_publication.figure (
    tenant text not null,
    channel text not null,
    item text not null,
    sku text not null,
    state text not null default 'unseen' check (state in ('unseen', 'listed', 'unlisted')),
    base bigint,
    base_version bigint,
    attempted bigint,
    attempted_version bigint,
    attempted_at timestamptz,
    looked bigint,
    looked_version bigint,
    looked_at timestamptz,
    fed_at timestamptz,
    published_at timestamptz,
    checked_at timestamptz,
    sold bigint not null default 0,
    primary key (tenant, channel, item)
);
create index figure_checked on channel_publication.figure (tenant, channel, checked_at) where state = 'listed';
create index figure_fed on channel_publication.figure (tenant, channel, fed_at) where fed_at is not null;

-- What may have to be published: one row stands for every change of an item since it was last published. `tier` is null
-- until the figure was reckoned: 0 falls to zero, 1 rises from zero, 2 is another change.
create table channel_publication.due (
    tenant text not null,
    channel text not null,
    item text not null,
    revision bigint not null default 1,
    since timestamptz not null,
    changed_at timestamptz not null,
    tier smallint,
    rank_at timestamptz,
    not_before timestamptz not null default '-infinity',
    primary key (tenant, channel, item)
);
create index due_reckon on channel_publication.due (tenant, channel, since) where tier is null;
create index due_publish on channel_publication.due (tenant, channel, tier, rank_at) where tier is not null;

-- What a channel sold (or took back: negative), by the channel's own event and line. `version` is the one that it made.
-- `promised` is what our stock could give of it; the rest is oversold.
create table channel_publication.sale (
    tenant text not null,
    channel text not null,
    event text not null,
    line integer not null,
    reference text not null,
    item text,
    sku text not null,
    quantity bigint not null,
    promised bigint not null default 0,
    version bigint not null,
    sold_at timestamptz not null,
    imported_at timestamptz not null default now(),
    primary key (tenant, channel, event, line)
);
create index sale_item on channel_publication.sale (tenant, channel, item, version);
create index sale_oversold on channel_publication.sale (tenant, channel, imported_at) where promised < quantity;

-- What a channel showed otherwise than it should have, and nothing that it told us explains.
create table channel_publication.disagreement (
    disagreement bigint generated always as identity primary key,
    tenant text not null,
    channel text not null,
    item text not null,
    sku text not null,
    cause text not null check (cause in ('changed_there', 'vanished', 'refused')),
    expected bigint,
    found bigint,
    found_at timestamptz not null default now(),
    resolved_at timestamptz
);
create unique index disagreement_open on channel_publication.disagreement (tenant, channel, item)
    where resolved_at is null;
create index disagreement_found on channel_publication.disagreement (tenant, channel, disagreement);
