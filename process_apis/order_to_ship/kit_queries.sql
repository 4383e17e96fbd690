-- name: insert_kit_lines
insert into order_to_ship.kit_line (order_id, line, item, per_kit)
select * from unnest($1::text[], $2::integer[], $3::text[], $4::numeric[])

-- name: lines_with
-- The lines of an order that a component was promised for.
select line from order_to_ship.kit_line where order_id = $1 and item = $2 order by line

-- name: insert_shipped
insert into order_to_ship.kit_shipped (movement, order_id, line, item, amount) values ($1, $2, $3, $4, $5)
on conflict (movement) do nothing returning line

-- name: withdraw
delete from order_to_ship.kit_shipped where movement = $1 returning line

-- name: balance
-- Whole kits that left in components, less those that were counted.
select (select min(floor(coalesce(s.amount, 0) / k.per_kit))
        from order_to_ship.kit_line k
        left join (select item, sum(amount) as amount from order_to_ship.kit_shipped
                   where order_id = $1 and line = $2 group by item) s using (item)
        where k.order_id = $1 and k.line = $2)
     - (select coalesce(sum(l.amount), 0) from order_to_ship.kit_shipped s
        join order_to_ship.shipment_line l using (movement) where s.order_id = $1 and s.line = $2)

-- name: trim
-- Take so many kits back from the movements that completed them, the latest first.
with counted as (
    select l.movement, l.amount, least(l.amount, $3 - (sum(l.amount) over (order by l.movement desc) - l.amount)) as cut
    from order_to_ship.kit_shipped s join order_to_ship.shipment_line l using (movement)
    where s.order_id = $1 and s.line = $2
),
gone as (
    delete from order_to_ship.shipment_line l using counted c where c.movement = l.movement and c.cut = c.amount
)
update order_to_ship.shipment_line l set amount = l.amount - c.cut
from counted c where c.movement = l.movement and c.cut > 0 and c.cut < c.amount
