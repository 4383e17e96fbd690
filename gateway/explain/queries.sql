-- name: add_blocks
insert into explain.block (worker, first_arrived, last_arrived, kept, not_kept, reason, bytes, content)
select $1, b.first_arrived, b.last_arrived, b.kept, b.not_kept, b.reason, octet_length(b.content), b.content
from unnest($2::timestamptz[], $3::timestamptz[], $4::integer[], $5::integer[], $6::text[], $7::bytea[])
     as b (first_arrived, last_arrived, kept, not_kept, reason, content);

-- name: drop_old
-- A batch at a time; what another worker is dropping is left to it.
with old as (
    select block from explain.block where last_arrived < now() - make_interval(hours => $1) limit 1000
    for update skip locked
)
delete from explain.block b using old where b.block = old.block;

-- name: bytes_kept
select coalesce(sum(bytes), 0)::bigint from explain.block;

-- name: blocks_at
-- Every block that may hold what arrived at $1, give or take $2 seconds.
select worker, first_arrived, last_arrived, written_at, kept, not_kept, reason, content
from explain.block
where last_arrived >= $1::timestamptz - make_interval(secs => $2)
  and first_arrived <= $1::timestamptz + make_interval(secs => $2)
order by block
limit 2000;

-- name: last_written
select max(written_at) from explain.block where written_at > now() - interval '1 hour';

-- name: audit_of
-- What processes put on record in their own transactions, and what the door did, for one correlation.
select at, actor, action, subject, outcome, detail ->> 'request_id' as request_id
from store.audit
where at between $3::timestamptz - interval '5 seconds' and $4::timestamptz + interval '60 seconds'
  and tenant = $1 and correlation_id = $2
order by id
limit 100;

-- name: events_of
select id, type, aggregate, recorded_at from store.correlated($1, $2, 200) order by id;

-- name: idempotency_of
select state, created_at, status from idempotency.record where key = $1 and tenant = $2;
