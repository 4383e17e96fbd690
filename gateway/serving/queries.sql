-- What a worker's figures are read from. Each statement is bounded: they run at every scrape, when things go badly too.

-- name: positions
select name, log_epoch, transaction_id, event_id from store.consumer;

-- name: waiting
-- Of the events in the next 10,000 rows after a place in a stream, those of some types (none given: all), and the age of the oldest.
select coalesce(sum(e.events), 0)::bigint as events, coalesce(extract(epoch from now() - min(e.recorded_at)), 0)::float8 as seconds
from (
    select recorded_at, type, coalesce(events, 1) as events from store.event
    where stream = $1 and (log_epoch, transaction_id, id) > ($2, $3::xid8, $4)
    order by log_epoch, transaction_id, id
    limit 10000
) e
where $5::text[] is null or e.type = any($5);

-- name: dead_letters
select d.consumer, d.state, count(*) as letters
from (select consumer, state from store.dead_letter where state <> 'resolved' limit 10000) d
group by d.consumer, d.state;

-- name: turns
select t.status, count(*) as turns
from (select status from dbos.workflow_status where status in ('ENQUEUED', 'PENDING') limit 10000) t
group by t.status;
