-- name: news
insert into channel_publication.told_order (tenant, channel, order_id) values ($1, $2, $3)
on conflict (tenant, channel, order_id) do update set revision = told_order.revision + 1

-- name: next_due
select order_id, revision, updates, told::text, asked::text
from channel_publication.told_order
where tenant = $1 and channel = $2 and (revision > seen or asked is not null) and refused_at is null
  and not_before <= clock_timestamp()
order by not_before, order_id limit 1
for update

-- name: nothing_new
update channel_publication.told_order set seen = $4 where tenant = $1 and channel = $2 and order_id = $3

-- name: ask
update channel_publication.told_order set
    asked = $4, asked_for = $5, asked_revision = $6, changed_at = clock_timestamp()
where tenant = $1 and channel = $2 and order_id = $3

-- name: told
update channel_publication.told_order set
    told = asked_for, seen = asked_revision, updates = updates + 1, asked = null, asked_for = null,
    asked_revision = null, failures = 0, error_code = null, error_detail = null, not_before = '-infinity',
    changed_at = clock_timestamp()
where tenant = $1 and channel = $2 and order_id = $3 and asked is not null

-- name: later
update channel_publication.told_order set
    failures = failures + 1, error_code = $4, error_detail = $5, changed_at = clock_timestamp(),
    not_before = clock_timestamp() + make_interval(secs => least(300, power(2, least(failures, 9)) * $6))
where tenant = $1 and channel = $2 and order_id = $3

-- name: refused
update channel_publication.told_order set
    asked = null, asked_for = null, asked_revision = null, error_code = $4, error_detail = $5,
    refused_at = clock_timestamp(), changed_at = clock_timestamp()
where tenant = $1 and channel = $2 and order_id = $3

-- name: troubles
select channel, order_id, refused_at, failures, error_code, error_detail, changed_at
from channel_publication.told_order
where tenant = $1 and (refused_at is not null or failures > 5)
order by changed_at limit $2

-- name: again
update channel_publication.told_order set refused_at = null, failures = 0, not_before = '-infinity'
where tenant = $1 and channel = $2 and order_id = $3 and (refused_at is not null or failures > 5)
returning order_id

-- name: leave
-- A person told the channel: it counts as told, up to the news of now.
update channel_publication.told_order set
    told = coalesce($4::jsonb, told), seen = revision, asked = null, asked_for = null, asked_revision = null,
    refused_at = null, failures = 0, error_code = null, error_detail = null
where tenant = $1 and channel = $2 and order_id = $3 and refused_at is not null
returning order_id
