-- How far history reaches, and what of it is condensed. Parameters: $1 is the tenant unless said otherwise.

-- name: lock_spans
select pg_advisory_xact_lock(hashtextextended('crossdock.availability.history', 0))

-- name: spans
-- $1 are the tables.
select p.relname, c.relname, pg_get_expr(c.relpartbound, c.oid), greatest(c.reltuples, 0)::bigint,
       pg_total_relation_size(c.oid)
from unnest($1::text[]) with ordinality as t (name, number)
join pg_class p on p.oid = ('availability.' || t.name)::regclass
join pg_inherits i on i.inhparent = p.oid
join pg_class c on c.oid = i.inhrelid
order by t.number, c.relname like '%carried' desc, c.relname like '%first' desc, c.relname

-- name: clock
-- Without parameters: the record's.
select clock_timestamp()

-- name: reach
select since, after_item is not null as condensing, moved_at from availability.history where tenant = $1

-- name: begin
-- From now on nothing is answered of what is about to be condensed.
insert into availability.history (tenant, since, after_item, after_location, after_owner) values ($1, $2, '', '', '')
on conflict (tenant) do update
set since = excluded.since, after_item = '', after_location = '', after_owner = '', moved_at = now()
where availability.history.since < excluded.since and availability.history.after_item is null

-- name: lock_turn
-- Whoever condenses holds this row; the others go on without.
select since, after_item, after_location, after_owner from availability.history
where tenant = $1 and after_item is not null
for update skip locked

-- name: lock_next_lines
select item, location, owner from availability.stock_line
where tenant = $1 and (item, location, owner) > ($2, $3, $4)
order by item, location, owner limit $5
for update

-- name: note_progress
update availability.history set after_item = $2, after_location = $3, after_owner = $4, moved_at = now() where tenant = $1

-- name: first_of
select min(m.recorded_at)
from unnest($3::text[], $4::text[], $5::text[]) as k (item, location, owner)
join availability.movement m
  on m.tenant = $1 and m.location = k.location and m.item = k.item and m.owner = k.owner
where m.moves and m.live and m.recorded_at > '-infinity' and m.recorded_at < $2

-- name: put_aside
-- What was recorded before $2 and still counts by itself: it happened later, or was replaced later.
update availability.movement m set recorded_at = '-infinity'
from unnest($3::text[], $4::text[], $5::text[]) as k (item, location, owner)
where m.tenant = $1 and m.location = k.location and m.item = k.item and m.owner = k.owner and m.moves
  and m.recorded_at > '-infinity' and m.recorded_at < $2
  and (m.live and m.occurred_at >= $2 or not m.live and m.retired_at >= $2)

-- name: put_figures_aside
update availability.figure f set recorded_at = '-infinity'
from unnest($3::text[], $4::text[], $5::text[]) as k (item, location, owner)
where f.tenant = $1 and f.location = k.location and f.item = k.item and f.owner = k.owner
  and f.recorded_at > '-infinity' and f.recorded_at < $2 and f.taken_at >= $2

