-- Rules that hold or refuse orders, and what they ask of an order's account. $1 is the tenant.

-- name: latest_change
select coalesce(max(change), 0) from order_to_ship.hold_rule where tenant = $1

-- name: rules
-- What holds at $2 or will; the versions before are history.
select name, "when"::text as "when", "then", active, channels, customer_classes, business_owner, reason, effective_from,
       changed_by, changed_at, version
from order_to_ship.hold_rule r
where tenant = $1 and not exists (
    select from order_to_ship.hold_rule later
    where later.tenant = r.tenant and later.name = r.name and later.effective_from <= $2
      and (later.effective_from, later.version) > (r.effective_from, r.version))
order by name, effective_from, version

-- name: versions
select name, "when"::text as "when", "then", active, channels, customer_classes, business_owner, reason, effective_from,
       changed_by, changed_at, version
from order_to_ship.hold_rule
where tenant = $1 and name = $2 and ($3::bigint is null or version < $3)
order by version desc limit $4

-- name: lock_rules
select pg_advisory_xact_lock(hashtextextended($1, 20483))

-- name: latest_of
select coalesce(max(version), 0) from order_to_ship.hold_rule where tenant = $1 and name = $2

-- name: add_rule
insert into order_to_ship.hold_rule
    (tenant, name, "when", "then", active, channels, customer_classes, business_owner, reason, effective_from,
     changed_by, changed_at, version)
values ($1, $2, $3::jsonb, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: placed_last
select order_id from order_to_ship.sales_order where tenant = $1 order by order_id desc limit $2

-- name: has_approved
-- Whether another order of the account was approved, before $5 where that is given.
select exists (
    select from order_to_ship.sales_order
    where tenant = $1 and channel = $2 and sold_to = $3 and order_id <> $4
      and approved_at < coalesce($5::timestamptz, 'infinity'))

-- name: duplicate_of
-- Another order since $5 of the same account for the same goods to the same place; $6 is the lowest id of that time.
select o.order_id
from order_to_ship.sales_order o
join order_to_ship.sales_order mine on mine.order_id = $4
where o.tenant = $1 and o.channel = $2 and o.sold_to = $3 and o.order_id <> $4 and o.placed_at > $5 and o.order_id >= $6
  and o.order_id < $4 and o.ship_to = mine.ship_to and o.total = mine.total and o.cancelled_at is null and o.rejected_at is null
  and (select array_agg((l.item, l.ordered) order by l.item, l.ordered)
       from order_to_ship.line l where l.order_id = o.order_id)
    = (select array_agg((l.item, l.ordered) order by l.item, l.ordered)
       from order_to_ship.line l where l.order_id = $4)
order by o.order_id desc limit 1

-- name: held_by_terms
-- Orders that their customer's terms hold, whose ERP was asked before $1 the last time.
select o.order_id
from order_to_ship.sales_order o
join order_to_ship.task t on t.order_id = o.order_id and t.kind = 'terms'
where o.state = 'held' and o.hold_kind is null and o.approved_at is null and t.state = 'done' and t.changed_at < $1
  and o.cancel_requested_at is null
order by t.changed_at limit $2
