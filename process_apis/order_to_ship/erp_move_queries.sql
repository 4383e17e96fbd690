-- name: add_cut_over
insert into order_to_ship.cut_over (cut_over_id, tenant, from_erp, to_erp, locations, effective_at, made_by)
values ($1, $2, $3, $4, $5, $6, $7)

-- name: record_time
select clock_timestamp()

-- name: cut_overs
select c.*, (select count(*) from order_to_ship.sales_order o
             where o.tenant = c.tenant and o.placed_at >= c.effective_at
               and (c.ended_at is null or o.placed_at < c.ended_at)) as orders
from order_to_ship.cut_over c where c.tenant = $1 order by c.effective_at

-- name: end_cut_over
update order_to_ship.cut_over set ended_at = greatest($3, effective_at)
where tenant = $1 and cut_over_id = $2 and ended_at is null
returning from_erp, to_erp, effective_at, ended_at

-- name: open_orders
-- Orders that are not closed, and that the ERP has, or will have once they are planned.
select o.order_id
from order_to_ship.sales_order o
where o.tenant = $1 and o.completed_at is null and o.cancelled_at is null and o.rejected_at is null
  and not exists (select from order_to_ship.erp_move m
                  where m.order_id = o.order_id and m.from_erp = $2 and m.state <> 'stayed')
  and (exists (select from order_to_ship.task t where t.order_id = o.order_id and t.kind = 'erp_order' and t.system = $2)
       or not exists (select from order_to_ship.task t where t.order_id = o.order_id and t.kind = 'erp_order'))
order by o.order_id limit $3

-- name: ask_move
insert into order_to_ship.erp_move (order_id, from_erp, to_erp, asked_by) values ($1, $2, $3, $4)
on conflict (order_id, from_erp) do update set
    to_erp = excluded.to_erp, state = 'asked', detail = null, asked_by = excluded.asked_by, changed_at = now()
where erp_move.state = 'stayed'

-- name: update_move
update order_to_ship.erp_move set state = $3, detail = $4, changed_at = now() where order_id = $1 and from_erp = $2

-- name: moves
select m.state, count(*) as orders, min(m.changed_at) as since
from order_to_ship.erp_move m join order_to_ship.sales_order o using (order_id)
where o.tenant = $1 and m.from_erp = $2 and m.to_erp = $3
group by m.state order by m.state

-- name: moves_to_look_at
select m.order_id, m.state, m.detail, m.changed_at, o.state as order_state
from order_to_ship.erp_move m join order_to_ship.sales_order o using (order_id)
where o.tenant = $1 and m.from_erp = $2 and m.to_erp = $3 and m.state <> 'moved'
order by m.order_id limit $4
