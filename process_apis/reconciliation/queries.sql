-- $1 is the tenant unless said otherwise; arrays run in parallel.

-- name: begin_run
-- A run that never ended died with its process.
with dead as (
    update reconciliation.run set state = 'failed', ended_at = clock_timestamp(), error = 'its process ended before it did'
    where tenant = $1 and state = 'running' and started_at < $7
)
insert into reconciliation.run (tenant, run, what, source, location, asked_by) values ($1, $2, $3, $4, $5, $6)

-- name: end_run
update reconciliation.run
set state = $3, ended_at = clock_timestamp(), compared = $4, differing = $5, recovered = $6, in_flight = $7, error = $8
where tenant = $1 and run = $2

-- name: get_run
select run, what, source, location, asked_by, state, started_at, ended_at, compared, differing, recovered, in_flight, error
from reconciliation.run where tenant = $1 and run = $2

-- name: list_runs
select run, what, source, location, asked_by, state, started_at, ended_at, compared, differing, recovered, in_flight, error
from reconciliation.run
where tenant = $1 and ($2::text is null or what = $2) and ($3::text is null or run < $3)
order by run desc limit $4

-- name: last_end
select max(ended_at) from reconciliation.run
where tenant = $1 and what = $2 and source is null and location is null and state <> 'running'

-- name: now
select clock_timestamp()

-- name: examined_of
select snapshot from reconciliation.examined where tenant = $1 and snapshot = any($2::text[])

-- name: open_scopes
select distinct scope from reconciliation.finding
where tenant = $1 and what = 'stock' and against = 'owner' and state = 'open' and scope = any($2::text[])

-- name: lock_examined
insert into reconciliation.examined as e (tenant, snapshot, source, recorded_at) values ($1, $2, $3, $4)
on conflict (tenant, snapshot) do update set source = excluded.source
returning snapshot

-- name: journal_cursor
select cursor from reconciliation.journal where tenant = $1 and source = $2

-- name: keep_cursor
insert into reconciliation.journal (tenant, source, cursor) values ($1, $2, $3)
on conflict (tenant, source) do update set cursor = excluded.cursor, read_at = clock_timestamp()

-- name: keep_recovered
insert into reconciliation.recovered (tenant, source, event_id, line)
select $1, $2, u.* from unnest($3::text[], $4::int[]) as u
on conflict do nothing

-- name: recovered_of
select source, event_id, line from reconciliation.recovered
where tenant = $1 and source = $2 and event_id = any($3::text[])

-- name: write_finding
-- What was decided stays decided; an open finding follows what is known.
insert into reconciliation.finding as f
    (tenant, finding, run, what, against, scope, class, source, location, item, sku, code, owner, bucket, lot, reference,
     reported, expected, amount, value, detail, evidence, state)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
on conflict (tenant, what, scope, location, item, code, owner, bucket, lot, reference, class) do update
set reported = excluded.reported, expected = excluded.expected, amount = excluded.amount, value = excluded.value,
    detail = excluded.detail, evidence = excluded.evidence, changed_at = clock_timestamp(),
    proposed_by = case when f.amount = excluded.amount then f.proposed_by end,
    state = excluded.state
where f.state in ('open', 'explained')
  and (f.amount, f.state, f.evidence, f.detail)
      is distinct from (excluded.amount, excluded.state, excluded.evidence, excluded.detail)
returning finding

-- name: open_figures
select finding, scope, class, source, location, item, code, owner, bucket, lot, reference
from reconciliation.finding
where tenant = $1 and what = 'stock' and against = 'owner' and state = 'open' and scope like 'figure/%'
  and ($2::text is null or source = $2)
for update

-- name: undecided_of_scope
select finding, scope, class, location, item, code, owner, bucket, lot, reference from reconciliation.finding
where tenant = $1 and what = $2 and scope = $3 and state = 'open'
for update

