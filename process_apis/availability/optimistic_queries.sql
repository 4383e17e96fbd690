-- name: look
-- What reservations are decided on, all as of one moment: nothing is locked and nothing written. Lines come by column, their
-- amounts as text: a row of its own costs asyncpg more, and a numeric five times as much.
select lines.*,
    (select coalesce(jsonb_agg(jsonb_build_object(
         'action', a.action, 'fingerprint', encode(a.fingerprint, 'base64'), 'answer', a.answer)), '[]')
     from availability.action a where a.tenant = $1 and a.action = any($2::text::text[])) as actions,
    orders.*,
    array(select distinct order_id from availability.progress where tenant = $1 and order_id = any($3::text::text[])) as handled,
    (select coalesce(jsonb_agg(in_force), '[]') from (
         select distinct on (channel) channel, version, made_at from availability.channel_rule
         where tenant = $1 and channel = any(asked.channels) and effective_from <= $6
           and (effective_until is null or effective_until > $6)
         order by channel, version desc) as in_force) as rules,
    clock_timestamp() as at,
    array(select distinct t.item from availability.lot t where t.tenant = $1 and t.item = any($5::text::text[])) as with_lots
from (
    select $4::text::text[] || array(
        select distinct channel from availability.channel_rule where tenant = $1 and fences) as channels
) as asked
cross join (
    select array_agg(item) as item, array_agg(location) as location, array_agg(owner) as owner,
           array_agg(on_hand::text) as on_hand, array_agg(sellable::text) as sellable,
           array_agg(reserved::text) as reserved, array_agg(allocated::text) as allocated,
           array_agg(external::text) as external, array_agg(short::text) as short, array_agg(version) as version,
           array_agg(as_of) as as_of
    from availability.stock_line where tenant = $1 and item = any($5::text::text[])
) as lines
cross join (
    select jsonb_object_agg(order_id, version) as versions,
           array_agg(order_id) filter (where cancelled_at is not null) as cancelled
    from availability.claim_order where tenant = $1 and order_id = any($3::text::text[])
) as orders

-- name: take
-- Behind the part that writes claims (`made`; $1 to $17 are its): while nobody waits yet.
-- Locks orders, then lines in the one order of stock lines, then counters: nobody who holds a counter waits for a line. Both the
-- proof and what is added are reckoned on a row as it stands behind its lock. Answers with the numbers of the lines that had
-- what was `needed` (null: all), with those that others changed since they were read, as they were before this, with
-- the counters, and with the versions that orders have now.
held as (
    insert into availability.claim_order as o (tenant, order_id, version)
    select $1, order_id, 2 from (select count(*) from made) as first, unnest($18::text::text[]) as order_id order by order_id
    on conflict (tenant, order_id) do update set version = o.version + 2
    returning order_id, version
),
reserved as (
    update availability.stock_line l
    set reserved = l.reserved + k.more, version = l.version + 1
    from (
        select u.*
        from (select count(*) from held) as first,
             unnest($19::text::text[], $20::text::text[], $21::text::text[], $22::text::numeric[], $23::text::numeric[], $24::text::bigint[])
             with ordinality as u (item, location, owner, more, needed, read, number)
        order by item, location, owner
    ) as k
    where l.tenant = $1 and l.item = k.item and l.location = k.location and l.owner = k.owner
      and l.sellable - l.reserved - l.allocated - l.external >= k.needed
    returning l.item, l.location, l.owner, l.on_hand, l.sellable, l.reserved - k.more as reserved, l.allocated, l.external,
              l.short, l.version - 1 as version, l.as_of, k.read, k.number
),
counted as (
    insert into availability.channel_line as c (tenant, item, channel, owner, open)
    select $1, k.item, k.channel, k.owner, k.open
    from (select count(*) from reserved) as first,
         unnest($25::text::text[], $26::text::text[], $27::text::text[], $28::text::numeric[]) as k (item, channel, owner, open)
    order by k.item, k.channel, k.owner
    on conflict (tenant, item, channel, owner) do update set open = c.open + excluded.open, version = c.version + 1
    returning item, channel, owner, open, version - 1 as version, allotment, drawn
)
select (select json_object_agg(order_id, version) from held) as versions,
       (select case when count(*) < cardinality($19::text::text[]) then coalesce(array_agg(number), '{}') end from reserved) as taken,
       (select json_agg(json_build_object(
            'item', item, 'location', location, 'owner', owner, 'on_hand', on_hand::text, 'sellable', sellable::text,
            'reserved', reserved::text, 'allocated', allocated::text, 'external', external::text, 'short', short::text,
            'version', version, 'as_of', as_of))
        from reserved where version <> read) as lines,
       counters.*
from (
    select array_agg(item) as items, array_agg(channel) as channels, array_agg(owner) as owners,
           array_agg(open::text) as open, array_agg(version) as counted, array_agg(allotment) as allotments,
           array_agg(drawn::text) as drawn
    from counted
) as counters

-- name: give_back
-- Undoes part of a `take` of this transaction, whose locks hold, and the claims that were written for it: nobody has seen
-- them. What was raised for nobody else is `undone`: its version is told to nobody. Orders as in `forget_orders`.
with unmade as (
    delete from availability.claim c
    where c.tenant = $1 and c.order_id = any($2::text::text[]) and c.claim = any($13::text::text[])
),
forgotten as (
    delete from availability.claim_order o
    where o.tenant = $1 and o.order_id = any($2::text::text[]) and o.version = 2
),
returned as (
    update availability.stock_line l
    set reserved = l.reserved - k.back, version = l.version - k.undone::int
    from unnest($3::text::text[], $4::text::text[], $5::text::text[], $6::text::numeric[], $7::text::boolean[])
         as k (item, location, owner, back, undone)
    where l.tenant = $1 and l.item = k.item and l.location = k.location and l.owner = k.owner
),
counted as (
    update availability.channel_line c
    set open = c.open - k.back, version = c.version - k.undone::int
    from unnest($8::text::text[], $9::text::text[], $10::text::text[], $11::text::numeric[], $12::text::boolean[])
         as k (item, channel, owner, back, undone)
    where c.tenant = $1 and c.item = k.item and c.channel = k.channel and c.owner = k.owner
    returning c.item, c.channel, c.owner, c.open, c.version - 1 as version, c.allotment, c.drawn
)
select array_agg(item) as items, array_agg(channel) as channels, array_agg(owner) as owners,
       array_agg(open::text) as open, array_agg(version) as counted, array_agg(allotment) as allotments,
       array_agg(drawn::text) as drawn
from counted

-- name: with_lots
select array(select distinct item from availability.lot where tenant = $1 and item = any($2::text::text[]))
