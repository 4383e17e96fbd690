-- What reconciliation asks of snapshots: where figures drifted, and which events bear on it. $1 is the tenant.

-- name: keep_drift
insert into availability.drift (tenant, snapshot, location, item, owner, bucket, lot, amount, was_epoch, was_sequence)
select $1, $2, u.* from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::numeric[], $9::bigint[],
                               $10::bigint[]) as u

-- name: drifted_snapshots
select s.snapshot, s.source, s.event_id, s.taken_at, s.recorded_at, s.figures, s.drifted
from availability.snapshot s
where s.tenant = $1 and s.moves and s.recorded_at >= $2 and ($3::text is null or s.source = $3)
  and (exists (select from availability.drift d where d.tenant = $1 and d.snapshot = s.snapshot)
       or exists (select from availability.parked p
                  where p.tenant = $1 and p.source = s.source and p.event_id = s.event_id and p.kind = 'figure'
                    and p.resolved_at is null))
order by s.recorded_at, s.snapshot limit $4

-- name: snapshot_head
select source, event_id, cut_epoch, cut_sequence, taken_at, recorded_at
from availability.snapshot where tenant = $1 and snapshot = $2

-- name: drift_of
select d.location, d.item, d.owner, d.bucket, d.lot, d.amount, d.was_epoch, d.was_sequence,
       (select coalesce(sum(f.amount), 0) from availability.figure f
        where f.tenant = $1 and f.location = d.location and f.item = d.item and f.owner = d.owner
          and f.bucket = d.bucket and f.lot = d.lot and f.cut_epoch = s.cut_epoch
          and f.cut_sequence = s.cut_sequence and f.cut_event = s.event_id and f.recorded_at <= s.recorded_at) as reported
from availability.drift d
join availability.snapshot s on s.snapshot = d.snapshot
where d.tenant = $1 and d.snapshot = $2
order by d.location, d.item, d.owner, d.bucket, d.lot

-- name: movements_about
-- Everything that may bear on these figures between where they stood and the cut-off ($9, $10) of a snapshot that was
-- recorded at $11, and the whole handling groups of what came or went after it.
select k.number, m.source, m.event_id, m.line, m.revision, m.epoch, m.sequence, m.type, m.occurred_at, m.from_bucket,
       m.to_bucket, m.amount, m.handling, m.recorded_at > $11 as late, m.live,
       coalesce(m.retired_at <= $11, false) as gone_before,
       (select p.cause from availability.parked p
        where p.tenant = $1 and p.source = m.source and p.event_id = m.event_id and p.line = m.line
          and p.kind = 'movement' and p.mendable limit 1) as parked
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
     with ordinality as k (location, item, owner, bucket, lot, was_epoch, was_sequence, number)
join availability.movement m
  on m.location = k.location and m.item = k.item and m.owner = k.owner and m.lot = k.lot
where m.tenant = $1 and m.moves and (m.epoch, m.sequence) <= ($9, $10)
  and ((m.epoch, m.sequence) >= (k.was_epoch, k.was_sequence)
       or m.handling is not null and exists (
           select from availability.movement n
           where n.tenant = $1 and n.handling = m.handling and n.location = m.location and n.item = m.item
             and n.owner = m.owner and n.lot = m.lot and n.moves and (n.recorded_at > $11 or n.retired_at > $11)
             and (n.epoch, n.sequence) <= ($9, $10)))
order by k.number, m.epoch, m.sequence, m.event_id, m.line, m.revision

-- name: parked_of_source
-- What still waits of a source: movements, and figures of this snapshot ($3).
select id, event_id, line, kind, cause, payload from availability.parked
where tenant = $1 and source = $2 and resolved_at is null and (kind = 'movement' or (kind = 'figure' and event_id = $3))
order by id limit $4

-- name: on_hand
select item, location, sum(on_hand) as on_hand, sum(version)::bigint as version from availability.stock_line
where tenant = $1 and location = any($2::text[])
group by item, location
