-- name: troubles
select e.order_id, e.class, e.kind, e.target, e.fault_domain, e.code, e.detail, e.blocking, e.seen, e.raised_at,
       e.last_seen_at, o.total, o.currency
from order_to_ship.exception e left join order_to_ship.sales_order o on o.order_id = e.order_id
where e.tenant = $1 and e.state = 'open'
order by e.exception_id
limit $2;

-- name: open_one
select exception_id, order_id, class, blocking from order_to_ship.exception
where tenant = $1 and order_id = $2 and class = $3 and kind = $4 and target = $5 and state = 'open';
