-- Reading only: the console changes nothing but through the processes' own functions. Every statement is bounded, by an
-- index or by the newest ids, because each of them runs every two seconds for everybody who looks.

-- name: anybody
-- As long as not, the bootstrap token opens the console: any_console_administrator of gateway/identity says the same.
select exists (
    select from identity.console_user
    where disabled_at is null and (password is not null or (issuer is not null and 'administer' = any (roles)))
);

-- name: orders_by_state
-- $2: the lowest order id of today.
select state, count(*) as orders
from order_to_ship.sales_order
where tenant = $1 and order_id >= $2
group by state;

-- name: pace
-- Movements among the newest $3 events of the log, by slots of $2 seconds, and the instant since when they are complete.
with newest as (
    select tenant, recorded_at,
           case type when 'stock.movement_recorded' then 1
                     when 'stock.movements_recorded' then case jsonb_typeof(data -> 'movements')
                         when 'number' then (data -> 'movements')::int  -- a bulky event: how many
                         else jsonb_array_length(data -> 'movements') end
                     end as movements
    from store.event
    where id > coalesce((select id from store.event order by id desc offset $3 limit 1), 0)
), span as (
    select min(recorded_at) as since, (select count(*) from newest) < $3 as whole
    from newest
)
select floor(extract(epoch from n.recorded_at) / $2)::bigint as slot, sum(n.movements) as movements,
       (select case when whole then '-infinity'::timestamptz else since end from span) as since
from newest n
where n.tenant = $1 and n.movements > 0 and n.recorded_at > now() - make_interval(secs => $2 * $4)
group by slot;

-- name: consumers
-- How far each consumer is behind: the oldest event of its stream that lies after its position.
select c.name, c.moved_at, n.recorded_at as oldest_waiting
from store.consumer c
left join lateral (
    select e.recorded_at
    from store.event e
    where e.stream = coalesce((select p.stream from store.event p where p.id >= c.event_id order by p.id limit 1), 'main')
      and (e.log_epoch, e.transaction_id, e.id) > (c.log_epoch, c.transaction_id, c.event_id)
    order by e.log_epoch, e.transaction_id, e.id
    limit 1
) n on true
order by c.name
limit 50;

-- name: failures_count
-- Each up to a thousand: more is "many".
select
    (select count(*) from (
        select from order_to_ship.exception where tenant = $1 and state = 'open' limit 1000) e) as exceptions,
    (select count(*) from (
        select from order_to_ship.exception where tenant = $1 and state = 'open' and blocking limit 1000) b) as blocking,
    (select count(*) from (
        select from store.dead_letter where tenant = $1 and state <> 'resolved' limit 1000) d) as letters,
    (select count(*) from (
        select from availability.parked where tenant = $1 and resolved_at is null limit 1000) p) as parked,
    (select count(*) from (
        select from partner_notifications.message
        where tenant = $1 and state = 'abandoned' and message >= $2 limit 1000) m) as webhooks;

-- name: systems
-- What the pollers heard from each system, and the open exceptions that blame it.
with blamed as (
    select fault_domain, count(*) as troubles, max(last_seen_at) as last_seen_at
    from order_to_ship.exception
    where tenant = $1 and state = 'open' and class in ('system_down', 'outcome_unknown', 'broken_upstream')
    group by fault_domain
)
select coalesce(p.instance, b.fault_domain) as system, p.polled_at, coalesce(p.failures, 0) as failures, p.last_error,
       coalesce(p.movements, 0) as movements, coalesce(b.troubles, 0) as troubles
from (select * from systems.poll where tenant = $1) p
full join blamed b on b.fault_domain = p.instance
order by 1
limit 50;

-- name: orders
-- The troubled ones first, then the newest. $2: show "all", "troubled", "open" or "done"; $3: exactly this order id or
-- number of the customer, or null; $4: how many.
with troubled as (
    select order_id, count(*) as exceptions, bool_or(blocking) as blocking
    from order_to_ship.exception
    where tenant = $1 and state = 'open'
    group by order_id
    order by bool_or(blocking) desc, max(last_seen_at) desc
    limit $4
), wanted as (
    (select order_id from troubled where $3::text is null and $2 in ('all', 'troubled', 'open'))
    union
    (select order_id from order_to_ship.sales_order
     where tenant = $1 and $3::text is null
       and ($2 = 'all'
            or ($2 = 'troubled' and state in ('held', 'backordered', 'exception'))
            or ($2 = 'open' and state not in ('completed', 'cancelled', 'rejected'))
            or ($2 = 'done' and state in ('completed', 'cancelled', 'rejected')))
     order by order_id desc
     limit $4)
    union
    (select order_id from order_to_ship.sales_order where tenant = $1 and $3::text is not null and order_id = $3)
    union
    (select order_id from order_to_ship.sales_order where tenant = $1 and external_number = $3
     order by order_id desc limit $4)
)
select o.order_id, o.external_number, o.release, o.channel, o.sold_to, o.state, o.total, o.currency, o.placed_at, o.due_at,
       o.hold_reason, o.cancel_requested_at is not null and o.cancelled_at is null as cancelling,
       coalesce(t.exceptions, 0) as exceptions, coalesce(t.blocking, false) as blocking,
       l.lines, l.ordered, l.shipped, l.cancelled, l.backordered,
       n.kind as next_kind, n.system as next_system, n.target as next_target, n.state as next_state,
       n.attempts as next_attempts, n.error_code as next_error