-- name: explain_findings
update reconciliation.finding set state = 'explained', amount = 0, changed_at = clock_timestamp()
where tenant = $1 and finding = any($2::text[]) and state = 'open'

-- name: undecided_against
-- What was raised against one other account and is not settled, by what it is about.
select * from reconciliation.finding
where tenant = $1 and what = $2 and against = 'erp' and source = $3 and state in ('open', 'adjusting')
for update

-- name: corrected_since
select item, location from reconciliation.finding
where tenant = $1 and what = $2 and against = 'erp' and source = $3 and state = 'adjusted' and changed_at >= $4

-- name: lock_document
-- $1 names it.
select pg_advisory_xact_lock(hashtextextended($1, 20492))

-- name: findings_of_order
select finding, scope, class, code, detail, state from reconciliation.finding
where tenant = $1 and what = $2 and source = $3 and reference = $4
order by finding

-- name: rejected_against
-- A person said no: the same difference is not raised again.
select location, item, amount from reconciliation.finding
where tenant = $1 and what = $2 and against = 'erp' and source = $3 and state = 'rejected'

-- name: lock_finding
select * from reconciliation.finding where tenant = $1 and finding = $2 for update

-- name: get_finding
select * from reconciliation.finding where tenant = $1 and finding = $2

-- name: list_findings
select * from reconciliation.finding
where tenant = $1 and ($2::text is null or what = $2) and ($3::text is null or class = $3)
  and ($4::text is null or state = $4) and ($5::text is null or source = $5) and ($6::text is null or location = $6)
  and ($7::text is null or run = $7) and ($8::text is null or finding < $8)
order by finding desc limit $9

-- name: list_standing
select * from reconciliation.finding
where tenant = $1 and (run = $2 or state in ('open', 'adjusting')) and what = $3
  and ($4::text is null or source = $4) and ($5::text is null or location = $5)
order by finding desc limit $6

-- name: propose_finding
update reconciliation.finding set proposed_by = $3, reason = $4, changed_at = clock_timestamp()
where tenant = $1 and finding = $2

-- name: decide_finding
update reconciliation.finding
set state = $3, decided_by = $4, decided_at = clock_timestamp(), reason = $5, changed_at = clock_timestamp()
where tenant = $1 and finding = $2

-- name: due_adjustments
select finding from reconciliation.finding
where tenant = $1 and state = 'adjusting' and (not_before is null or not_before <= clock_timestamp())
order by finding limit $2

-- name: try_adjusting_lock
select pg_try_advisory_lock(hashtextextended($1, 20490))

-- name: free_adjusting_lock
select pg_advisory_unlock(hashtextextended($1, 20490))

-- name: begin_attempt
update reconciliation.finding
set attempts = attempts + 1, not_before = clock_timestamp() + make_interval(secs => $3), changed_at = clock_timestamp()
where tenant = $1 and finding = $2

-- name: adjusted
update reconciliation.finding
set state = 'adjusted', number = $3, error = null, changed_at = clock_timestamp()
where tenant = $1 and finding = $2 and state = 'adjusting'
returning finding

-- name: adjustment_failed
update reconciliation.finding
set error = $3, state = case when $4 then 'open' else state end,
    decided_by = case when $4 then null else decided_by end, proposed_by = case when $4 then null else proposed_by end,
    changed_at = clock_timestamp()
where tenant = $1 and finding = $2 and state = 'adjusting'

-- name: tallies
select what, class, state, count(*) as number, extract(epoch from clock_timestamp() - min(raised_at))::float8 as oldest
from reconciliation.finding
where tenant = $1 and state in ('open', 'adjusting')
group by what, class, state

-- name: trend
select (extract(epoch from clock_timestamp() - raised_at)::bigint / $2)::int as slot, class, count(*)::int as number
from reconciliation.finding
where tenant = $1 and raised_at > clock_timestamp() - make_interval(secs => $2 * $3::int)
group by 1, 2
