-- name: insert_bulk
insert into exceptions.bulk (bulk, tenant, verb, wanted, reason, size, state, planned_by)
values ($1, $2, $3, $4::jsonb, $5, $6, 'planned', $7);

-- name: insert_members
insert into exceptions.bulk_member (bulk, entry, version) select $1, u.* from unnest($2::text[], $3::int[]) as u;

-- name: get_bulk
select b.*, m.waiting, m.done, m.skipped, m.failed
from exceptions.bulk b
cross join lateral (
    select count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'done') as done,
           count(*) filter (where state = 'skipped') as skipped, count(*) filter (where state = 'failed') as failed
    from exceptions.bulk_member where bulk = b.bulk
) m
where b.tenant = $1 and b.bulk = $2;

-- name: list_bulks
select b.*, m.waiting, m.done, m.skipped, m.failed
from (select * from exceptions.bulk where tenant = $1 and ($2::text is null or bulk < $2)
      order by bulk desc limit $3) b
cross join lateral (
    select count(*) filter (where state = 'waiting') as waiting, count(*) filter (where state = 'done') as done,
           count(*) filter (where state = 'skipped') as skipped, count(*) filter (where state = 'failed') as failed
    from exceptions.bulk_member where bulk = b.bulk
) m
order by b.bulk desc;

-- name: lock_bulk
select * from exceptions.bulk where tenant = $1 and bulk = $2 for update;

-- name: begin_bulk
update exceptions.bulk set state = 'running', begun_by = $2, begun_at = clock_timestamp() where bulk = $1;

-- name: end_bulk
update exceptions.bulk set state = $2, ended_by = $3, ended_at = clock_timestamp()
where bulk = $1 and state in ('planned', 'running')
  and ($2 = 'cancelled' or not exists (select from exceptions.bulk_member m where m.bulk = $1 and m.state = 'waiting'));

-- name: running
select bulk, verb, reason, begun_by from exceptions.bulk where tenant = $1 and state = 'running' order by bulk;

-- name: still_running
-- Held until the member's transaction ends: a cancel waits for the one that is under way.
select true from exceptions.bulk where bulk = $1 and state = 'running' for share;

-- name: next_member
select entry, version from exceptions.bulk_member
where bulk = $1 and state = 'waiting' order by entry limit 1 for update skip locked;

-- name: settle_member
update exceptions.bulk_member set state = $3, code = $4, detail = $5
where bulk = $1 and entry = $2 and state = 'waiting';

-- name: troubled_members
select entry, state, code, detail from exceptions.bulk_member
where bulk = $1 and state in ('skipped', 'failed') order by entry limit 100;
