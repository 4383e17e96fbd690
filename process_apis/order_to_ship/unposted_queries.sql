-- What left and is not booked in the ERP, for reconciliation. $1 is the tenant, $2 locations.

-- name: unposted
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
from store.dead_letter d join store.event e on e.id = d.event_id
where d.consumer = 'order_to_ship.shipping' and d.state <> 'resolved' and e.tenant = $1
  and e.data ->> 'location' = any($2::text[])
