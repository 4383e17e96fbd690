-- name: current_version
select coalesce(max(version), 0) from configuration.snapshot;

-- name: newest
select version, content::text, sha256, restores, actor, note, created_at
from configuration.snapshot order by version desc limit $1;

-- name: one
select version, content::text, sha256, restores, actor, note, created_at
from configuration.snapshot where version = $1;

-- name: write
insert into configuration.snapshot (version, content, sha256, restores, actor, note)
select $1 + 1, $2::jsonb, $3, $4, $5, $6
where (select coalesce(max(version), 0) from configuration.snapshot) = $1
on conflict do nothing
returning version;

-- name: beat
with beat as (
    insert into configuration.worker as w
        (worker_id, role, host, pid, started_at, seen_at, version, refused_version, refusal)
    values ($1, $2, $3, $4, $5, clock_timestamp(), $6, $7, $8)
    on conflict (worker_id) do update
    set seen_at = excluded.seen_at, version = excluded.version,
        refused_version = excluded.refused_version, refusal = excluded.refusal
)
select coalesce(max(version), 0) from configuration.snapshot;

-- name: leave
delete from configuration.worker where worker_id = $1;

-- name: forget
delete from configuration.worker where seen_at < clock_timestamp() - interval '1 hour';

-- name: living
select worker_id, role, host, pid, started_at, seen_at, version, refused_version, refusal
from configuration.worker
where seen_at > clock_timestamp() - make_interval(secs => $1)
order by role, started_at, worker_id;
