-- $1 is the tenant.

-- name: troubles
-- Open findings, and corrections that fail again and again. What an owner's snapshot has unmapped is parked, and told there.
select f.* from reconciliation.finding f
where f.tenant = $1
  and (f.state = 'open' and not (f.class = 'mapping' and f.against = 'owner')
       or f.state = 'adjusting' and f.error is not null and f.attempts > $2)
order by f.finding limit $3

-- name: compare_again
update reconciliation.finding set asked_at = clock_timestamp()
where tenant = $1 and finding = $2 and state = 'open'
returning finding

-- name: correct_again
-- Within a minute of an attempt its call may still be under way: the correction's lock and its look-up see to that.
update reconciliation.finding set not_before = null
where tenant = $1 and finding = $2 and state = 'adjusting'
returning finding

-- name: asked
select exists (select from reconciliation.finding where tenant = $1 and what = $2 and asked_at is not null and state = 'open')

-- name: asked_orders
select distinct reference from reconciliation.finding
where tenant = $1 and what = $2 and asked_at is not null and state = 'open' and reference <> ''
order by reference limit $3

-- name: answered
update reconciliation.finding set asked_at = null, looked_at = clock_timestamp()
where tenant = $1 and what = $2 and asked_at < (select started_at from reconciliation.run where run = $3)