-- name: condense
-- Everything about these stock lines, which the caller has locked, that was recorded and happened before $2:
-- of absolute figures the latest of each key is kept (`base`), of deltas their sums. A sum never reaches over a cut-off
-- that is kept (`stretch` counts those before it), so every figure comes to the same from any of them. Picks and shipments
-- are summed by what groups them, until nothing of the group is left in `picked`: then what its shipments took from there
-- is part of the sums.
with k as (
    select * from unnest($3::text[], $4::text[], $5::text[]) as k (item, location, owner)
),
old as (
    select m.* from k join availability.movement m
      on m.tenant = $1 and m.location = k.location and m.item = k.item and m.owner = k.owner
    where m.moves and m.live
),
replaced as (
    select m.* from k join availability.movement m
      on m.tenant = $1 and m.location = k.location and m.item = k.item and m.owner = k.owner
    where m.moves and not m.live
),
counted as (
    select o.location, o.item, o.owner, o.to_bucket as bucket, o.lot, o.amount, o.epoch, o.sequence,
           o.event_id || case when o.revision > 0 then '#' || lpad(o.revision::text, 6, '0') else '' end collate "C" as event,
           o.occurred_at as taken_at, o.live and o.recorded_at < $2 and o.occurred_at < $2 as past
    from (select * from old union all select * from replaced where retired_at >= $2) o
    where o.type = 'cycle_counted'
),
figure as (
    select f.location, f.item, f.owner, f.bucket, f.lot, f.amount,
           f.cut_epoch as epoch, f.cut_sequence as sequence, f.cut_event as event, f.taken_at, f.recorded_at,
           f.recorded_at < $2 and f.taken_at < $2 as past
    from k join availability.figure f on f.tenant = $1 and f.location = k.location and f.item = k.item and f.owner = k.owner
),
cleared as (
    select c.location, c.cut_epoch as epoch, c.cut_sequence as sequence, c.cut_event as event,
           c.recorded_at < $2 and c.taken_at < $2 as past
    from availability.full_cut c
    where c.tenant = $1 and c.location in (select location from k)
),
place as (
    select location, item, owner, lot, from_bucket as bucket from old where from_bucket is not null
    union select location, item, owner, lot, to_bucket from old where to_bucket is not null
    union select location, item, owner, lot, bucket from figure
    union select location, item, owner, lot, bucket from counted
    union select p.location, p.item, p.owner, p.lot, p.bucket
          from k join availability.position p
            on p.tenant = $1 and p.location = k.location and p.item = k.item and p.owner = k.owner
),
base as (
    select distinct on (location, item, owner, bucket, lot) location, item, owner, bucket, lot, epoch, sequence, event
    from (
        select location, item, owner, bucket, lot, epoch, sequence, event from figure where past
        union all
        select location, item, owner, bucket, lot, epoch, sequence, event from counted where past
        union all
        select p.location, p.item, p.owner, p.bucket, p.lot, c.epoch, c.sequence, c.event
        from place p join cleared c using (location) where c.past
    ) told
    order by location, item, owner, bucket, lot, epoch desc, sequence desc, event collate "C" desc
),
cut as (
    select location, item, owner, lot, epoch, sequence from figure where not past
    union select location, item, owner, lot, epoch, sequence from counted where not past
    union select location, item, owner, lot, epoch, sequence from base
    union select p.location, p.item, p.owner, p.lot, c.epoch, c.sequence
          from (select location, item, owner, lot, max(array[epoch, sequence]) as last from old
                where recorded_at < $2 and occurred_at < $2 group by location, item, owner, lot) p
          join cleared c on c.location = p.location and not c.past and array[c.epoch, c.sequence] < p.last
    union select p.location, p.item, p.owner, p.lot, p.cut_epoch, p.cut_sequence
          from k join availability.position p
            on p.tenant = $1 and p.location = k.location and p.item = k.item and p.owner = k.owner
),
stretched as (
    select ordered.*, count(*) filter (where movement is null) over (
               partition by location, item, owner, lot order by epoch, sequence, movement is null
               rows between unbounded preceding and current row) as stretch
    from (
        select o.location, o.item, o.owner, o.lot, o.epoch, o.sequence, o.movement, o.recorded_at, o.type, o.handling,
               o.from_bucket, o.to_bucket, o.amount, o.occurred_at, o.recorded_at < $2 and o.occurred_at < $2 as past,
               coalesce(o.first_epoch, o.epoch) as first_epoch, coalesce(o.first_sequence, o.sequence) as first_sequence,
               coalesce(o.carried, 1) as carried,
               case when o.type = 'pick_confirmed' then o.amount
                    when o.type = 'unpicked' or o.from_bucket = 'picked' then -o.amount
                    else 0 end as picked,
               case when o.type = 'shipment_confirmed' and o.from_bucket = 'sellable' then o.amount else 0 end as shipped
        from old o where o.type <> 'cycle_counted'
        union all
        select c.location, c.item, c.owner, c.lot, c.epoch, c.sequence, null, null, null, null, null, null, null, null,
               null, null, null, null, null, null
        from cut c
    ) ordered
),
delta as (select * from stretched where movement is not null),
shut as (
    select d.location, d.item, d.owner, d.lot, d.handling
    from delta d
    where d.handling is not null
    group by d.location, d.item, d.owner, d.lot, d.handling
    having bool_and(d.past) and sum(d.picked) <= sum(d.shipped) and sum(d.picked) >= 0
       and not exists (
           select from replaced r
           where r.location = d.location and r.item = d.item and r.owner = d.owner and r.lot = d.lot
             and r.handling = d.handling and r.retired_at >= $2)
),
sorted as (
    select d.*, s.handling is not null as is_shut
    from delta d left join shut s using (location, item, owner, lot, handling)
    where d.past
),
taken as (
    select location, item, owner, lot, handling, stretch, first_epoch, first_sequence, epoch, sequence, occurred_at,
           settled - lag(settled, 1, 0) over (partition by location, item, owner, lot, handling order by stretch) as amount
    from (
        select location, item, owner, lot, handling, stretch, (min(array[first_epoch, first_sequence]))[1] as first_epoch,
               (min(array[first_epoch, first_sequence]))[2] as first_sequence,
               (max(array[epoch, sequence]))[1] as epoch, (max(array[epoch, sequence]))[2] as sequence,
               max(occurred_at) as occurred_at,
               least(greatest(sum(sum(picked)) over upto, 0), sum(sum(shipped)) over upto) as settled
        from sorted where is_shut
        group by location, item, owner, lot, handling, stretch
        window upto as (partition by location, item, owner, lot, handling order by stretch)
    ) s
),
side as (
    select location, item, owner, lot, to_bucket as bucket, stretch, amount, carried, occurred_at, first_epoch, first_sequence,
           epoch, sequence
    from sorted where to_bucket is not null and (handling is null or is_shut)
    union all
    select location, item, owner, lot, from_bucket, stretch, -amount, carried, occurred_at, first_epoch, first_sequence, epoch,
           sequence
    from sorted where from_bucket is not null and (handling is null or is_shut)
    union all
    select t.location, t.item, t.owner, t.lot, b.bucket, t.stretch, t.amount * b.sign, 0, null, t.first_epoch, t.first_sequence,
           t.epoch, t.sequence
    from taken t cross join (values ('sellable', 1), ('picked', -1)) as b (bucket, sign)
    where t.amount <> 0
),
summed as (
    select location, item, owner, lot, 'carried' as type, null::text as handling, null::text as from_bucket,
           bucket as to_bucket, sum(amount) as amount, sum(carried) as carried, max(occurred_at) as occurred_at,
           min(array[first_epoch, first_sequence]) as first, max(array[epoch, sequence]) as last
    from side
    group by location, item, owner, lot, bucket, stretch
    union all
    select location, item, owner, lot, type, handling, from_bucket, to_bucket, sum(amount), sum(carried), max(occurred_at),
           min(array[first_epoch, first_sequence]), max(array[epoch, sequence])
    from sorted where handling is not null and not is_shut
    group by location, item, owner, lot, type, handling, from_bucket, to_bucket, stretch
),
gone as (
    delete from availability.movement m using k
    where m.tenant = $1 and m.location = k.location and m.item = k.item and m.owner = k.owner and m.moves and m.live
      and m.recorded_at < $2 and m.occurred_at < $2
    returning 1
),
gone_replaced as (
    delete from availability.movement m using k
    where m.tenant = $1 and m.location = k.location and m.item = k.item and m.owner = k.owner and m.moves and not m.live
      and m.recorded_at < $2 and m.retired_at < $2
    returning 1
),
gone_figures as (
    delete from availability.figure f using k
    where f.tenant = $1 and f.location = k.location and f.item = k.item and f.owner = k.owner
      and f.recorded_at < $2 and f.taken_at < $2
    returning 1
),
gone_settlements as (
    delete from availability.settlement t using shut s
    where t.tenant = $1 and t.location = s.location and t.item = s.item and t.owner = s.owner and t.lot = s.lot
      and t.handling = s.handling
    returning 1
),
kept_figures as (
    insert into availability.figure
        (tenant, location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, cut_event, taken_at, recorded_at)
    select $1, b.location, b.item, b.owner, b.bucket, b.lot, sum(t.amount), b.epoch, b.sequence, b.event, max(t.taken_at),
           '-infinity'
    from base b
    join (
        select location, item, owner, bucket, lot, amount, epoch, sequence, event, taken_at from figure where past
        union all
        select location, item, owner, bucket, lot, amount, epoch, sequence, event, taken_at from counted where past
    ) t using (location, item, owner, bucket, lot, epoch, sequence, event)
    group by b.location, b.item, b.owner, b.bucket, b.lot, b.epoch, b.sequence, b.event
    returning 1
),
kept_movements as (
    insert into availability.movement
        (movement, tenant, source, event_id, line, revision, epoch, sequence, type, occurred_at, recorded_at, owner, location,
         item, lot, from_bucket, to_bucket, amount, source_item, source_location, source_amount, source_uom, factor, handling,
         reason, correlation_id, moves, carried, first_epoch, first_sequence)
    select s.name, $1, 'history', s.name, 0, 0, s.last[1], s.last[2], s.type,
           coalesce(s.occurred_at, '-infinity'), '-infinity', s.owner, s.location, s.item, s.lot, s.from_bucket, s.to_bucket,
           s.amount, '', '', s.amount, '', 1, s.handling, s.carried || ' movements that are no longer kept one by one', 'history', true, s.carried, s.first[1], s.first[2]
    from (select summed.*, 'mov_' || gen_random_uuid() as name from summed) s
    left join base b
      on b.location = s.location and b.item = s.item and b.owner = s.owner and b.lot = s.lot and b.bucket = s.to_bucket
    where s.handling is not null or b.item is null or (s.last[1], s.last[2]) > (b.epoch, b.sequence)
    returning 1
)
select (select count(*) from gone) + (select count(*) from gone_replaced) as movements,
       (select count(*) from kept_movements) as carried, (select count(*) from gone_figures) as figures

