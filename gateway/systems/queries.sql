-- name: lease
insert into systems.poll as p (tenant, instance, leased_by, leased_until)
values ($1, $2, $3, now() + make_interval(secs => $4))
on conflict (tenant, instance) do update
    set leased_by = excluded.leased_by, leased_until = excluded.leased_until
    where p.leased_until < now() or p.leased_by = excluded.leased_by
returning cursor, opened_at, snapshot_at;

-- name: release_lease
update systems.poll set leased_until = '-infinity' where tenant = $1 and instance = $2 and leased_by = $3;

-- name: move_cursor
update systems.poll
set cursor = $4, movements = movements + $5, polled_at = now(), failures = 0, last_error = null,
    leased_until = now() + make_interval(secs => $6)
where tenant = $1 and instance = $2 and leased_by = $3;

-- name: snapshot_taken
update systems.poll
set snapshot_at = now(), opened_at = coalesce(opened_at, now()), polled_at = now(),
    leased_until = now() + make_interval(secs => $4)
where tenant = $1 and instance = $2 and leased_by = $3;

-- name: failed
update systems.poll set failures = failures + 1, last_error = $4
where tenant = $1 and instance = $2 and leased_by = $3;

-- name: standing
select instance, cursor, opened_at, snapshot_at, polled_at, movements, failures, last_error
from systems.poll where tenant = $1 order by instance;

-- name: lock_order
select pg_try_advisory_lock(hashtextextended($1, 20481));
