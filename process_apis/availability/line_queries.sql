-- Parts of the statements that moving.py and lines.py put together. $1 is the tenant; arrays run in parallel. Large ones are
-- taken apart in the select list: in the from clause each of them fills a tuple store of its own first.

-- name: move_figures
-- The parts of a statement that move figures, each by what counts after the cut-off that it stands on.
-- Whoever writes figures of a stock line holds its lock: what `place` and `was` say stays true until the update.
-- `line` is the number of the stock line in the arrays of `move_lines`, where that follows.
figure as materialized (
    select e.line, e.location, e.item, e.owner, e.bucket, e.lot, p.ctid as place, p.amount as was, f.cut_epoch, f.cut_sequence,
           f.cut_event, sum(e.delta) as delta, max(e.occurred_at) as as_of
    from (
        select unnest($2::text::text[]) as location, unnest($3::text::text[]) as item, unnest($4::text::text[]) as owner,
               unnest($5::text::text[]) as bucket, unnest($6::text::text[]) as lot, unnest($7::text::numeric[]) as delta,
               unnest($8::text::bigint[]) as epoch, unnest($9::text::bigint[]) as sequence,
               unnest($10::text::timestamptz[]) as occurred_at, unnest($11::text::int[]) as line
    ) as e
    left join availability.position p
      on p.tenant = $1 and p.location = e.location and p.item = e.item and p.owner = e.owner
     and p.bucket = e.bucket and p.lot = e.lot
    left join availability.full_snapshot f on p.tenant is null and f.tenant = $1 and f.location = e.location
    where (e.epoch, e.sequence) > (coalesce(p.cut_epoch, f.cut_epoch, -1), coalesce(p.cut_sequence, f.cut_sequence, -1))
    group by e.line, e.location, e.item, e.owner, e.bucket, e.lot, p.ctid, p.amount, f.cut_epoch, f.cut_sequence, f.cut_event
),
moved as (
    update availability.position p
    set amount = p.amount + figure.delta, as_of = greatest(p.as_of, figure.as_of)
    from figure
    where p.ctid = figure.place
),
made as (
    insert into availability.position
        (tenant, location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, cut_event, as_of)
    select $1, location, item, owner, bucket, lot, delta, coalesce(cut_epoch, -1), coalesce(cut_sequence, -1),
           coalesce(cut_event, ''), as_of
    from figure where place is null
)

-- name: move_lines
-- The parts that follow `move_figures` where nothing else changes figures: what moved in the lines, and what it comes to.
-- Lines are found where their lock found them (`at`): nobody else moves them, and nothing of this transaction did. What
-- stands here lets PostgreSQL expect few of them: where it expects many, it reads the whole table.
-- Other figures of a line are looked at only where one of them was negative and none that moved is.
line as (
    select line as number, sum(delta) as on_hand, coalesce(sum(delta) filter (where bucket = 'sellable'), 0) as sellable,
           min(coalesce(was, 0) + delta) as lowest, array_agg(place) filter (where place is not null) as places
    from figure
    group by line
),
standing as materialized (
    select l.ctid as place, l.negative as was_negative, l.on_hand + coalesce(m.on_hand, 0) as on_hand,
           l.sellable + coalesce(m.sellable, 0) as sellable, l.reserved + k.reserved as reserved,
           l.allocated + k.allocated as allocated, l.external + k.external as external,
           greatest(l.as_of, k.as_of) as as_of, k.correlation_id, k.causation_id, k.channels,
           case when l.negative and (m.lowest < 0) is not true then least(m.lowest, (
               select min(p.amount) from availability.position p
               where p.tenant = $1 and p.location = l.location and p.item = l.item and p.owner = l.owner
                 and p.ctid <> all (coalesce(m.places, '{}'))))
           else m.lowest end as lowest
    from (
        select unnest($12::text::int[]) as number, unnest($13::text::numeric[]) as reserved,
               unnest($14::text::numeric[]) as allocated, unnest($15::text::numeric[]) as external,
               unnest($16::text::timestamptz[]) as as_of, unnest($17::text::text[]) as correlation_id,
               unnest($18::text::text[]) as causation_id, unnest($19::text::text[]) as channels,
               unnest($20::text::tid[]) as at
    ) as k
    left join line m on m.number = k.number
    cross join lateral (select ctid, * from availability.stock_line where ctid = k.at limit 1) as l
)

-- name: read_lines
-- The part that reads figures of locked lines from what they sum up.
standing as materialized (
    select l.ctid as place, l.negative as was_negative, p.on_hand, p.sellable, p.lowest,
           l.reserved + k.reserved as reserved, l.allocated + k.allocated as allocated,
           l.external + k.external as external, greatest(l.as_of, k.as_of) as as_of,
           k.correlation_id, k.causation_id, k.channels
    from unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::numeric[], $6::text::numeric[], $7::text::numeric[],
                $8::text::timestamptz[], $9::text::text[], $10::text::text[], $11::text::text[])
         as k (item, location, owner, reserved, allocated, external, as_of, correlation_id, causation_id, channels)
    join availability.stock_line l
      on l.tenant = $1 and l.item = k.item and l.location = k.location and l.owner = k.owner
    cross join lateral (
        select coalesce(sum(amount), 0) as on_hand,
               coalesce(sum(amount) filter (where bucket = 'sellable'), 0) as sellable,
               min(amount) as lowest
        from availability.position
        where tenant = $1 and location = k.location and item = k.item and owner = k.owner
    ) p
)

-- name: write_lines
-- The part that follows `read_lines` or `move_lines`.
changed as (
    update availability.stock_line l
    set on_hand = s.on_hand, sellable = s.sellable, reserved = s.reserved, allocated = s.allocated, external = s.external,
        short = greatest(0, s.reserved + s.allocated + s.external - s.sellable),
        negative = coalesce(s.lowest < 0, false), version = l.version + 1, as_of = s.as_of
    from standing s
    where l.ctid = s.place
      and (l.on_hand, l.sellable, l.reserved, l.allocated, l.external, l.negative)
          is distinct from (s.on_hand, s.sellable, s.reserved, s.allocated, s.external, coalesce(s.lowest < 0, false))
    returning l.item, l.location, l.owner, l.on_hand, l.sellable, l.reserved, l.allocated, l.external, l.short, l.version,
              l.as_of, l.negative and not s.was_negative as fell, s.lowest, s.correlation_id, s.causation_id, s.channels
)

-- name: tell_lines
-- What the log is told of lines that changed: for `log.appended`, with the names that `lines.py` gives these values.
select correlation_id, json_build_array(
    'stock_line/' || owner || '/' || item || '/' || location, version, correlation_id, causation_id,
    item, location, owner, on_hand::text, sellable::text, reserved::text, allocated::text, external::text, short::text,
    version, as_of, channels::json) as event
from changed

-- name: fallen_lines
-- How many lines were found, and of each where a figure fell below zero; one row where there is none.
select found.count as found, f.*
from (select count(*) from standing) as found
left join (
    select item, location, owner, version, lowest, correlation_id, causation_id from changed where fell
) as f on true
