-- name: register
insert into durable.worker (slot, shape, earlier, succeeds, release, host, pid) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (slot) do update set
    shape = excluded.shape, earlier = excluded.earlier, succeeds = excluded.succeeds, release = excluded.release,
    host = excluded.host, pid = excluded.pid, since = clock_timestamp(), drain_asked_at = null

-- name: unregister
delete from durable.worker where slot = $1

-- name: live
-- Slots whose locks are held, and by whom. A worker of a release that did not register yet has no row, or an older one.
select l.objid::integer as slot, coalesce(w.shape, '1') as shape, coalesce(w.earlier, '{}') as earlier,
    coalesce(w.succeeds, '{}') as succeeds, w.drain_asked_at is not null as draining,
    coalesce(w.release, '') as release, coalesce(w.host, '') as host, coalesce(w.pid, 0) as pid, w.since
from pg_locks l
left join durable.worker w on w.slot = l.objid::integer
where l.locktype = 'advisory' and l.granted and l.classid = $1 and l.objsubid = 2
  and l.database = (select oid from pg_database where datname = current_database())
order by l.objid

-- name: foreign_turns
-- Whether a dead worker of another shape left turns under a slot's name: they keep it until they are taken over.
select exists (
    select from dbos.workflow_status
    where executor_id = $1 and status = 'PENDING' and application_version <> $2
)

-- name: abandoned
select distinct executor_id from dbos.workflow_status
where status = 'PENDING' and executor_id is not null and application_version = any($1::text[])

-- name: adopt_turns
-- Turns of earlier shapes that nobody runs any more; those that run are taken over slot by slot.
update dbos.workflow_status set application_version = $1
where application_version = any($2::text[]) and status in ('ENQUEUED', 'DELAYED')

-- name: adopt_running
update dbos.workflow_status set application_version = $1
where application_version = any($2::text[]) and status = 'PENDING' and executor_id = $3

-- name: turns_left
-- Whether turns of a shape wait or run.
select exists (
    select from dbos.workflow_status
    where application_version = $1 and status in ('ENQUEUED', 'DELAYED', 'PENDING')
)

-- name: running
-- Turns under way, by slot's name.
select executor_id, count(*) as turns, min(started_at_epoch_ms) as since
from dbos.workflow_status where status = 'PENDING' and executor_id is not null group by executor_id

-- name: under_way
-- Turns under way, of each slot's name the eldest $1.
select executor_id, name, workflow_uuid, since from (
    select executor_id, name, workflow_uuid, started_at_epoch_ms as since,
        row_number() over (partition by executor_id order by started_at_epoch_ms, workflow_uuid) as place
    from dbos.workflow_status where status = 'PENDING' and executor_id is not null
) t where place <= $1 order by executor_id, place

-- name: lock_draining
select pg_advisory_xact_lock(hashtextextended('durable.draining', 0))

-- name: left_by_shape
-- Turns that wait or run, by shape; those without one are of a release that named none, and go to the newest.
select coalesce(application_version, '') as shape,
    count(*) filter (where status = 'ENQUEUED') as waiting,
    count(*) filter (where status = 'DELAYED') as delayed,
    count(*) filter (where status = 'PENDING') as running,
    min(created_at) filter (where status = 'ENQUEUED') as oldest
from dbos.workflow_status where status in ('ENQUEUED', 'DELAYED', 'PENDING')
group by 1 order by 1

-- name: ask_to_drain
update durable.worker set drain_asked_at = coalesce(drain_asked_at, clock_timestamp()) where slot = $1
