-- name: troubles
select endpoint, min(partner) as partner, count(*) as messages, min(given_up_at) as raised_at, max(given_up_at) as last_at,
       (array_agg(last_status order by given_up_at desc))[1] as last_status,
       (array_agg(last_error order by given_up_at desc))[1] as last_error
from partner_notifications.message
where tenant = $1 and given_up_at is not null
group by endpoint
order by min(given_up_at)
limit $2;

-- name: tell_again
-- Oldest first by their ids; each is rendered from the record when it is sent.
update partner_notifications.message
set state = 'waiting', attempts = 0, leased = false, next_attempt_at = now(), payload = coalesce(payload, ''),
    given_up_at = null
where tenant = $1 and endpoint = $2 and given_up_at is not null
returning message;

-- name: let_be
update partner_notifications.message set given_up_at = null
where tenant = $1 and endpoint = $2 and given_up_at is not null
returning message;
