-- Parameters: $1 is the tenant unless said otherwise; arrays run in parallel. Where they are many or long they are taken apart
-- in the select list: in the from clause each of them fills a tuple store of its own first, which costs a third more.

-- name: lock_locations_shared
select pg_advisory_xact_lock_shared(key) from unnest($1::bigint[]) as key

-- name: lock_locations
select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key

-- name: record_once
insert into availability.once (tenant, source, event_id, line, revision, fingerprint, movement)
select $1, u.*
from (
    select unnest($2::text::text[]) as source, unnest($3::text::text[]) as event_id, unnest($4::text::int[]) as line,
           unnest($5::text::int[]) as revision, unnest($6::bytea[]) as fingerprint, unnest($7::text::text[]) as movement
) as u
order by u.source, u.event_id, u.line
on conflict (tenant, source, event_id, line) do nothing

-- name: known_equal
-- The places, counted from $2, of what is known with this content. Looked up line by line, whatever the planner
-- believes of a table that was filled today.
select $2::int + u.place::int - 1 as place
from unnest($3::text[], $4::text[], $5::int[], $6::int[], $7::bytea[])
     with ordinality as u (source, event_id, line, revision, fingerprint, place)
cross join lateral (
    select o.revision, o.fingerprint
    from availability.once o
    where o.tenant = $1 and o.source = u.source and o.event_id = u.event_id and o.line = u.line
    limit 1) known
where known.revision = u.revision and known.fingerprint = u.fingerprint

-- name: known_once
-- What an older release recorded during a deploy does not name its movement, which is looked for then.
select o.source, o.event_id, o.line, o.revision, o.fingerprint,
       coalesce(o.movement, (
           select m.movement from availability.movement m
           where o.line >= 0 and m.tenant = $1 and m.source = o.source and m.event_id = o.event_id and m.line = o.line
             and m.live)) as movement
from availability.once o
join unnest($2::text[], $3::text[], $4::int[]) as u (source, event_id, line) using (source, event_id, line)
where o.tenant = $1
order by o.source, o.event_id, o.line
for update of o

-- name: revise_once
update availability.once o
set revision = u.revision, fingerprint = u.fingerprint, movement = u.movement, recorded_at = now()
from unnest($2::text::text[], $3::text::text[], $4::text::int[], $5::text::int[], $6::bytea[], $7::text::text[])
     as u (source, event_id, line, revision, fingerprint, movement)
where o.tenant = $1 and o.source = u.source and o.event_id = u.event_id and o.line = u.line

-- name: retire_movements
update availability.movement m
set live = false, retired_at = clock_timestamp()
where m.tenant = $1 and m.movement = any($2::text[]) and m.live
returning m.*

-- name: movements_by_id
select m.location, m.item, m.owner, m.order_id
from availability.movement m
where m.tenant = $1 and m.movement = any($2::text[]) and m.live

-- name: insert_movements
insert into availability.movement
    (tenant, movement, source, event_id, line, revision, epoch, sequence, type, occurred_at, owner, location, item, lot,
     from_bucket, to_bucket, amount, source_item, source_location, source_amount, source_uom, factor, order_id,
     order_line, handling, document, reason, serial, bin, correlation_id, moves)
select $1, unnest($2::text::text[]), unnest($3::text::text[]), unnest($4::text::text[]), unnest($5::text::int[]),
       unnest($6::text::int[]), unnest($7::text::bigint[]), unnest($8::text::bigint[]), unnest($9::text::text[]),
       unnest($10::text::timestamptz[]), unnest($11::text::text[]), unnest($12::text::text[]), unnest($13::text::text[]),
       unnest($14::text::text[]), unnest($15::text::text[]), unnest($16::text::text[]), unnest($17::text::numeric[]),
       unnest($18::text::text[]), unnest($19::text::text[]), unnest($20::text::numeric[]), unnest($21::text::text[]),
       unnest($22::text::numeric[]), unnest($23::text::text[]), unnest($24::text::int[]), unnest($25::text::text[]),
       unnest($26::text::text[]), unnest($27::text::text[]), unnest($28::text::text[]), unnest($29::text::text[]),
       unnest($30::text::text[]), unnest($31::text::boolean[])

