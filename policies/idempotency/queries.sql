-- Free keys, or those whose answer has expired, are reserved in one round trip. What was reached and not answered never
-- expires by itself: only somebody who knows what became of it may free it.

-- name: reserve
insert into idempotency.record as r (key, tenant, route, fingerprint, fence, lease_until, expires_at)
select k.key, k.tenant, k.route, k.fingerprint, k.fence, clock_timestamp() + make_interval(secs => $7),
       clock_timestamp() + make_interval(secs => k.retention)
from unnest($1::bytea[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::float8[])
     as k (key, tenant, route, fingerprint, fence, retention)
order by k.key
on conflict (key) do update
set fingerprint = excluded.fingerprint, state = 'reserved', fence = excluded.fence, lease_until = excluded.lease_until,
    expires_at = excluded.expires_at, created_at = clock_timestamp(), status = null, reply = null
where r.state = 'done' and r.expires_at < clock_timestamp()
returning fence;

-- name: read
select fingerprint, state, fence, status, reply, lease_until < clock_timestamp() as lease_over,
       extract(epoch from lease_until - clock_timestamp())::float8 as lease_left
from idempotency.record where key = $1;

-- name: complete
update idempotency.record set state = 'done', status = $3, reply = $4
where key = $1 and fence = $2 and state = 'reserved' returning true;

-- name: complete_all
update idempotency.record r set state = 'done', status = k.status, reply = k.reply
from unnest($1::bytea[], $2::bigint[], $3::integer[], $4::bytea[]) as k (key, fence, status, reply)
where r.key = k.key and r.fence = k.fence and r.state = 'reserved' returning r.fence;

-- name: free
delete from idempotency.record where key = $1 and fence = $2 and state = 'reserved';

-- name: doubt
update idempotency.record set state = 'unknown' where key = $1 and fence = $2 and state = 'reserved';

-- name: hold
select true from idempotency.record where key = $1 and fence = $2 and state = 'reserved' for update;

-- name: take_over
update idempotency.record
set state = 'unknown', fence = $3, lease_until = clock_timestamp() + make_interval(secs => $4)
where key = $1 and fence = $2
  and (state = 'unknown' or (state = 'reserved' and lease_until < clock_timestamp()))
returning true;

-- name: resolve_done
update idempotency.record set state = 'done', status = $3, reply = $4
where key = $1 and fence = $2 and state = 'unknown' returning true;

-- name: resolve_undone
update idempotency.record
set state = 'reserved', lease_until = clock_timestamp() + make_interval(secs => $3)
where key = $1 and fence = $2 and state = 'unknown' returning true;

-- name: purge
with over as (
    select key from idempotency.record where state = 'done' and expires_at < clock_timestamp() limit $1
    for update skip locked
)
delete from idempotency.record r using over where r.key = over.key returning r.key;

-- name: doubt_overdue
update idempotency.record set state = 'unknown'
where key in (
    select key from idempotency.record
    where state = 'reserved' and lease_until < clock_timestamp() - interval '1 minute' limit $1
    for update skip locked
)
returning key;

-- name: unknown
select key, tenant, route, created_at from idempotency.record where state = 'unknown' order by created_at limit $1;

-- name: free_unknown
delete from idempotency.record where key = $1 and state = 'unknown' returning tenant;
