-- name: statements_of
select record, source, first_at, said_at, attributes from reference.statement
where tenant = $1 and domain = $2 and record = any($3::text[])

-- name: all_statements
select record, source, first_at, said_at, attributes from reference.statement
where tenant = $1 and domain = $2

-- name: write_statements
insert into reference.statement as s (tenant, domain, record, source, first_at, said_at, attributes)
select $1, $2, u.*
from unnest($3::text[], $4::text[], $5::timestamptz[], $6::jsonb[], $7::jsonb[]) as u
on conflict (tenant, domain, record, source) do update
set said_at = excluded.said_at, attributes = excluded.attributes

-- name: newest_ownership
select version, attributes, actor, note, made_at from reference.ownership
where tenant = $1 and domain = $2 order by version desc limit 1

-- name: lock_ownership
select pg_advisory_xact_lock(hashtextextended('reference.ownership/' || $1 || '/' || $2, 0))

-- name: add_ownership
insert into reference.ownership (tenant, domain, version, attributes, actor, note, made_at)
values ($1, $2, $3, $4, $5, $6, $7)