-- name: settle
-- Answers what is to be added to figures for it. What belongs to a group is looked up group by group, by index, whatever
-- the planner believes of the tables' size: on a day that began empty it read the whole ledger once for each.
with cut as (
    select g.location, g.item, g.owner, g.lot, g.handling, b.bucket,
           coalesce(p.cut_epoch, f.cut_epoch, -1) as epoch, coalesce(p.cut_sequence, f.cut_sequence, -1) as sequence
    from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as g (location, item, owner, lot, handling)
    cross join (values ('sellable'), ('picked')) as b (bucket)
    left join availability.position p
      on p.tenant = $1 and p.location = g.location and p.item = g.item and p.owner = g.owner
     and p.bucket = b.bucket and p.lot = g.lot
    left join availability.full_snapshot f on f.tenant = $1 and f.location = g.location
),
handled as (
    select c.location, c.item, c.owner, c.lot, c.handling, c.bucket, n.*, coalesce((
        select s.settled from availability.settlement s
        where s.tenant = $1 and s.location = c.location and s.item = c.item and s.owner = c.owner and s.lot = c.lot
          and s.handling = c.handling and s.bucket = c.bucket
    ), 0) as was
    from cut c
    cross join lateral (
        select coalesce(sum(m.picked), 0) as picked, coalesce(sum(m.shipped), 0) as shipped,
               coalesce(sum(m.picked) filter (where m.before), 0) as picked_before,
               coalesce(sum(m.shipped) filter (where m.before), 0) as shipped_before
        from (
            select case
                       when m.type = 'pick_confirmed' then m.amount
                       when m.type = 'unpicked' or m.from_bucket = 'picked' then -m.amount
                       else 0
                   end as picked,
                   case when m.type = 'shipment_confirmed' and m.from_bucket = 'sellable' then m.amount else 0 end
                       as shipped,
                   (m.epoch, m.sequence) <= (c.epoch, c.sequence) as before
            from availability.movement m
            where m.tenant = $1 and m.handling = c.handling and m.moves and m.live
              and m.location = c.location and m.item = c.item and m.owner = c.owner and m.lot = c.lot
        ) m
    ) n
),
difference as (
    select h.location, h.item, h.owner, h.lot, h.handling, h.bucket, w.settled, w.settled - h.was as delta
    from handled h
    cross join lateral (
        select least(greatest(h.picked, 0), h.shipped) - least(greatest(h.picked_before, 0), h.shipped_before) as settled
    ) w
    where w.settled <> h.was
),
kept as (
    insert into availability.settlement (tenant, location, item, owner, lot, handling, bucket, settled)
    select $1, location, item, owner, lot, handling, bucket, settled from difference
    on conflict (tenant, location, item, owner, lot, handling, bucket) do update set settled = excluded.settled
)
select location, item, owner, bucket, lot, sum(case bucket when 'sellable' then delta else -delta end) as delta
from difference
group by location, item, owner, bucket, lot

-- name: groups_after
select distinct m.location, m.item, m.owner, m.lot, m.handling
from availability.movement m
join unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
     as k (location, item, owner, lot, epoch, sequence)
  on m.location = k.location and m.item = k.item and m.owner = k.owner and m.lot = k.lot
 and (m.epoch, m.sequence) > (k.epoch, k.sequence)
where m.tenant = $1 and m.moves and m.live and m.handling is not null

-- name: drop_settlements
delete from availability.settlement s
using unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as k (location, item, owner, bucket, lot)
where s.tenant = $1 and s.location = k.location and s.item = k.item and s.owner = k.owner and s.bucket = k.bucket
  and s.lot = k.lot

-- name: rebase
with standing as (
    select w.*, coalesce(p.amount, 0) as before,
           row(w.epoch, w.sequence, w.event collate "C")
             = row(coalesce(p.cut_epoch, f.cut_epoch, -1), coalesce(p.cut_sequence, f.cut_sequence, -1),
                   coalesce(p.cut_event, f.cut_event, '')) as same,
           coalesce(p.cut_epoch, f.cut_epoch, -1) as was_epoch,
           coalesce(p.cut_sequence, f.cut_sequence, -1) as was_sequence,
           p.tenant is not null or f.tenant is not null as known,
           row(w.epoch, w.sequence, w.event collate "C")
             > row(coalesce(p.cut_epoch, f.cut_epoch, -1), coalesce(p.cut_sequence, f.cut_sequence, -1),
                   coalesce(p.cut_event, f.cut_event, '')) as later
    from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::bigint[], $9::bigint[],
                $10::text[], $11::timestamptz[])
         as w (location, item, owner, bucket, lot, figure, epoch, sequence, event, taken_at)
    left join availability.position p
      on p.tenant = $1 and p.location = w.location and p.item = w.item and p.owner = w.owner
     and p.bucket = w.bucket and p.lot = w.lot
    left join availability.full_snapshot f on p.tenant is null and f.tenant = $1 and f.location = w.location
),
figured as (
    select s.*, after.straddled, case when s.same then s.before + s.figure else s.figure + after.amount end as amount
    from standing s
    cross join lateral (
        select coalesce(sum(case when m.to_bucket = s.bucket then m.amount else 0 end
                            - case when m.from_bucket = s.bucket then m.amount else 0 end), 0) as amount,
               coalesce(bool_or((m.first_epoch, m.first_sequence) <= (s.epoch, s.sequence)), false) as straddled
        from availability.movement m
        where not s.same and m.tenant = $1 and m.location = s.location and m.item = s.item
          and (m.epoch, m.sequence) > (s.epoch, s.sequence)
          and m.owner = s.owner and m.lot = s.lot and m.moves and m.live and m.type <> 'cycle_counted'
    ) after
    where s.same or s.later
),
written as (
    insert into availability.position as p
        (tenant, location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, cut_event, as_of)
    select $1, location, item, owner, bucket, lot, amount, epoch, sequence, event, taken_at from figured
    on conflict (tenant, location, item, owner, bucket, lot) do update
    set amount = excluded.amount, cut_epoch = excluded.cut_epoch, cut_sequence = excluded.cut_sequence,
        cut_event = excluded.cut_event, as_of = greatest(p.as_of, excluded.as_of)
)
select location, item, owner, bucket, lot, before, same, epoch, sequence, was_epoch, was_sequence, known, straddled from figured