-- name: end_turn
update availability.history set after_item = null, after_location = null, after_owner = null, moved_at = now()
where tenant = $1

-- name: forget_cuts
-- Full snapshots that another one, known as long, comes after.
delete from availability.full_cut c
where c.tenant = $1 and c.recorded_at < $2 and c.taken_at < $2 and exists (
    select from availability.full_cut o
    where o.tenant = $1 and o.location = c.location and o.recorded_at < $2 and o.taken_at < $2
      and (o.cut_epoch, o.cut_sequence, o.cut_event) > (c.cut_epoch, c.cut_sequence, c.cut_event))

-- name: forget_drift
delete from availability.drift d using availability.snapshot s
where s.tenant = $1 and s.recorded_at < $2 and d.tenant = $1 and d.snapshot = s.snapshot

-- name: forget_snapshots
-- The last one of each source stays: it tells how true the source is.
delete from availability.snapshot s
where s.tenant = $1 and s.recorded_at < $2 and exists (
    select from availability.snapshot o
    where o.tenant = $1 and o.source = s.source and o.moves = s.moves and o.recorded_at > s.recorded_at)

-- name: forget_once
delete from availability.once
where ctid = any(array(
    select ctid from availability.once where tenant = $1 and recorded_at < $2 limit $3))

-- name: straddled
-- Whether a figure at this cut-off ($4, $5) would have to be told from sums that reach over it. $3: items, or null.
select exists (
    select from availability.movement_carried m
    where m.tenant = $1 and m.location = any($2::text[]) and ($3::text[] is null or m.item = any($3::text[]))
      and m.carried is not null and (m.first_epoch, m.first_sequence) <= ($4, $5) and (m.epoch, m.sequence) > ($4, $5))

-- name: kept_of
select m.movement from availability.movement m where m.tenant = $1 and m.movement = any($2::text[]) and m.live

-- name: keep_waiting
update availability.parked set cause = $3, detail = $4, mendable = false
where tenant = $1 and id = any($2::bigint[]) and resolved_at is null

-- name: told_before
select o.source, o.event_id, o.line from availability.once o
join unnest($2::text[], $3::text[], $4::int[]) as u (source, event_id, line) using (source, event_id, line)
where o.tenant = $1
