-- name: sold
select jsonb_build_object(
    'order', o.order_id, 'channel', o.channel, 'partner', o.partner, 'sold_to', o.sold_to, 'currency', o.currency,
    'system', (select t.system from order_to_ship.task t
               where t.order_id = o.order_id and t.kind = 'erp_order' and t.state = 'done' order by t.target limit 1),
    'lines', (select jsonb_agg(jsonb_build_object(
                  'line', l.line, 'item', l.item, 'sku', l.sku, 'uom', l.uom, 'unit_price', l.unit_price,
                  'asked_uom', l.asked_uom,
                  'factor', l.factor, 'shipped', l.shipped + l.over_shipped, 'shipped_at', s.confirmed_at, 'location', s.location
              ) order by l.line)
              from order_to_ship.line l
              left join lateral (
                  select s.confirmed_at, s.location
                  from order_to_ship.shipment s join order_to_ship.shipment_line sl using (shipment_id)
                  where s.order_id = o.order_id and sl.line = l.line
                  order by s.sequence desc limit 1) s on true
              where l.order_id = o.order_id))::text
from order_to_ship.sales_order o
where o.order_id = $1 and o.tenant = $2 and ($3::text is null or o.partner = $3)
