-- name: changed
insert into channel_publication.due as d (tenant, channel, item, revision, since, changed_at)
select $1, channel, k.item, k.changes, k.since, k.changed_at
from unnest($2::text[]) as channel
cross join unnest($3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[]) as k (item, changes, since, changed_at)
order by channel, k.item
on conflict (tenant, channel, item) do update
set revision = d.revision + excluded.revision, changed_at = excluded.changed_at, stale = true;

-- name: reckon_again
-- Everything of a channel, or what is named: it waits to be reckoned unless it waits already.
insert into channel_publication.due (tenant, channel, item, since, changed_at)
select $1, $2, item, now(), now() from unnest($3::text[]) as item order by item
on conflict (tenant, channel, item) do nothing;

-- name: open_channel
insert into channel_publication.channel (tenant, channel) values ($1, $2) on conflict do nothing;

-- name: channel
select * from channel_publication.channel where tenant = $1 and channel = $2;

-- What is due is few or many from one moment to the next, and what the planner was told of it is old: `offset 0` has
-- each figure of it looked for by its key, not all of a channel's figures read for each.

-- name: to_reckon
select d.item, d.revision, d.since, d.not_before > now() as waits, f.sku, f.state, f.base, f.base_version, f.attempted,
       f.attempted_version, f.looked, f.looked_version, f.looked_at, f.checked_at, coalesce(f.sold, 0) as sold
from channel_publication.due d
left join lateral (
    select * from channel_publication.figure g
    where g.tenant = d.tenant and g.channel = d.channel and g.item = d.item offset 0) f on true
where d.tenant = $1 and d.channel = $2 and d.stale
order by d.since
limit $3;

-- name: know_figures
insert into channel_publication.figure as f (tenant, channel, item, sku)
select $1, $2, item, sku from unnest($3::text[], $4::text[]) as known (item, sku) order by item
on conflict (tenant, channel, item) do update
set sku = excluded.sku, state = 'unseen', base = null, base_version = null, attempted = null, looked = null,
    looked_version = null
where f.sku <> excluded.sku;

-- The consumer of the log marks items in the order of its events, in one transaction. Whoever publishes waits for none
-- of its rows: one that is being marked has another revision a moment later.

-- name: rank_due
-- What changed while it was reckoned takes its place all the same, and is reckoned again: its figure is that of the moment
-- when it is sent.
with mine as (
    select d.item, r.tier, r.rank_at, d.revision <> r.revision as stale
    from unnest($3::text[], $4::bigint[], $5::smallint[], $6::timestamptz[]) as r (item, revision, tier, rank_at)
    join channel_publication.due d on d.tenant = $1 and d.channel = $2 and d.item = r.item
    for update of d skip locked
)
update channel_publication.due d set tier = mine.tier, rank_at = mine.rank_at, stale = mine.stale
from mine where d.tenant = $1 and d.channel = $2 and d.item = mine.item;

-- name: drop_due
with mine as (
    select d.item
    from unnest($3::text[], $4::bigint[]) as r (item, revision)
    join channel_publication.due d
        on d.tenant = $1 and d.channel = $2 and d.item = r.item and d.revision = r.revision
    for update of d skip locked
)
delete from channel_publication.due d using mine where d.tenant = $1 and d.channel = $2 and d.item = mine.item;

-- name: take_due
-- What was sent without an answer is looked at when it has settled ($4), not before.
select d.item, d.revision, d.since, f.sku, f.state, f.base, f.base_version, f.attempted, f.attempted_version, f.looked,
       f.looked_version, f.looked_at, f.sold
from channel_publication.due d
cross join lateral (
    select * from channel_publication.figure g
    where g.tenant = d.tenant and g.channel = d.channel and g.item = d.item offset 0) f
where d.tenant = $1 and d.channel = $2 and d.tier is not null and d.not_before <= now()
  and (f.attempted is null or f.attempted_at + $4::interval <= now())
order by d.tier, d.rank_at
limit $3;

-- name: sales_of
-- What the channel sold of each item after the version that we know it at.
select s.item, s.quantity, s.version
from channel_publication.figure f
join channel_publication.sale s
    on s.tenant = f.tenant and s.channel = f.channel and s.item = f.item and s.version > f.base_version
where f.tenant = $1 and f.channel = $2 and f.item = any($3::text[])
order by s.item, s.version;

-- name: saw
update channel_publication.figure f
set looked = s.quantity, looked_version = s.version, looked_at = $6, state = 'listed'
from unnest($3::text[], $4::bigint[], $5::bigint[]) as s (item, quantity, version)
where f.tenant = $1 and f.channel = $2 and f.item = s.item;

