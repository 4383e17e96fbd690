-- What is and what is not booked in the ERPs, for reconciliation. $1 is the tenant.

-- name: unposted
-- At the locations $2.
-- Postings that are not done; while one is being tried, the ERP may have it or not. Then what was reported and has not
-- been counted yet, or was set aside: nobody knows what it will lead to.
with heard as (
    select log_epoch, transaction_id, event_id from store.consumer where name = 'order_to_ship.shipping'
)
select p.item, s.location, p.amount, t.state = 'pending' and t.attempts = 0 as certain
from order_to_ship.task t
join order_to_ship.sales_order o on o.order_id = t.order_id and o.tenant = $1
join order_to_ship.shipment s on s.shipment_id = t.target
join order_to_ship.shipment_line p on p.shipment_id = s.shipment_id
where t.kind = 'shipment_posting' and t.state <> 'done' and s.location = any($2::text[])
union all
select e.data ->> 'item', e.data ->> 'location', 0, false
from heard h
join store.event e on (e.log_epoch, e.transaction_id, e.id) > (h.log_epoch, h.transaction_id, h.event_id)
where e.stream = 'main' and e.type = 'stock.movement_recorded' and e.tenant = $1
  and e.data ->> 'order' is not null and e.data ->> 'location' = any($2::text[])
union all
select e.data ->> 'item', e.data ->> 'location', 0, false
from store.dead_letter d cross join lateral store.numbered(d.event_id) e
where d.consumer = 'order_to_ship.shipping' and d.state <> 'resolved' and e.tenant = $1
  and e.data ->> 'location' = any($2::text[])

-- name: booked
-- Orders after $2 whose ERP said that it has them, or has them no more; not those closed before $3 or changed after $4.
-- Each release is one, under its own reference; $6: only these.
select r.reference as order, t.system, t.number, t.state in ('absent', 'withdrawn') as gone,
       (select coalesce(jsonb_agg(jsonb_build_object(
            'posting', s.shipment_id, 'location', s.location, 'shipped_at', s.confirmed_at, 'lines', (
            select jsonb_object_agg(l.line, l.amount::text) from (
                select line, sum(amount) as amount from order_to_ship.shipment_line
                where shipment_id = s.shipment_id group by line) l)) order by s.sequence), '[]')
        from order_to_ship.shipment s
        join order_to_ship.task p
          on p.order_id = s.order_id and p.kind = 'shipment_posting' and p.target = s.shipment_id
        where s.order_id = t.order_id and s.release = r.release and p.system = t.system and p.state = 'done' and p.changed_at < $4
          and exists (select from order_to_ship.shipment_line l where l.shipment_id = s.shipment_id)) as shipments,
       (select coalesce(jsonb_object_agg(l.line, l.unit_price::text), '{}')
        from order_to_ship.line l where l.order_id = t.order_id) as prices
from order_to_ship.sales_order o
join order_to_ship.task t on t.order_id = o.order_id and t.kind = 'erp_order'
cross join lateral (select coalesce(nullif(split_part(t.target, '#', 2), ''), '1')::integer as release) n
cross join lateral (
    select n.release, t.order_id || case when n.release > 1 then '.' || n.release else '' end as reference
) r
where o.tenant = $1 and o.order_id >= split_part($2, '.', 1) and r.reference > $2 and t.changed_at < $4
  and (t.state in ('done', 'withdrawn') or t.state = 'absent' and (o.cancelled_at is not null or o.rejected_at is not null))
  and coalesce(o.completed_at, o.cancelled_at, o.rejected_at, $4) >= $3
  and ($6::text[] is null or r.reference = any($6) and o.order_id = any(
       select split_part(one, '.', 1) from unnest($6::text[]) as one))
order by r.reference, t.system limit $5