from wanted w
join order_to_ship.sales_order o using (order_id)
left join troubled t using (order_id)
cross join lateral (
    select count(*) as lines, coalesce(sum(ordered), 0) as ordered, coalesce(sum(shipped), 0) as shipped,
           coalesce(sum(cancelled), 0) as cancelled, coalesce(sum(backordered), 0) as backordered
    from order_to_ship.line where order_id = o.order_id
) l
left join lateral (
    select kind, system, target, state, attempts, error_code
    from order_to_ship.task
    where order_id = o.order_id and state not in ('done', 'absent', 'withdrawn')
    order by array_position(array['terms', 'freight_quote', 'erp_order', 'warehouse_work', 'freight_booking', 'shipment_posting', 'invoice'], kind), target
    limit 1
) n on true
order by coalesce(t.blocking, false) desc, (t.exceptions is not null) desc,
         o.state in ('exception', 'held', 'backordered') desc, o.order_id desc
limit $4;

-- name: order_head
select order_id, channel, partner, sold_to, external_number, release, currency, ship_to ->> 'country' as country,
       requested_date, fill, total, placed_at, correlation_id, version, state, hold_reason, hold_kind, cancel_requested_at, cancel_reason,
       rework ->> 'verb' as rework_verb, rework ->> 'actor' as rework_actor, rework ->> 'reason' as rework_reason,
       cancel_refused_at, picking_began_at, reject_reason, allocated_at, completed_at, cancelled_at, rejected_at, due_at
from order_to_ship.sales_order
where tenant = $1 and order_id = $2;

-- name: order_lines
select l.line, l.sku, l.asked_amount, l.asked_uom, l.uom, l.unit_price, l.ordered, l.open, l.backordered, l.shipped,
       l.cancelled, l.over_shipped, l.expected, string_agg(a.location, ', ' order by a.location) as locations
from order_to_ship.line l
left join order_to_ship.allocation a using (order_id, line)
where l.order_id = $1
group by l.order_id, l.line
order by l.line
limit 500;

-- name: order_tasks
select kind, target, system, state, attempts, settling, not_before, number, error_code, changed_at
from order_to_ship.task
where order_id = $1
order by array_position(array['terms', 'freight_quote', 'erp_order', 'warehouse_work', 'freight_booking', 'shipment_posting', 'invoice'], kind), target
limit 100;

-- name: order_shipments
select s.sequence, s.shipment_id, s.source, s.location, s.confirmed_at, sum(l.amount) as amount, count(*) as lines
from order_to_ship.shipment s
join order_to_ship.shipment_line l using (shipment_id)
where s.order_id = $1
group by s.shipment_id
order by s.sequence
limit 100;

-- name: order_exceptions
select exception_id, class, fault_domain, code, detail, blocking, state, seen, raised_at, last_seen_at, resolved_at,
       resolved_by, resolution, kind, target
from order_to_ship.exception
where tenant = $1 and order_id = $2
order by exception_id desc
limit 50;

-- name: order_events
-- The order's own events, those of its claims, whatever shares its correlation, and the movements of its shipments.
select e.id, e.type, e.aggregate, e.occurred_at, e.recorded_at, e.data, i.sku
from (
    select id, type, aggregate, occurred_at, recorded_at, data from store.correlated($1, $3, 200)
    union
    select id, type, aggregate, occurred_at, recorded_at, data from store.event where id in (
    (select id from store.event where tenant = $1 and aggregate = $2 and type <> 'availability.changed' limit 200)
    union all
    (select id from store.event
     where tenant = $1 and aggregate = 'claims/' || $2 and type <> 'availability.changed' limit 100)
    union all
    (select m.id from order_to_ship.shipment s
     join order_to_ship.shipment_line l using (shipment_id)
     join store.event m on m.tenant = $1 and m.aggregate = l.movement and m.type <> 'availability.changed'
     where s.order_id = $2 limit 200))
) e
left join items.item i on i.tenant = $1 and i.item = e.data ->> 'item'
order by e.recorded_at, e.id
limit 300;