-- name: keep_figures
insert into availability.figure
    (tenant, location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, cut_event, taken_at)
select $1, u.* from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::bigint[],
                           $9::bigint[], $10::text[], $11::timestamptz[]) as u

-- name: recall
-- Figures whose absolute figure was taken back: from the latest of the others, and everything after it.
with standing as (
    select k.*, b.epoch, b.sequence, b.event, b.amount, b.taken_at
    from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as k (location, item, owner, bucket, lot)
    cross join lateral (
        select told.epoch, told.sequence, told.event, sum(told.amount) as amount, max(told.taken_at) as taken_at
        from (
            select -1::bigint as epoch, -1::bigint as sequence, '' collate "C" as event, 0::numeric as amount,
                   'epoch'::timestamptz as taken_at
            union all
            select f.cut_epoch, f.cut_sequence, f.cut_event, f.amount, f.taken_at from availability.figure f
            where f.tenant = $1 and f.location = k.location and f.item = k.item and f.owner = k.owner
              and f.bucket = k.bucket and f.lot = k.lot
            union all
            select c.cut_epoch, c.cut_sequence, c.cut_event, 0, c.taken_at from availability.full_cut c
            where c.tenant = $1 and c.location = k.location
            union all
            select m.epoch, m.sequence, m.event_id || case when m.revision > 0 then '#' || lpad(m.revision::text, 6, '0')
                   else '' end collate "C", m.amount, m.occurred_at
            from availability.movement m
            where m.tenant = $1 and m.location = k.location and m.item = k.item and m.owner = k.owner and m.lot = k.lot
              and m.type = 'cycle_counted' and m.to_bucket = k.bucket and m.moves and m.live
        ) told
        group by told.epoch, told.sequence, told.event
        order by told.epoch desc, told.sequence desc, told.event desc limit 1
    ) b
)
insert into availability.position as p
    (tenant, location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, cut_event, as_of)
select $1, s.location, s.item, s.owner, s.bucket, s.lot, s.amount + after.amount, s.epoch, s.sequence, s.event, s.taken_at
from standing s
cross join lateral (
    select coalesce(sum(case when m.to_bucket = s.bucket then m.amount else 0 end
                        - case when m.from_bucket = s.bucket then m.amount else 0 end), 0) as amount
    from availability.movement m
    where m.tenant = $1 and m.location = s.location and m.item = s.item
      and (m.epoch, m.sequence) > (s.epoch, s.sequence)
      and m.owner = s.owner and m.lot = s.lot and m.moves and m.live and m.type <> 'cycle_counted'
) after
on conflict (tenant, location, item, owner, bucket, lot) do update
set amount = excluded.amount, cut_epoch = excluded.cut_epoch, cut_sequence = excluded.cut_sequence,
    cut_event = excluded.cut_event
returning p.location, p.item, p.owner, p.bucket, p.lot, p.cut_epoch as epoch, p.cut_sequence as sequence

-- name: keys_at
select p.location, p.item, p.owner, p.bucket, p.lot
from availability.position p
where p.tenant = $1 and p.location = any($2::text[])

-- name: lines_at
select item, location, owner from availability.stock_line where tenant = $1 and location = any($2::text[])

-- name: amounts_of
select p.location, p.item, p.owner, p.bucket, p.lot, p.amount
from availability.position p
join unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as k (location, item, owner, bucket, lot)
  using (location, item, owner, bucket, lot)
where p.tenant = $1

