-- name: consumers
select name from store.consumer order by name;

-- name: log_begins
select min(recorded_at) from (select recorded_at from store.event order by id limit 1) e;

-- name: start_of
-- The last event that was surely recorded before the window: delivery and recording may differ by a transaction's length.
select log_epoch, transaction_id, id from store.event
where recorded_at < $1::timestamptz - interval '1 minute'
order by log_epoch desc, transaction_id desc, id desc limit 1;

-- name: insert_replay
insert into store.replay
    (replay, tenant, consumer, from_at, to_at, types, aggregate, again, asked_by, reason, after_epoch,
     after_transaction, after_event)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::xid8, $13)
on conflict (consumer) where state = 'running' do nothing
returning replay;

-- name: get_replay
select replay, consumer, from_at, to_at, types, aggregate, again, asked_by, reason, state, matched, handled, dropped,
       failed, error, asked_at, ended_at
from store.replay where tenant = $1 and replay = $2;

-- name: running
select *, clock_timestamp() as now from store.replay where consumer = $1 and state = 'running' for update;

-- name: is_asked
select exists (select from store.replay where consumer = $1 and state = 'running');

-- name: cancel
update store.replay set state = 'cancelled', ended_at = clock_timestamp()
where tenant = $1 and replay = $2 and state = 'running' returning replay;

-- name: move_replay
update store.replay set after_epoch = $2, after_transaction = $3::xid8, after_event = $4, matched = matched + $5,
    handled = handled + $6, dropped = dropped + $7, failed = failed + $8, error = coalesce($9, error),
    state = case when $10 then 'done' else state end, ended_at = case when $10 then clock_timestamp() end
where replay = $1;

-- name: letters_of
-- What this consumer set aside of these events, by event.
select event_id, id, state, resolution from store.dead_letter where consumer = $1 and event_id = any($2::bigint[]);

-- name: handled_after_all
update store.dead_letter set resolution = 'replayed' where id = $1;