-- name: saw_none
update channel_publication.figure
set state = 'unlisted', base = null, base_version = null, attempted = null, looked = null, looked_version = null,
    fed_at = null, checked_at = now()
where tenant = $1 and channel = $2 and item = any($3::text[]);

-- name: settle_looks
-- What was seen is what we know from here on.
update channel_publication.figure
set base = looked, base_version = looked_version, attempted = null, looked = null, looked_version = null,
    checked_at = now()
where tenant = $1 and channel = $2 and item = any($3::text[]) and looked_version is not null;

-- name: wait_due
with mine as (
    select item from channel_publication.due
    where tenant = $1 and channel = $2 and item = any($3::text[]) for update skip locked
)
update channel_publication.due d set not_before = now() + $4::interval
from mine where d.tenant = $1 and d.channel = $2 and d.item = mine.item;

-- name: mark_attempted
update channel_publication.figure f
set attempted = a.quantity, attempted_version = a.version, attempted_at = now()
from unnest($3::text[], $4::bigint[], $5::bigint[]) as a (item, quantity, version)
where f.tenant = $1 and f.channel = $2 and f.item = a.item;

-- name: forget_attempted
update channel_publication.figure set attempted = null
where tenant = $1 and channel = $2 and item = any($3::text[]);

-- name: mark_applied
update channel_publication.figure f
set base = a.quantity, base_version = a.version, attempted = null, published_at = now(), checked_at = now(),
    fed_at = case when $6 then now() end
from unnest($3::text[], $4::bigint[], $5::bigint[]) as a (item, quantity, version)
where f.tenant = $1 and f.channel = $2 and f.item = a.item;

-- name: mark_changed
update channel_publication.figure f
set attempted = null, looked = c.quantity, looked_version = c.version, looked_at = $6
from unnest($3::text[], $4::bigint[], $5::bigint[]) as c (item, quantity, version)
where f.tenant = $1 and f.channel = $2 and f.item = c.item;

-- name: still_due
-- What changed while it was published waits since that change.
with mine as (
    select item from channel_publication.due
    where tenant = $1 and channel = $2 and item = any($3::text[]) for update skip locked
)
update channel_publication.due d set since = d.changed_at
from mine where d.tenant = $1 and d.channel = $2 and d.item = mine.item;

-- name: lock_channel
select cursor from channel_publication.channel where tenant = $1 and channel = $2 for update;

-- name: insert_sale
insert into channel_publication.sale
    (tenant, channel, event, line, reference, item, sku, quantity, promised, version, sold_at)
select $1, $2, $3, line, $4, item, sku, quantity, 0, version, $5
from unnest($6::int[], $7::text[], $8::text[], $9::bigint[], $10::bigint[]) as l (line, item, sku, quantity, version)
on conflict do nothing
returning line;

-- name: mark_promised
update channel_publication.sale s set promised = p.promised
from unnest($4::int[], $5::bigint[]) as p (line, promised)
where s.tenant = $1 and s.channel = $2 and s.event = $3 and s.line = p.line;

-- name: count_sold
update channel_publication.figure f set sold = f.sold + s.quantity
from unnest($3::text[], $4::bigint[]) as s (item, quantity)
where f.tenant = $1 and f.channel = $2 and f.item = s.item;

-- name: move_cursor
update channel_publication.channel set cursor = $3, imported_at = $4, failures = 0, last_error = null
where tenant = $1 and channel = $2;

-- name: failed
update channel_publication.channel set failures = failures + 1, last_error = $3 where tenant = $1 and channel = $2;

-- name: swept
update channel_publication.channel set swept_at = now(), rule_version = $3 where tenant = $1 and channel = $2;

-- name: ask_sweep
update channel_publication.channel set swept_at = null where tenant = $1 and channel = $2 returning channel;

-- name: to_read_back
-- What was fed and not read since comes first, then what was read longest ago and waits for nothing.
(select item, sku, state, base, base_version, attempted, attempted_version, looked, looked_version, looked_at, sold,
        0::bigint as revision, fed_at as since, 0 as first
 from channel_publication.figure
 where tenant = $1 and channel = $2 and fed_at + $4::interval <= now()
 order by fed_at limit $3)
union all
(select f.item, f.sku, f.state, f.base, f.base_version, f.attempted, f.attempted_version, f.looked, f.looked_version,
        f.looked_at, f.sold, 0, f.checked_at, 1
 from channel_publication.figure f
 where f.tenant = $1 and f.channel = $2 and f.state = 'listed' and f.fed_at is null and f.attempted is null
   and f.looked_version is null
   and not exists (select from channel_publication.due d
                   where d.tenant = f.tenant and d.channel = f.channel and d.item = f.item)
 order by f.checked_at nulls first limit $5)