-- name: cut_full
insert into availability.full_snapshot as f (tenant, location, cut_epoch, cut_sequence, cut_event, taken_at)
select $1, location, $3, $4, $5, $6 from unnest($2::text[]) as location
on conflict (tenant, location) do update
set cut_epoch = excluded.cut_epoch, cut_sequence = excluded.cut_sequence, cut_event = excluded.cut_event,
    taken_at = excluded.taken_at
where (excluded.cut_epoch, excluded.cut_sequence, excluded.cut_event) > (f.cut_epoch, f.cut_sequence, f.cut_event)

-- name: keep_full_cut
insert into availability.full_cut (tenant, location, cut_epoch, cut_sequence, cut_event, taken_at)
select $1, location, $3, $4, $5, $6 from unnest($2::text[]) as location

-- name: insert_snapshot
insert into availability.snapshot
    (snapshot, tenant, source, event_id, cut_epoch, cut_sequence, taken_at, full_scope, moves, figures, drifted, drift)
values ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: move_balances
insert into availability.balance as b (tenant, kind, document, item, opened, closed)
select $1, u.* from unnest($2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[]) as u
on conflict (tenant, kind, document, item) do update
set opened = b.opened + excluded.opened, closed = b.closed + excluded.closed

-- name: park
insert into availability.parked (tenant, source, event_id, line, kind, fingerprint, cause, detail, mendable, payload)
select $1, u.* from unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::bytea[], $7::text[], $8::text[],
                           $9::boolean[], $10::jsonb[]) as u
on conflict (tenant, source, event_id, line, kind, fingerprint) do nothing
returning id, source, event_id, line, kind, cause, detail

-- name: parked_open
select id, kind, payload from availability.parked
where tenant = $1 and ($2::text is null or source = $2) and resolved_at is null and mendable and kind <> 'demand'
  and id > $3
  and ($5::text[] is null or (source, availability.waits_for(payload)) in (select * from unnest($5::text[], $6::text[])))
  and ($7::text[] is null or payload ? 'locations'
       or (source, availability.waits_at(payload)) in (select * from unnest($7::text[], $8::text[])))
order by id limit $4

-- name: parked_among
select id, kind, payload from availability.parked
where tenant = $1 and id = any($2::bigint[]) and resolved_at is null and mendable and kind <> 'demand'
order by id

-- name: parked_list
select id, source, event_id, line, kind, cause, detail, mendable, parked_at from availability.parked
where tenant = $1 and resolved_at is null and ($2::bigint is null or id < $2)
order by id desc limit $3

-- name: resolve_parked
update availability.parked set resolved_at = now()
where tenant = $1 and id = any($2::bigint[]) and resolved_at is null
returning id

-- name: hear
-- A source that is being noted by somebody else is heard all the same.
with known as (
    select source, heard_at from availability.source where tenant = $1 and source = any($2::text[])
),
stale as (
    select source from availability.source where tenant = $1 and source = any($2::text[])
      and heard_at < $3::timestamptz - interval '1 second'
    order by source for update skip locked
),
heard as (
    update availability.source s set heard_at = greatest(s.heard_at, $3) from stale
    where s.tenant = $1 and s.source = stale.source
)
insert into availability.source (tenant, source, heard_at)
select $1, source, $3 from unnest($2::text[]) as source where source not in (select source from known)
order by source
on conflict (tenant, source) do nothing

-- name: sources
select source, heard_at, compared_at, figures, drifted from availability.source_heard where tenant = $1

-- name: lock_orders
insert into availability.claim_order as o (tenant, order_id, version)
select $1, order_id, 2 from unnest($2::text[]) as order_id order by order_id
on conflict (tenant, order_id) do update set version = o.version + 2
returning order_id, version

-- name: move_progress
insert into availability.progress as p (tenant, order_id, order_line, location, item, picked, shipped)
select $1, u.* from unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::numeric[], $7::numeric[]) as u
on conflict (tenant, order_id, order_line, location, item) do update
set picked = p.picked + excluded.picked, shipped = p.shipped + excluded.shipped

-- name: progress_of
select order_id, order_line, location, item, picked, shipped from availability.progress
where tenant = $1 and order_id = any($2::text[])

-- name: claims_of
select claim, order_id, order_line, item, location, owner, channel, amount, consumed, released, state, commitment,
       allotment, short, kit, per_kit
from availability.claim where tenant = $1 and order_id = any($2::text[]) order by claim

-- name: update_claims
update availability.claim c
set consumed = u.consumed, released = u.released, state = u.state, commitment = u.commitment,
    short = least(c.short, c.amount - u.consumed - u.released),
    ended_at = case when u.state in ('fulfilled', 'released') then coalesce(c.ended_at, $6) end,
    expires_at = case when u.state <> 'allocated' then c.expires_at end
from unnest($2::text[], $3::numeric[], $4::numeric[], $5::text[], $7::text[])
     as u (claim, consumed, released, state, commitment)
