-- Snapshots in parts. Parameters: $1 is the tenant unless said otherwise; arrays run in parallel.

-- name: open_snapshot
insert into availability.parted_snapshot
    (tenant, source, event_id, cut_epoch, cut_sequence, taken_at, full_scope, locations, parts, fingerprint, name)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (tenant, source, event_id) do nothing

-- name: lock_snapshot
select id, parts, fingerprint, completed_at from availability.parted_snapshot
where tenant = $1 and source = $2 and event_id = $3
for update

-- name: keep_part
-- $1 is the snapshot.
insert into availability.snapshot_part (snapshot, number, fingerprint, figures) values ($1, $2, $3, $4)
on conflict (snapshot, number) do nothing
returning number

-- name: fingerprint_of_part
-- $1 is the snapshot.
select fingerprint from availability.snapshot_part where snapshot = $1 and number = $2

-- name: complete_snapshot
-- $1 is the snapshot. True when this was the last part that was missing.
with complete as (
    update availability.parted_snapshot s set completed_at = now()
    where s.id = $1 and s.completed_at is null
      and s.parts = (select count(*) from availability.snapshot_part p where p.snapshot = s.id)
    returning s.id
)
select exists (select from complete)

-- name: next_part
-- A part of the oldest complete snapshot that has one left.
select s.tenant, s.source, s.event_id, s.cut_epoch, s.cut_sequence, s.taken_at, s.full_scope, s.locations,
       s.name, p.snapshot, p.number, p.figures
from availability.parted_snapshot s
join availability.snapshot_part p on p.snapshot = s.id and p.applied_at is null
where s.completed_at is not null and s.applied_at is null
order by s.failed_at nulls first, s.completed_at, s.id, p.number limit 1

-- name: take_part
-- $1 is the snapshot. The figures are let go of: what they said is in the ledger from here on.
update availability.snapshot_part
set applied_at = now(), figures = '', counted = $3, drifted = $4, drift = $5, told = $6, told_drifted = $7, told_drift = $8
where snapshot = $1 and number = $2

-- name: lock_part
-- $1 is the snapshot.
select number from availability.snapshot_part
where snapshot = $1 and number = $2 and applied_at is null
for update skip locked

-- name: due_snapshot
-- A snapshot all of whose parts are applied.
select s.*, s.id as snapshot from availability.parted_snapshot s
where s.completed_at is not null and s.applied_at is null
  and not exists (select from availability.snapshot_part p where p.snapshot = s.id and p.applied_at is null)
order by s.failed_at nulls first, s.completed_at, s.id limit 1

-- name: lock_due
-- $1 is the snapshot.
select id from availability.parted_snapshot where id = $1 and applied_at is null for update skip locked

-- name: keys_before
-- Keys of locations whose figure stands on something earlier than the cut-off, after a place in their order.
select p.location, p.item, p.owner, p.bucket, p.lot
from availability.position p
where p.tenant = $1 and p.location = any($2::text[])
  and (p.location, p.item, p.owner, p.bucket, p.lot) > ($6, $7, $8, $9, $10)
  and (p.cut_epoch, p.cut_sequence, p.cut_event) < ($3, $4, $5::text collate "C")
order by p.location, p.item, p.owner, p.bucket, p.lot limit $11

-- name: sum_of_parts
-- $1 is the snapshot.
select sum(counted)::int as counted,
       (sum(drifted) + (select zeroed from availability.parted_snapshot where id = $1))::int as drifted, sum(told)::int as told, sum(told_drifted)::int as told_drifted
from availability.snapshot_part where snapshot = $1

-- name: drift_of_parts
-- $1 is the snapshot.
select d.value as drift
from (
    select p.number, case when $2::boolean then p.drift else p.told_drift end as drift
    from availability.snapshot_part p where p.snapshot = $1
    union all
    select s.parts + 1, s.drift from availability.parted_snapshot s where s.id = $1 and $2
) as told, jsonb_array_elements(told.drift) as d
order by told.number limit $3

-- name: add_drift
-- $1 is the snapshot: what its zeroes drifted by.
update availability.parted_snapshot
set zeroed = zeroed + $2, drift = case when jsonb_array_length(drift) < $4 then drift || $3::jsonb else drift end where id = $1

-- name: snapshot_failed
-- $1 is the snapshot. The others go first from here on.
update availability.parted_snapshot set failed_at = now() where id = $1

-- name: end_snapshot
-- $1 is the snapshot.
update availability.parted_snapshot set applied_at = now(), failed_at = null where id = $1

-- name: parted_snapshots
select s.source, s.event_id, s.parts, s.full_scope, s.taken_at, s.opened_at, s.completed_at, s.applied_at, s.failed_at,
       count(p.number)::int as arrived, count(p.applied_at)::int as applied
from availability.parted_snapshot s
left join availability.snapshot_part p on p.snapshot = s.id
where s.tenant = $1
group by s.id
order by s.id desc limit $2

-- name: forget_parts
-- Snapshots that did not become complete, which may be told anew, and what is left of applied ones, once they are $1 old.
with forgotten as (
    delete from availability.parted_snapshot s
    where (s.completed_at is null and s.opened_at < now() - $1::interval) or s.applied_at < now() - $1::interval
    returning s.tenant, s.source, s.event_id, s.completed_at
)
delete from availability.once o using forgotten f
where f.completed_at is null and o.tenant = f.tenant and o.source = f.source and o.event_id = f.event_id and o.line = -1