order by first, since
limit $3;

-- name: checked
-- Read back and as it should be; what was there then is what we know.
update channel_publication.figure f
set base = c.quantity, base_version = c.version, fed_at = null, checked_at = now()
from unnest($3::text[], $4::bigint[], $5::bigint[]) as c (item, quantity, version)
where f.tenant = $1 and f.channel = $2 and f.item = c.item;

-- name: read_back
update channel_publication.channel set read_back_at = now() where tenant = $1 and channel = $2;

-- name: raise_disagreement
-- Its number where it is new; one that is open already is what is found now.
insert into channel_publication.disagreement as g (tenant, channel, item, sku, cause, expected, found, detail)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (tenant, channel, item) where resolved_at is null do update
set cause = excluded.cause, expected = excluded.expected, found = excluded.found, detail = excluded.detail,
    last_at = now()
returning case when g.xmax = 0 then g.disagreement end;

-- name: still_apart
update channel_publication.disagreement set last_at = now()
where tenant = $1 and channel = $2 and item = any($3::text[]) and resolved_at is null;

-- name: resolve
update channel_publication.disagreement set resolved_at = now()
where tenant = $1 and channel = $2 and item = any($3::text[]) and resolved_at is null;

-- name: standing
select c.channel, c.imported_at, c.swept_at, c.read_back_at, c.failures, c.last_error,
       (select count(*) from channel_publication.due d
        where d.tenant = c.tenant and d.channel = c.channel and d.tier is not null) as waiting,
       (select extract(epoch from now() - min(d.since))::float8 from channel_publication.due d
        where d.tenant = c.tenant and d.channel = c.channel and d.tier is not null) as lag_seconds,
       (select count(*) from channel_publication.figure f
        where f.tenant = c.tenant and f.channel = c.channel and f.state = 'listed') as listed,
       (select count(*) from channel_publication.figure f
        where f.tenant = c.tenant and f.channel = c.channel and f.state = 'unlisted') as unlisted,
       (select count(*) from channel_publication.disagreement g
        where g.tenant = c.tenant and g.channel = c.channel and g.resolved_at is null) as disagreements,
       (select coalesce(sum(s.quantity - s.promised), 0)::bigint from channel_publication.sale s
        where s.tenant = c.tenant and s.channel = c.channel and s.promised < s.quantity) as oversold
from channel_publication.channel c
where c.tenant = $1 and c.channel = any($2::text[])
order by c.channel;

-- name: figures
select f.item, f.sku, f.state, f.base, f.published_at, f.checked_at, d.since,
       f.base - coalesce((select sum(s.quantity) from channel_publication.sale s
                          where s.tenant = f.tenant and s.channel = f.channel and s.item = f.item
                            and s.version > f.base_version), 0)::bigint as shown
from channel_publication.figure f
left join channel_publication.due d on (d.tenant, d.channel, d.item) = (f.tenant, f.channel, f.item)
    and d.tier is not null
where f.tenant = $1 and f.channel = $2 and ($3::text is null or f.item > $3)
order by f.item
limit $4;

-- name: disagreements
select disagreement, channel, item, sku, cause, expected, found, found_at, resolved_at
from channel_publication.disagreement
where tenant = $1 and ($2::text is null or channel = $2) and ($3::bigint is null or disagreement < $3)
order by disagreement desc
limit $4;

-- name: open_feed
insert into channel_publication.feed (tenant, channel) values ($1, $2) on conflict do nothing;

-- name: feed
select number, full_number, full_at, written_at from channel_publication.feed where tenant = $1 and channel = $2;

-- name: lock_feed
select number from channel_publication.feed where tenant = $1 and channel = $2 for update;

-- name: move_feed
update channel_publication.feed
set number = $3, written_at = now(), full_number = case when $4 then $3 else full_number end,
    full_at = case when $4 then now() else full_at end
where tenant = $1 and channel = $2;

-- name: feed_due
select item, revision from channel_publication.due where tenant = $1 and channel = $2 order by since limit $3;

-- name: fed_of
select item, base from channel_publication.figure where tenant = $1 and channel = $2 and item = any($3::text[]);

-- name: note_fed
insert into channel_publication.figure as f (tenant, channel, item, sku, state, base, published_at)
select $1, $2, item, sku, 'listed', quantity, now()
from unnest($3::text[], $4::text[], $5::bigint[]) as t (item, sku, quantity) order by item
on conflict (tenant, channel, item) do update
set sku = excluded.sku, base = excluded.base, published_at = excluded.published_at;