where c.tenant = $1 and c.claim = u.claim

-- name: move_channels
-- What a claim gives back of an allotment counts as long as the counter counts for that one. Several rows of one counter
-- are of different allotments.
with locked as (
    select c.item, c.channel, c.owner, c.allotment, u.allotment as under, u.delta, u.drawn from availability.channel_line c
    join unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[])
         as u (item, channel, owner, allotment, delta, drawn) using (item, channel, owner)
    where c.tenant = $1
    order by c.item, c.channel, c.owner
    for update of c
),
moved as (
    select item, channel, owner, sum(delta) as delta, coalesce(sum(drawn) filter (where under = allotment), 0) as drawn
    from locked group by item, channel, owner
)
update availability.channel_line c
set open = c.open + m.delta, drawn = greatest(0, c.drawn + m.drawn), version = c.version + 1
from moved m
where c.tenant = $1 and c.item = m.item and c.channel = m.channel and c.owner = m.owner
returning c.item, c.channel, c.owner, c.open, c.version, c.allotment, c.drawn

-- name: lock_lines
-- `awaited` are the lines that promises wait at, `places` where the rows of all are, in the order of the arrays.
select count(*) as locked, array_agg(array[item, location, owner]) filter (where waiting > 0) as awaited,
       array_agg(at::text order by number)::text as places
from (
    select l.item, l.location, l.owner, l.waiting, l.ctid as at, k.number from availability.stock_line l
    join unnest($2::text::text[], $3::text::text[], $4::text::text[]) with ordinality as k (item, location, owner, number)
      using (item, location, owner)
    where l.tenant = $1
    order by l.item, l.location, l.owner
    for update of l
) as locked

-- name: lock_place
-- As `lock_lines`, of lines of one location ($3) and owner ($4): one walk through the index instead of a search for each.
select count(*) as locked, array_agg(array[item, $3, $4]) filter (where waiting > 0) as awaited,
       array_agg(at::text order by item collate "C")::text as places
from (
    select l.item, l.waiting, l.ctid as at from availability.stock_line l
    where l.tenant = $1 and l.item = any($2::text::text[]) and l.location = $3 and l.owner = $4
    order by l.item
    for update
) as locked

-- name: make_lines
insert into availability.stock_line (tenant, item, location, owner)
select $1, u.* from unnest($2::text::text[], $3::text::text[], $4::text::text[]) as u (item, location, owner)
order by item, location, owner
on conflict (tenant, item, location, owner) do nothing

-- name: move_promises
update availability.stock_line l
set reserved = l.reserved + k.reserved, allocated = l.allocated + k.allocated, external = l.external + k.external,
    short = least(l.short, greatest(0, l.reserved + k.reserved + l.allocated + k.allocated + l.external + k.external - l.sellable)),
    version = l.version + 1
from unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::numeric[], $6::text::numeric[], $7::text::numeric[], $8::text::timestamptz[])
     as k (item, location, owner, reserved, allocated, external, as_of)
where l.tenant = $1 and l.item = k.item and l.location = k.location and l.owner = k.owner
returning l.item, l.location, l.owner, l.on_hand, l.sellable, l.reserved, l.allocated, l.external, l.short,
          l.version, l.as_of, l.negative, l.negative as was_negative, 0::numeric as lowest

-- name: lock_shelf
-- The orders first: no row of a stock line leaves the join, and none is locked, before `held` is complete.
-- Amounts as text: asyncpg takes five times as long over a numeric.
with held as (
    insert into availability.claim_order as o (tenant, order_id, version)
    select $1, order_id, 2 from unnest($2::text::text[]) as order_id order by order_id
    on conflict (tenant, order_id) do update set version = o.version + 2
    returning order_id
)
select l.item, l.location, l.owner, l.on_hand::text, l.sellable::text, l.reserved::text, l.allocated::text,
       l.external::text, l.short::text, l.version, l.as_of
from (select count(*) from held) as first, availability.stock_line l
where l.tenant = $1 and l.item = any($3::text::text[])
order by l.item, l.location, l.owner
for update of l

-- name: claim_heads
-- Asked behind the locks of `lock_shelf`, in a statement of its own, so that its snapshot sees what they waited for.
-- What few claims need is asked for by itself: a part that is never run costs each claim its preparation, and one that is
-- expensive by estimate has PostgreSQL plan all of this anew every time.
select
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
    (select jsonb_agg(jsonb_build_array(s.item, s.location, s.owner, t.expires_on, p.amount::text))
     from availability.lot t
     join availability.stock_line s on s.tenant = $1 and s.item = t.item
     join availability.position p
       on p.tenant = $1 and p.location = s.location and p.item = s.item and p.owner = s.owner and p.bucket = 'sellable'
      and p.lot = t.lot
     where t.tenant = $1 and t.item = any($5::text::text[]) and p.amount > 0) as lots,
    counter.*
