-- name: insert_orders
-- In one order, so that two batches that hold the same identities wait for each other and never for one another.
with fresh as (
insert into order_to_ship.sales_order
    (order_id, tenant, channel, partner, sold_to, external_number, release, fingerprint, currency, ship_to,
     requested_date, total, placed_at, correlation_id, state, exposure, due_at, fill,
     shape)
select o.order_id, $1, o.channel, o.partner, o.sold_to, o.external_number, o.release, o.fingerprint, o.currency,
       o.ship_to, o.requested_date, o.total, o.placed_at, o.correlation_id, 'promised', o.total, o.placed_at, o.fill,
       $26
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::text[],
            $10::jsonb[], $11::date[], $12::numeric[], $13::timestamptz[], $14::text[], $25::text[])
     as o (order_id, channel, partner, sold_to, external_number, release, fingerprint, currency, ship_to,
           requested_date, total, placed_at, correlation_id, fill)
order by o.channel, o.sold_to, o.external_number, o.release
on conflict (tenant, channel, sold_to, external_number, release) do nothing
returning order_id
),
lines as (
    insert into order_to_ship.line
        (order_id, line, item, sku, asked_amount, asked_uom, uom, factor, unit_price, ordered, open, stated_price)
    select l.order_id, l.line, l.item, l.sku, l.asked_amount, l.asked_uom, l.uom, l.factor, l.unit_price, l.ordered,
           l.ordered, l.stated_price
    from unnest($15::text[], $16::integer[], $17::text[], $18::text[], $19::numeric[], $20::text[], $21::text[],
                $22::numeric[], $23::numeric[], $24::numeric[], $27::numeric[])
         as l (order_id, line, item, sku, asked_amount, asked_uom, uom, factor, unit_price, ordered, stated_price)
    where l.order_id in (select order_id from fresh)
)
select order_id from fresh

-- name: insert_allocations
insert into order_to_ship.allocation (order_id, line, location, claim, amount)
select * from unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::numeric[])

-- name: replace_allocations
with gone as (
    delete from order_to_ship.allocation a
    where a.order_id = $1
      and not exists (select from unnest($2::integer[], $3::text[]) k (line, location)
                      where k.line = a.line and k.location = a.location)
)
insert into order_to_ship.allocation (order_id, line, location, claim, amount)
select $1, k.line, k.location, k.claim, k.amount
from unnest($2::integer[], $3::text[], $4::text[], $5::numeric[]) k (line, location, claim, amount)
on conflict (order_id, line, location) do update set claim = excluded.claim, amount = excluded.amount

-- name: find_by_identity
select order_id, fingerprint from order_to_ship.sales_order
where tenant = $1 and channel = $2 and sold_to = $3 and external_number = $4 and release = $5

-- name: try_order_lock
select pg_try_advisory_lock(hashtextextended($1, 20481))

-- name: free_order_lock
select pg_advisory_unlock(hashtextextended($1, 20481))

-- name: lock_customer
select pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2, 20482))

-- name: load_order
select (to_jsonb(o) - 'fingerprint' || jsonb_build_object(
    'lines', (select jsonb_agg(to_jsonb(l) - 'order_id' order by l.line)
              from order_to_ship.line l where l.order_id = o.order_id),
    'allocations', (select coalesce(jsonb_agg(to_jsonb(a) - 'order_id' order by a.line, a.location), '[]')
                    from order_to_ship.allocation a where a.order_id = o.order_id),
    'released', (select coalesce(jsonb_agg(to_jsonb(r) - 'order_id' order by r.release, r.line, r.location), '[]')
                 from order_to_ship.released_line r where r.order_id = o.order_id),
    'tasks', (select coalesce(jsonb_agg(to_jsonb(t) - 'order_id' order by t.kind, t.target), '[]')
              from order_to_ship.task t where t.order_id = o.order_id),
    'shipments', (select coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('lines',
                    (select coalesce(jsonb_agg(to_jsonb(sl) order by sl.movement), '[]')
                     from order_to_ship.shipment_line sl where sl.shipment_id = s.shipment_id))
                    order by s.sequence), '[]')
                  from order_to_ship.shipment s where s.order_id = o.order_id),
    'exceptions', (select coalesce(jsonb_agg(to_jsonb(e) || jsonb_build_object('exception', e.class)), '[]')
                   from order_to_ship.exception e
                   where e.order_id = o.order_id and e.tenant = o.tenant and e.state = 'open'),
    'cut_overs', (select coalesce(jsonb_agg(to_jsonb(c) order by c.effective_at), '[]')
                  from order_to_ship.cut_over c
                  where c.tenant = o.tenant and c.effective_at <= o.placed_at
                    and (c.ended_at is null or o.placed_at < c.ended_at)),
    'moves', (select coalesce(jsonb_agg(to_jsonb(m) order by m.asked_at), '[]')
              from order_to_ship.erp_move m where m.order_id = o.order_id)
))::text
from order_to_ship.sales_order o
where o.order_id = $1 and ($2::text is null or o.tenant = $2) and ($3::text is null or o.partner = $3)

