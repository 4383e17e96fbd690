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

-- name: begin_reading
insert into reference.reading as r (tenant, domain, source, run) values ($1, $2, $3, $4)
on conflict (tenant, domain, source) do update set run = excluded.run
returning began_at, whole_at

-- name: hold_reading
select run = $4 from reference.reading where tenant = $1 and domain = $2 and source = $3 for update

-- name: end_reading
update reference.reading
set began_at = $4, whole_at = coalesce($5, whole_at), ended_at = $6, listed = $7, created = $8, changed = $9,
    closed = $10, failed = null
where tenant = $1 and domain = $2 and source = $3

-- name: fail_reading
update reference.reading set failed = $5 where tenant = $1 and domain = $2 and source = $3 and run = $4

-- name: readings
select r.*, (select count(distinct record) from reference.refusal f
    where f.tenant = r.tenant and f.domain = r.domain and f.source = r.source) as refused
from reference.reading r where r.tenant = $1 and r.domain = $2 order by r.source

-- name: settle_refusals
delete from reference.refusal where tenant = $1 and domain = $2 and source = $3 and record = any($4::text[])
  and (record, attribute) not in (select * from unnest($5::text[], $6::text[]))

-- name: add_refusals
-- Of several of one attribute the first; since when it is told moves only where it is told otherwise.
insert into reference.refusal as f (tenant, domain, source, record, attribute, code, detail, told_at, seen_at)
select distinct on (u.record, u.attribute) $1, $2, $3, u.record, u.attribute, u.code, u.detail, $4, $4
from unnest($5::text[], $6::text[], $7::text[], $8::text[]) with ordinality as u (record, attribute, code, detail, place)
order by u.record, u.attribute, u.place
on conflict (tenant, domain, source, record, attribute) do update
set seen_at = excluded.seen_at, code = excluded.code, detail = excluded.detail,
    told_at = case when (f.code, f.detail) = (excluded.code, excluded.detail) then f.told_at else excluded.told_at end,
    let_be_at = case when (f.code, f.detail) = (excluded.code, excluded.detail) then f.let_be_at end,
    failed_at = case when f.asked_at is null then f.failed_at else clock_timestamp() end, asked_at = null

-- name: forget_refusals
delete from reference.refusal where tenant = $1 and domain = $2 and source = $3 and seen_at < $4

-- name: refusals
select source, record, attribute, code, detail, told_at from reference.refusal
where tenant = $1 and domain = $2 and ($3::text is null or source = $3)
  and ($4::text is null or (source, record, attribute) > ($4, $5, $6))
order by source, record, attribute limit $7