-- name: recent_lines
-- Stock lines named by the newest $3 rows of the log, the latest first; where there are none, the first by key.
with changed as (
    select e.data ->> 'item' as item, e.data ->> 'location' as location, e.data ->> 'owner' as owner, max(e.id) as last_change
    from store.event r cross join lateral store.events_of(r) e
    where r.id in (
        select id from store.event
        where id > coalesce((select id from store.event order by id desc offset $3 limit 1), 0)
          and type = 'availability.changed' and tenant = $1
        order by id desc
        limit 40)
    group by 1, 2, 3
    order by 4 desc
    limit $2
), lines as (
    select item, location, owner, last_change from changed
    union all
    (select item, location, owner, 0 from availability.stock_line
     where tenant = $1 and not exists (select from changed) order by item, location, owner limit $2)
)
select item, location, owner from lines order by last_change desc, item, location, owner;

-- name: found_lines
-- $2: a pattern for LIKE on the SKU, $3: one on the name.
select l.item, l.location, l.owner
from items.item i
join availability.stock_line l on l.tenant = i.tenant and l.item = i.item
where i.tenant = $1 and (i.sku ilike $2 or i.name ilike $3 or i.item = $4)
order by i.sku, l.location, l.owner
limit $5;

-- name: positions
select l.item, l.location, l.owner, i.sku, i.name, i.base_uom, l.on_hand, l.sellable, l.reserved, l.allocated, l.external,
       l.short, l.negative, l.version, l.as_of, l.sellable - l.reserved - l.allocated - l.external as available, b.buckets
from unnest($2::text[], $3::text[], $4::text[]) with ordinality as w (item, location, owner, place)
join availability.stock_line l on l.tenant = $1 and l.item = w.item and l.location = w.location and l.owner = w.owner
left join items.item i on i.tenant = l.tenant and i.item = l.item
cross join lateral (
    select jsonb_object_agg(bucket, amount::text) as buckets
    from (
        select bucket, sum(amount) as amount
        from availability.position p
        where p.tenant = l.tenant and p.location = l.location and p.item = l.item and p.owner = l.owner
        group by bucket
    ) sums
) b
order by w.place;

-- name: events
-- The newest first, among the newest $4 rows of the log. $2: a type, a family such as "order.", or null.
select e.id, e.type, e.aggregate, e.aggregate_version, e.occurred_at, e.recorded_at, e.correlation_id, e.stream, e.data,
       i.sku
from (
    select e.*, r.type, r.occurred_at, r.recorded_at, r.stream, r.tenant
    from store.event r cross join lateral store.events_of(r) e
    where r.id in (
        select id from store.event
        where id > coalesce((select id from store.event order by id desc offset $4 limit 1), 0) and tenant = $1
          and ($2::text is null or type = $2 or starts_with(type, $2))
        order by id desc
        limit $3)
    order by e.id desc
    limit $3
) e
left join items.item i on i.tenant = e.tenant and i.item = e.data ->> 'item'
order by e.id desc;

-- name: event
select e.id, e.type, e.version, e.aggregate, e.aggregate_version, e.occurred_at, e.recorded_at, e.correlation_id,
       e.causation_id, e.stream, e.data, i.sku
from store.numbered($2) e
left join items.item i on i.tenant = e.tenant and i.item = e.data ->> 'item'
where e.tenant = $1;

-- name: exceptions
select e.exception_id, e.order_id, o.external_number, e.class, e.fault_domain, e.code, e.detail, e.blocking, e.seen,
       e.raised_at, e.last_seen_at, e.kind, e.target
from order_to_ship.exception e
join order_to_ship.sales_order o using (order_id)
where e.tenant = $1 and e.state = 'open'
order by e.blocking desc, e.exception_id desc
limit $2;

-- name: letters
select d.id, d.consumer, d.aggregate, d.state, d.error_class, d.error_code, d.detail, d.fault_domain, d.attempts,
       d.first_failed_at, d.last_failed_at, d.next_attempt_at, e.type
from store.dead_letter d
left join lateral store.numbered(d.event_id) e on true
where d.tenant = $1 and d.state <> 'resolved'
order by d.state = 'dead' desc, d.last_failed_at desc, d.id desc
limit $2;

-- name: letter
select d.id, d.consumer, d.event_id, d.aggregate, d.state, d.error_class, d.error_code, d.detail, d.fault_domain,
       d.attempts, d.history, d.first_failed_at, d.last_failed_at, d.next_attempt_at, d.resolved_at, d.resolution,
       e.type, e.data
from store.dead_letter d
left join lateral store.numbered(d.event_id) e on true
where d.tenant = $1 and d.id = $2;

-- name: has_letter
select exists (select from store.dead_letter where id = $1 and tenant = $2);

-- name: parked
select id, source, event_id, line, kind, cause, detail, mendable, parked_at
from availability.parked
where tenant = $1 and resolved_at is null
order by id desc
limit $2;

-- name: parked_one
select id, source, event_id, line, kind, cause, detail, mendable, parked_at, resolved_at, payload
from availability.parked
where tenant = $1 and id = $2;

-- name: webhooks
-- Abandoned since the message id $2.
select message, partner, endpoint, type, subject, attempts, last_status, last_error, created_at
from partner_notifications.message
where tenant = $1 and state = 'abandoned' and message >= $2
order by message desc
limit $3;
