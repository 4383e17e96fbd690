-- name: troubles
-- One line for each consumer and aggregate: what stands first in it, and how much waits behind.
select h.consumer, h.tenant, h.aggregate, h.state, h.error_class, h.error_code, h.detail, h.fault_domain,
       h.next_attempt_at, e.type, g.letters, g.raised_at, g.last_at
from (
    select consumer, aggregate, count(*) as letters, min(first_failed_at) as raised_at, max(last_failed_at) as last_at
    from store.dead_letter
    where tenant = $1 and state <> 'resolved'
    group by consumer, aggregate
    order by min(first_failed_at)
    limit $2
) g
cross join lateral (
    select * from store.dead_letter d
    where d.consumer = g.consumer and d.tenant = $1 and d.aggregate = g.aggregate and d.state <> 'resolved'
    order by d.log_epoch, d.transaction_id, d.event_id
    limit 1
) h
left join lateral store.numbered(h.event_id) e on true;

-- name: head
-- Locked: a replay that is under way ends first.
select d.id, d.consumer, d.event_id, d.state
from store.dead_letter d
where d.tenant = $1 and d.consumer = $2 and d.aggregate = $3 and d.state <> 'resolved'
order by d.log_epoch, d.transaction_id, d.event_id
limit 1
for update;

-- name: payload
select coalesce(d.edited, e.data)::text as data
from store.dead_letter d left join lateral store.numbered(d.event_id) e on true
where d.id = $1;

-- name: edit
update store.dead_letter set edited = $2::jsonb where id = $1;
