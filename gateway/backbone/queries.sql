-- name: lines_held_up
-- Locked: who resolves one of them meanwhile either comes first, and it holds nothing up, or lets what is parked go.
select tenant, aggregate
from store.dead_letter
where consumer = $1 and state <> 'resolved' and aggregate = any($2::text[])
order by id
for share;

-- name: set_aside
insert into store.dead_letter
    (consumer, event_id, log_epoch, transaction_id, tenant, aggregate, state, error_class, error_code, detail,
     fault_domain, attempts, history, next_attempt_at)
values ($1, $2, $3, $4::xid8, $5, $6, $7, $8, $9, $10, $11, $12,
        jsonb_build_array(jsonb_build_object('at', now(), 'code', $9::text, 'detail', $10::text)),
        now() + $13::float8 * interval '1 second')
on conflict (consumer, event_id) do nothing;

-- name: due_letters
select d.id
from store.dead_letter d
where d.consumer = $1 and d.state = 'retrying' and d.next_attempt_at <= now()
  and not exists (
    select from store.dead_letter e
    where e.consumer = d.consumer and e.tenant = d.tenant and e.aggregate = d.aggregate and e.state <> 'resolved'
      and (e.log_epoch, e.transaction_id, e.event_id) < (d.log_epoch, d.transaction_id, d.event_id))
order by d.next_attempt_at, d.id
limit $2;

-- name: lock_letter
select *, jsonb_array_length(history) as failures from store.dead_letter where id = $1 for update;

-- name: fail_letter
update store.dead_letter
set state = $2, error_class = $3, error_code = $4, detail = $5, fault_domain = $6, attempts = attempts + 1,
    last_failed_at = now(), next_attempt_at = now() + $7::float8 * interval '1 second',
    history = (case when jsonb_array_length(history) >= 20 then history - 1 else history end)
              || jsonb_build_object('at', now(), 'code', $4::text, 'detail', $5::text)
where id = $1 and state = 'retrying';

-- name: resolve_letter
update store.dead_letter
set state = 'resolved', resolved_at = now(), resolution = $2, next_attempt_at = null
where id = $1;

-- name: release_next
-- The first in line of an aggregate, if it only waited for the one before it.
update store.dead_letter
set state = 'retrying', next_attempt_at = now()
where state = 'parked' and id = (
    select id from store.dead_letter
    where consumer = $1 and tenant = $2 and aggregate = $3 and state <> 'resolved'
    order by log_epoch, transaction_id, event_id
    limit 1);

-- name: request_replay
update store.dead_letter set state = 'retrying', next_attempt_at = now() where id = $1;

-- name: list_letters
select d.id, d.consumer, d.event_id, d.tenant, d.aggregate, e.type, d.state, d.error_class, d.error_code, d.detail,
       d.fault_domain, d.attempts, d.first_failed_at, d.last_failed_at, d.next_attempt_at, d.resolved_at, d.resolution,
       e.correlation_id, d.history::text as history, e.data::text as data
from store.dead_letter d left join lateral store.numbered(d.event_id) e on true
where ($1::text is null or d.consumer = $1)
  and ($2::text is null or d.tenant = $2)
  and (case when $3::text is null then d.state <> 'resolved' else d.state = $3 end)
  and d.id > $4
order by d.id
limit $5;