from (
    select $4::text::text[] || array(
        select distinct channel from availability.channel_rule where tenant = $1 and fences) as channels
) as asked
cross join (
    select jsonb_object_agg(order_id, version) as versions,
           array_agg(order_id) filter (where cancelled_at is not null) as cancelled
    from availability.claim_order where tenant = $1 and order_id = any($3::text::text[])
) as orders
cross join lateral (
    select array_agg(item) as items, array_agg(channel) as channels, array_agg(owner) as owners,
           array_agg(open::text) as open, array_agg(version) as counted, array_agg(allotment) as allotments,
           array_agg(drawn::text) as drawn
    from availability.channel_line where tenant = $1 and item = any($5::text::text[]) and channel = any(asked.channels)
) as counter

-- name: claims_made
-- The answer of a claim is kept as the ids of its claims: what they were made with never changes.
select claim, order_line, item, location, amount, kit, per_kit from availability.claim
where tenant = $1 and claim = any($2::text::text[])

-- name: doubts
select (select coalesce(jsonb_object_agg(source, jsonb_build_object(
            'at', heard_at, 'compared_at', compared_at, 'figures', figures, 'drifted', drifted)), '{}')
        from availability.source_heard where tenant = $1) as heard,
       (select coalesce(jsonb_object_agg(location, jsonb_build_object(
            'holder', holder, 'awaiting', snapshot_at is null)), '{}')
        from availability.holder_now where tenant = $1) as held

-- name: reserve_lines
update availability.stock_line l
set reserved = l.reserved + k.reserved, version = l.version + 1
from unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::numeric[]) as k (item, location, owner, reserved)
where l.tenant = $1 and l.item = k.item and l.location = k.location and l.owner = k.owner

-- name: insert_claims
insert into availability.claim
    (claim, tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state, action,
     made_at, expires_at, allotment, priority, need_by, pinned)
select u.claim, $1, u.order_id, u.line, u.item, u.location, u.owner, u.channel, u.rule_version, u.amount,
       'reserved', u.action, $2, u.expires_at, u.allotment, u.priority, u.need_by, u.pinned
from (
    select unnest($3::text::text[]) as claim, unnest($4::text::text[]) as order_id, unnest($5::text::int[]) as line,
           unnest($6::text::text[]) as item, unnest($7::text::text[]) as location, unnest($8::text::text[]) as owner,
           unnest($9::text::text[]) as channel, unnest($10::text::bigint[]) as rule_version,
           unnest($11::text::numeric[]) as amount, unnest($12::text::text[]) as action,
           unnest($13::text::timestamptz[]) as expires_at, unnest($14::text::text[]) as allotment,
           unnest($15::text::int[]) as priority, unnest($16::text::date[]) as need_by,
           unnest($17::text::boolean[]) as pinned
) as u

-- name: insert_actions
insert into availability.action (tenant, action, verb, order_id, fingerprint, answer)
select $1, u.action, 'claim', u.order_id, u.fingerprint, u.answer
from unnest($2::text::text[], $3::text::text[], $4::bytea[], $5::text::jsonb[]) as u (action, order_id, fingerprint, answer)

