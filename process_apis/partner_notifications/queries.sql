-- name: insert_message
insert into partner_notifications.message
    (message, tenant, partner, endpoint, type, subject, event_type, occurred_at, correlation_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (endpoint, subject) where payload is null and state = 'waiting' do nothing;

-- name: lease_due
update partner_notifications.message m
set attempts = m.attempts + 1, next_attempt_at = now() + $2::interval
from (
    select message from partner_notifications.message
    where state = 'waiting' and next_attempt_at <= now()
    order by next_attempt_at
    limit $1
    for update skip locked
) due
where m.message = due.message
returning m.message, m.tenant, m.partner, m.endpoint, m.type, m.subject, m.event_type, m.occurred_at,
          m.correlation_id, m.payload, m.attempts;

-- name: keep_payload
update partner_notifications.message set payload = $2
where message = $1 and (payload is null or payload = '');

-- name: mark_delivered
update partner_notifications.message
set state = 'delivered', delivered_at = now(), last_status = $2, last_error = null
where message = $1;

-- name: mark_retry
update partner_notifications.message
set next_attempt_at = now() + $2::interval, last_status = $3, last_error = $4
where message = $1;

-- name: mark_abandoned
update partner_notifications.message
set state = 'abandoned', last_status = $2, last_error = $3
where message = $1;

-- name: list_messages
select message, partner, type, subject, state, attempts, next_attempt_at, last_status, last_error, created_at, delivered_at
from partner_notifications.message
where tenant = $1 and ($2::text is null or state = $2) and ($3::text is null or message < $3)
order by message desc
limit $4;

-- name: redeliver
update partner_notifications.message
set state = 'waiting', attempts = 0, next_attempt_at = now()
where tenant = $1 and message = $2 and state <> 'waiting'
returning message;
