-- name: insert_messages
insert into partner_notifications.message
    (message, tenant, partner, endpoint, type, subject, event_type, occurred_at, correlation_id)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::timestamptz[], $9::text[])
on conflict (endpoint, subject) where payload is null and state = 'waiting' do nothing;

-- name: lease_due
-- Of the messages about one thing to one endpoint the oldest that is due, and none while another is under way: each
-- is rendered from the record when it is sent, so the last to arrive is never older than one before it. Two workers
-- that choose different ones at once meet in the index `message_under_way`.
-- From here on it does not stand for changes to come: it is rendered after this, and they get a message of their own.
-- Each part is reached by an index, whatever was known of the table's size when the plan was made: most of the time
-- next to nothing waits, and a burst must not be answered by reading every message for every message.
update partner_notifications.message m
set attempts = m.attempts + 1, next_attempt_at = now() + $2::interval, leased = true, payload = coalesce(m.payload, '')
where m.message = any (array(
    select d.message from partner_notifications.message d
    where d.state = 'waiting' and d.next_attempt_at <= now() and d.endpoint <> all($3::text[])
      and not exists (
        select from partner_notifications.message o
        where o.endpoint = d.endpoint and o.topic = d.topic and o.state = 'waiting' and o.message <> d.message
          and (o.leased or (o.next_attempt_at <= now() and o.message < d.message))
        offset 0)
    order by d.next_attempt_at
    limit $1
    for update skip locked
))
returning m.message, m.tenant, m.partner, m.endpoint, m.type, m.subject, m.event_type, m.occurred_at,
          m.correlation_id, m.payload, m.attempts,
          coalesce((select r.version from partner_notifications.rendering r where r.endpoint = m.endpoint), 'v1') as version;

-- The attempt's number is its fence: whoever was taken for dead and comes back records nothing.

-- name: mark_delivered
update partner_notifications.message m
set state = 'delivered', delivered_at = now(), last_status = k.status, last_error = null, leased = false,
    payload = k.payload
from unnest($1::text[], $2::integer[], $3::integer[], $4::bytea[]) as k (message, attempts, status, payload)
where m.message = k.message and m.attempts = k.attempts and m.state = 'waiting';

-- name: mark_retry
update partner_notifications.message
set next_attempt_at = now() + $3::interval, last_status = $4, last_error = $5, leased = false,
    payload = coalesce($6, payload)
where message = $1 and attempts = $2 and state = 'waiting';

-- name: mark_abandoned
-- $6: it was tried in vain, so a person is told.
update partner_notifications.message
set state = 'abandoned', last_status = $3, last_error = $4, leased = false, payload = coalesce($5, payload),
    given_up_at = case when $6 then now() end
where message = $1 and attempts = $2 and state = 'waiting';

-- name: list_messages
select message, partner, type, subject, state, attempts, next_attempt_at, last_status, last_error, created_at, delivered_at
from partner_notifications.message
where tenant = $1 and ($2::text is null or state = $2) and ($3::text is null or message < $3)
order by message desc
limit $4;

-- name: redeliver
update partner_notifications.message
set state = 'waiting', attempts = 0, leased = false, next_attempt_at = now(), payload = coalesce(payload, ''),
    given_up_at = null
where tenant = $1 and message = $2 and state <> 'waiting'
returning message;

-- name: choose_version
insert into partner_notifications.rendering (endpoint, version)
select endpoint, $2 from unnest($1::text[]) as endpoint
on conflict (endpoint) do update set version = excluded.version, changed_at = now();

-- name: versions_of
select endpoint, version from partner_notifications.rendering where endpoint = any($1::text[]);