-- name: update_order
update order_to_ship.sales_order set
    version = $2, state = $3, approved_at = $4, allocated_at = $5, hold_reason = $6, cancel_requested_at = $7,
    cancel_reason = $8, cancel_refused_at = $9, picking_began_at = $10, rejected_at = $11, reject_reason = $12,
    cancelled_at = $13, completed_at = $14, exposure = $15, turn = $16, waiting_turn = $17, due_at = $18,
    shape = $19
where order_id = $1

-- name: update_lines
update order_to_ship.line l set
    open = k.open, backordered = k.backordered, shipped = k.shipped, cancelled = k.cancelled,
    over_shipped = k.over_shipped, expected = k.expected
from unnest($2::integer[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::date[])
    k (line, open, backordered, shipped, cancelled, over_shipped, expected)
where l.order_id = $1 and l.line = k.line

-- name: upsert_tasks
insert into order_to_ship.task
    (order_id, kind, target, system, state, attempts, settling, not_before, verify_at, number, error_code)
select $1, k.* from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::boolean[],
    $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[]) k
on conflict (order_id, kind, target) do update set
    system = excluded.system, state = excluded.state, attempts = excluded.attempts, settling = excluded.settling,
    not_before = excluded.not_before, verify_at = excluded.verify_at, number = excluded.number,
    error_code = excluded.error_code, changed_at = now()

-- name: open_exposure
select coalesce(sum(exposure), 0) from order_to_ship.sales_order
where tenant = $1 and sold_to = $2 and currency = $3 and exposure > 0 and (approved_at is not null or order_id = $4)

-- name: insert_shipments
insert into order_to_ship.shipment
    (shipment_id, order_id, sequence, source, event_id, location, confirmed_at, release)
select * from unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
    $8::integer[])

-- name: insert_released
insert into order_to_ship.released_line (order_id, release, line, location, amount, claims)
select $1, k.release, k.line, k.location, k.amount, array(select jsonb_array_elements_text(k.claims))
from unnest($2::integer[], $3::integer[], $4::text[], $5::numeric[], $6::jsonb[])
    as k (release, line, location, amount, claims)

-- name: insert_shipment_lines
insert into order_to_ship.shipment_line (movement, shipment_id, line, item, amount)
select * from unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::numeric[])

-- name: withdraw_movement
delete from order_to_ship.shipment_line where movement = $1 returning shipment_id, line, amount

-- name: movements_known
select movement from order_to_ship.shipment_line where movement = any($1::text[])

-- name: raise_exception
insert into order_to_ship.exception
    (exception_id, tenant, order_id, class, fault_domain, code, detail, blocking, kind, target)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (order_id, class, kind, target) where state = 'open' do update set
    seen = exception.seen + 1, last_seen_at = now(), code = excluded.code, detail = excluded.detail,
    blocking = exception.blocking or excluded.blocking
returning exception_id

-- name: resolve_exceptions
update order_to_ship.exception set state = 'resolved', resolved_at = now(), resolved_by = $4, resolution = $5
where order_id = $1 and state = 'open'
  and case when $2::text is null then class <> 'shipment_mismatch' else kind = $2 and target = $3 end

-- name: resolve_exception
update order_to_ship.exception set state = 'resolved', resolved_at = now(), resolved_by = $3, resolution = $4
where exception_id = $1 and tenant = $2 and state = 'open'
returning order_id

-- name: get_exception
select * from order_to_ship.exception where exception_id = $1 and tenant = $2

-- name: list_exceptions
select * from order_to_ship.exception
where tenant = $1 and ($2::text is null or state = $2) and ($3::text is null or order_id = $3)
  and ($4::text is null or exception_id < $4)
order by exception_id desc limit $5

-- name: list_orders
select order_id, external_number, release, channel, partner, sold_to, state, total, currency, placed_at, version
from order_to_ship.sales_order
where tenant = $1 and ($2::text is null or partner = $2) and ($3::text is null or state = $3)
  and ($4::text is null or order_id < $4)
order by order_id desc limit $5

-- name: due_at
select due_at from order_to_ship.sales_order where order_id = $1

-- name: waited_long
-- Orders of which something waits for stock, placed longer ago than their channel waits. Nobody works on them yet.
select o.order_id
from order_to_ship.sales_order o
join unnest($1::text[], $2::interval[]) as k (channel, after) using (channel)
where o.order_id in (select order_id from order_to_ship.line where backordered > 0)
  and o.placed_at + k.after < clock_timestamp() and o.allocated_at is null and o.cancelled_at is null
  and o.rejected_at is null and o.cancel_requested_at is null
order by o.placed_at limit $3

-- name: overdue
select order_id, turn from order_to_ship.sales_order
where due_at < now() - make_interval(secs => $1)
order by due_at limit $2
for update skip locked

-- name: rouse
update order_to_ship.sales_order set turn = turn + 1, due_at = clock_timestamp()
where order_id = $1
returning turn, shape

-- name: open_of_shape
-- Whether any order of a shape of turns is not over.
select exists (
    select from order_to_ship.sales_order
    where shape = $1 and completed_at is null and cancelled_at is null and rejected_at is null
)
