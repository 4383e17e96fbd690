-- name: read_after
-- One statement, one snapshot: the end of what may be delivered, and the wanted events up to it.
with installation as materialized (
    select log_epoch, pg_snapshot_xmin(pg_current_snapshot()) as oldest from store.installation
), bound as materialized (
    select e.log_epoch, e.transaction_id, e.id
    from store.event e, installation i
    where e.stream = $1 and (e.log_epoch < i.log_epoch or e.transaction_id < i.oldest)
    order by e.log_epoch desc, e.transaction_id desc, e.id desc
    limit 1
), wanted as (
    -- A row may hold several events, and the place may lie among them: what counts is those that are new.
    select n.*, sum(n.unseen) over (order by n.log_epoch, n.transaction_id, n.id) - n.unseen as before
    from (
        select e.*, case when e.events is null then 1
                         when (e.log_epoch, e.transaction_id) = ($2, $3::xid8) then least(e.events, e.id - $4)
                         else e.events end as unseen
        from store.event e, installation i
        where e.stream = $1 and (e.log_epoch, e.transaction_id, e.id) > ($2, $3::xid8, $4)
          and (e.log_epoch < i.log_epoch or e.transaction_id < i.oldest)
          and ($5::text[] is null or e.type = any($5))
        order by e.log_epoch, e.transaction_id, e.id
        limit $6
    ) n
)
select b.log_epoch as end_epoch, b.transaction_id as end_transaction, b.id as end_event,
       w.log_epoch, w.transaction_id, w.id, w.recorded_at, w.version, w.tenant, w.type, w.aggregate, w.aggregate_version,
       w.occurred_at, w.correlation_id, w.causation_id, w.stream, w.data, w.events, w.members
from bound b left join wanted w on w.before < $6
order by w.log_epoch, w.transaction_id, w.id;

-- name: end_of_log
select e.log_epoch, e.transaction_id, e.id
from store.event e, store.installation i
where e.stream = $1
  and (e.log_epoch < i.log_epoch or e.transaction_id < pg_snapshot_xmin(pg_current_snapshot()))
order by e.log_epoch desc, e.transaction_id desc, e.id desc
limit 1;

-- name: read_event
-- The row that the event of this number is in, if it is in any.
select log_epoch, transaction_id, id, recorded_at, version, tenant, type, aggregate, aggregate_version, occurred_at,
       correlation_id, causation_id, stream, data, events, members
from store.event
where id >= $1
order by id
limit 1;

-- name: read_aggregate
select log_epoch, transaction_id, id, recorded_at, version, tenant, type, aggregate, aggregate_version, occurred_at,
       correlation_id, causation_id, stream, data, events, members
from store.event
where tenant = $1 and aggregate = $2 and type <> 'availability.changed'
order by aggregate_version
limit $3;

-- name: is_recorded
select exists (
    select from (select * from store.event where id >= $3 order by id limit 1) e
    where e.log_epoch = $1 and e.transaction_id = $2::xid8 and e.stream = $4 and e.id - coalesce(e.events, 1) < $3);

-- name: streams
with recursive found as (
    (select stream from store.event order by stream limit 1)
    union all
    select (select e.stream from store.event e where e.stream > f.stream order by e.stream limit 1)
    from found f where f.stream is not null
)
select stream from found where stream is not null;

-- name: start_consumer
insert into store.consumer (name, log_epoch, transaction_id, event_id)
values ($1, $2, $3::xid8, $4)
on conflict (name) do nothing;

-- name: read_position
select log_epoch, transaction_id, event_id, moved_at from store.consumer where name = $1;

-- name: lock_position
select log_epoch, transaction_id, event_id,
       exists (select from store.dead_letter d where d.consumer = $1 and d.state <> 'resolved') as has_letters
from store.consumer where name = $1 for update;

-- name: move_position
update store.consumer
set log_epoch = $2, transaction_id = $3::xid8, event_id = $4, moved_at = clock_timestamp()
where name = $1;

-- name: last_recorded_before
select log_epoch, transaction_id, id
from store.event
where stream = $1 and recorded_at <= $2
order by log_epoch desc, transaction_id desc, id desc
limit 1;

-- name: read_installation
select installation_id, log_epoch, cluster, current_database() as database from store.installation;

-- name: read_cluster
select (select system_identifier from pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8);

-- name: set_cluster
update store.installation set cluster = $1;

-- name: stop_writers
lock table store.event in exclusive mode;

-- name: begin_log_epoch
update store.installation set log_epoch = log_epoch + 1 returning log_epoch;
