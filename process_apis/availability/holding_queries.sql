-- Locations that another source stands in for.

-- name: eras
select location, era, holder, before, since from availability.holding
where tenant = $1 and location = any($2::text[]) order by location, era

-- name: holders
select location, holder, snapshot_at is null as awaiting, since, made_by, reason from availability.holder_now where tenant = $1

-- name: begin_era
insert into availability.holding (tenant, location, era, holder, before, since, made_by, reason)
values ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: note_snapshot
update availability.holding set snapshot_at = $4
where tenant = $1 and location = any($2::text[]) and era = $3 and snapshot_at is null

-- name: freeze_figures
-- What stands now stands as of the switch: nothing that the source before it told late is added to it.
with frozen as (
    update availability.position set cut_epoch = $3, cut_sequence = -1, cut_event = $4
    where tenant = $1 and location = $2
    returning location, item, owner, bucket, lot, amount
)
insert into availability.figure
    (tenant, location, item, owner, bucket, lot, amount, cut_epoch, cut_sequence, cut_event, taken_at)
select $1, location, item, owner, bucket, lot, amount, $3, -1, $4, $5 from frozen

-- name: forget_settlements
delete from availability.settlement where tenant = $1 and location = $2

-- name: adopt_movements
-- What the new holder told while it held nothing: it counts after its first snapshot's cut-off as if it came later. Its
-- orders and documents were moved by what the holder of that time told.
update availability.movement
set moves = true, epoch = epoch + $4, order_id = null, order_line = null, document = null
where tenant = $1 and location = $2 and source = $3 and not moves and live and epoch < $4
  and recorded_at > $5::timestamptz - interval '7 days'