-- name: raise_channels
insert into availability.channel_line as c (tenant, item, channel, owner, open, allotment, drawn)
select $1, k.item, k.channel, k.owner, k.open, k.allotment, case when k.allotment is null then 0 else k.open end
from unnest($2::text::text[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::numeric[])
     as k (item, channel, owner, allotment, open)
order by k.item, k.channel, k.owner
on conflict (tenant, item, channel, owner) do update
set open = c.open + excluded.open, version = c.version + 1, allotment = coalesce(excluded.allotment, c.allotment),
    drawn = excluded.drawn
            + case when excluded.allotment is null or excluded.allotment = c.allotment then c.drawn else 0 end

-- name: order_claims
select a.fingerprint, a.answer, a.verb, c.claim, c.order_id, c.order_line, c.item, c.location, c.owner, c.channel,
       c.amount, c.consumed, c.released, c.state, c.commitment, c.allotment, c.short, c.expires_at, c.kit, c.per_kit
from (select) as one
left join availability.action a on a.tenant = $1 and a.action = $2
left join availability.claim c on c.tenant = $1 and c.order_id = $3
order by c.claim

-- name: record_action
insert into availability.action (tenant, action, verb, order_id, fingerprint, answer) values ($1, $2, $3, $4, $5, $6)

-- name: expired_orders
-- By the record's clock, whatever the worker's says.
select order_id, tenant from availability.claim
where state = 'reserved' and expires_at is not null and expires_at <= now()
union
select order_id, tenant from availability.claim
where state = 'promised' and expires_at is not null and expires_at <= now()
order by tenant, order_id limit $1

-- name: lines_of_items
select l.item, l.location, l.owner, l.on_hand, l.sellable, l.reserved, l.allocated, l.external, l.short, l.version, l.as_of
from availability.stock_line l
where l.tenant = $1 and l.item = any($2::text[])

-- name: channels_of_items
select item, channel, owner, open, version, allotment, drawn from availability.channel_line where tenant = $1 and item = any($2::text[])

-- name: positions
select location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, as_of from availability.position
where tenant = $1 and item = any($2::text[]) and ($3::text is null or location = $3)
order by item, location, owner, bucket, lot

-- name: positions_at
-- Figures as they were known at $4 (recorded) and had happened at $5 (occurred), up to the order key ($6, $7) where that
-- is given: reckoned from what was told, not kept.
with place as (
    select distinct l.location, l.item from availability.stock_line l
    where l.tenant = $1 and l.item = any($2::text[]) and ($3::text is null or l.location = $3)
),
key as (
    select p.location, p.item, p.owner, p.bucket, p.lot
    from place join availability.position p using (location, item) where p.tenant = $1
    union
    select f.location, f.item, f.owner, f.bucket, f.lot
    from place join availability.figure f using (location, item) where f.tenant = $1
),
moved as (
    select m.* from place join availability.movement m using (location, item)
    where m.tenant = $1 and m.moves and m.live and m.recorded_at <= $4 and m.occurred_at <= $5
      and ($6::bigint is null or (m.epoch, m.sequence) <= ($6, $7::bigint))
    union all
    select m.* from place join availability.movement m using (location, item)
    where m.tenant = $1 and m.moves and not m.live and m.recorded_at <= $4 and m.retired_at > $4 and m.occurred_at <= $5
      and ($6::bigint is null or (m.epoch, m.sequence) <= ($6, $7::bigint))
),
told as (
    select f.location, f.item, f.owner, f.bucket, f.lot, f.amount, f.cut_epoch as epoch, f.cut_sequence as sequence,
           f.cut_event as event, f.taken_at
    from place join availability.figure f using (location, item)
    where f.tenant = $1 and f.recorded_at <= $4 and f.taken_at <= $5
      and ($6::bigint is null or (f.cut_epoch, f.cut_sequence) <= ($6, $7::bigint))
    union all
    select k.location, k.item, k.owner, k.bucket, k.lot, 0, c.cut_epoch, c.cut_sequence, c.cut_event, c.taken_at
    from key k join availability.full_cut c on c.tenant = $1 and c.location = k.location
    where c.recorded_at <= $4 and c.taken_at <= $5
      and ($6::bigint is null or (c.cut_epoch, c.cut_sequence) <= ($6, $7::bigint))
    union all
    select m.location, m.item, m.owner, m.to_bucket, m.lot, m.amount, m.epoch, m.sequence,
           m.event_id || case when m.revision > 0 then '#' || lpad(m.revision::text, 6, '0') else '' end collate "C",
           m.occurred_at
    from moved m where m.type = 'cycle_counted'
    union all
    select k.*, 0, -1, -1, '', null from key k
),
standing as (
    select distinct on (location, item, owner, bucket, lot)
           location, item, owner, bucket, lot, epoch, sequence, sum(amount) as amount, max(taken_at) as taken_at
    from told
    group by location, item, owner, bucket, lot, epoch, sequence, event
    order by location, item, owner, bucket, lot, epoch desc, sequence desc, event collate "C" desc
),
settled as (
    select location, item, owner, bucket, lot,
           sum(least(greatest(picked, 0), shipped) - least(greatest(picked_before, 0), shipped_before)) as amount
    from (
        select s.location, s.item, s.owner, s.bucket, s.lot, n.handling, sum(n.picked) as picked, sum(n.shipped) as shipped,
               coalesce(sum(n.picked) filter (where (n.epoch, n.sequence) <= (s.epoch, s.sequence)), 0) as picked_before,
               coalesce(sum(n.shipped) filter (where (n.epoch, n.sequence) <= (s.epoch, s.sequence)), 0) as shipped_before
        from standing s
        join (
            select m.*, case when m.type = 'pick_confirmed' then m.amount
                             when m.type = 'unpicked' or m.from_bucket = 'picked' then -m.amount
                             else 0 end as picked,
                   case when m.type = 'shipment_confirmed' and m.from_bucket = 'sellable' then m.amount else 0 end as shipped
            from moved m where m.handling is not null
        ) n on n.location = s.location and n.item = s.item and n.owner = s.owner and n.lot = s.lot
        where s.bucket in ('sellable', 'picked')
        group by s.location, s.item, s.owner, s.bucket, s.lot, n.handling
    ) handled
    group by location, item, owner, bucket, lot
)
select s.location, s.item, s.owner, s.bucket, s.lot,
       s.amount + after.amount + case s.bucket when 'sellable' then coalesce(t.amount, 0) else -coalesce(t.amount, 0) end
           as amount,
       s.epoch as cut_epoch, s.sequence as cut_sequence, greatest(s.taken_at, after.as_of) as as_of
from standing s
left join settled t on (t.location, t.item, t.owner, t.bucket, t.lot) = (s.location, s.item, s.owner, s.bucket, s.lot)
cross join lateral (
    select coalesce(sum(case when m.to_bucket = s.bucket then m.amount else 0 end
                        - case when m.from_bucket = s.bucket then m.amount else 0 end), 0) as amount,
           max(m.occurred_at) as as_of
    from moved m
    where m.location = s.location and m.item = s.item and m.owner = s.owner and m.lot = s.lot
      and m.type <> 'cycle_counted' and s.bucket in (m.from_bucket, m.to_bucket)
      and (m.epoch, m.sequence) > (s.epoch, s.sequence)
) after
where greatest(s.taken_at, after.as_of) is not null
order by s.item, s.location, s.owner, s.bucket, s.lot

-- name: movements_of_line
select movement, source, event_id, line, revision, type, occurred_at, recorded_at, owner, lot, from_bucket, to_bucket,
       amount, source_amount, source_uom, factor, order_id, order_line, document, reason, epoch, sequence, moves
from availability.movement
where tenant = $1 and location = $2 and item = $3 and live
order by epoch desc, sequence desc, recorded_at desc limit $4

-- name: claims_of_line
select claim, order_id, order_line, owner, channel, amount, consumed, released, state, made_at, expires_at, due,
       expected, kit, per_kit
from availability.claim
where tenant = $1 and item = $2 and location = $3 and amount - consumed - released > 0
order by claim limit $4

-- name: all_lines
select tenant, item, location, owner, on_hand, sellable, reserved, allocated, external, short, version, as_of
from availability.stock_line where (tenant, item, location, owner) > ($1, $2, $3, $4)
order by tenant, item, location, owner limit $5

-- name: all_channels
select tenant, item, channel, owner, open, version, allotment, drawn from availability.channel_line
where (tenant, item, channel, owner) > ($1, $2, $3, $4)
order by tenant, item, channel, owner limit $5

-- name: log_epoch
select log_epoch from store.installation

-- name: is_dirty
select dirty from availability.projection

-- name: set_dirty
update availability.projection set dirty = $1 where dirty <> $1

-- name: claims_due
select claim, order_id, order_line, item, location, owner, channel, amount, consumed, released, state, commitment,
       allotment, short, kit, per_kit
from availability.claim
where tenant = $1 and order_id = $2 and state in ('reserved', 'promised') and expires_at <= now() order by claim

-- name: extend_claims
update availability.claim
set expires_at = greatest(expires_at, clock_timestamp() + $3::interval)
where tenant = $1 and order_id = $2 and state in ('reserved', 'promised') and expires_at is not null
returning claim, order_line, item, location, amount, state, expires_at, kit, per_kit

-- name: cancel_order
update availability.claim_order set cancelled_at = now()
where tenant = $1 and order_id = $2 and cancelled_at is null

-- name: forget_orders
delete from availability.claim_order o
where o.tenant = $1 and o.order_id = any($2::text::text[]) and o.version = 2

-- name: cancelled_orders
select order_id from availability.claim_order
where tenant = $1 and order_id = any($2::text[]) and cancelled_at is not null

-- name: transfer_claims
insert into availability.claim
    (claim, tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state, action,
     made_at, expires_at, commitment, allotment, priority, need_by, pinned, short, due, expected, kit, per_kit)
select u.claim, $1, $2, c.order_line, c.item, c.location, c.owner, c.channel, c.rule_version, u.amount, u.state, $3, $4,
       c.expires_at, c.commitment, c.allotment, c.priority, c.need_by, c.pinned, least(c.short, u.amount), c.due, c.expected,
       c.kit, c.per_kit
from unnest($5::text[], $6::text[], $7::numeric[], $8::text[]) as u (claim, origin, amount, state)
join availability.claim c on c.tenant = $1 and c.claim = u.origin

-- name: claims_of_order
select claim, order_id, order_line, item, location, owner, channel, amount, consumed, released, state, made_at,
       expires_at, ended_at, due, expected, kit, per_kit
from availability.claim where tenant = $1 and order_id = $2 order by claim
