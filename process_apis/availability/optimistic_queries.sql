-- name: reserve
-- Locks lines in the one order of stock lines, then counters: nobody who holds a counter waits for a line. Both the proof
-- and what is added are reckoned on a row as it stands behind its lock. Answers with how many lines had what was
-- `needed`, with the lines that others changed since they were read, as they were before this, and with the counters.
with reserved as (
    update availability.stock_line l
    set reserved = l.reserved + k.more, version = l.version + 1
    from (
        select * from unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::numeric[], $6::text::numeric[], $7::text::bigint[])
             as u (item, location, owner, more, needed, read)
        order by item, location, owner
    ) as k
    where l.tenant = $1 and l.item = k.item and l.location = k.location and l.owner = k.owner
      and l.sellable - l.reserved - l.allocated - l.external >= k.needed
    returning l.item, l.location, l.owner, l.on_hand, l.sellable, l.reserved - k.more as reserved, l.allocated, l.external,
              l.short, l.version - 1 as version, l.as_of, k.read
),
counted as (
    insert into availability.channel_line as c (tenant, item, channel, owner, open)
    select $1, k.item, k.channel, k.owner, k.open
    from (select count(*) from reserved) as first,
         unnest($8::text::text[], $9::text::text[], $10::text::text[], $11::text::numeric[]) as k (item, channel, owner, open)
    order by k.item, k.channel, k.owner
    on conflict (tenant, item, channel, owner) do update set open = c.open + excluded.open, version = c.version + 1
    returning item, channel, owner, open, version - 1 as version, allotment, drawn
)
select (select count(*) from reserved) as taken,
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

-- name: any_lots
select exists (select from availability.lot where tenant = $1 and item = any($2::text::text[]))
