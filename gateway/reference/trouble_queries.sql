-- Refused records of systems' lists, in the queue of exceptions. $1 is the tenant; domain, source and code make one trouble.

-- name: troubles
select domain, source, code, count(*) as number, min(told_at) as raised_at,
       max(greatest(told_at, failed_at)) as last_at, (array_agg(record order by record))[1:3] as records,
       (array_agg(detail order by record))[1] as detail
from reference.refusal
where tenant = $1 and let_be_at is null
group by domain, source, code order by min(told_at), domain, source, code limit $2

-- name: ask
update reference.refusal set asked_at = clock_timestamp()
where tenant = $1 and domain = $2 and source = $3 and code = $4 and let_be_at is null
returning record

-- name: read_whole
-- The next reading takes the whole list, whatever changed since the last.
update reference.reading set whole_at = null where tenant = $1 and domain = $2 and source = $3

-- name: let_be
update reference.refusal set let_be_at = clock_timestamp()
where tenant = $1 and domain = $2 and source = $3 and code = $4 and let_be_at is null
returning record
