-- An item with the factors of its alternative units in force now, each unit once.
create view items.current_item as
select i.*, p.uoms, p.factors
from items.item i
left join lateral (
    select array_agg(uom order by uom) as uoms, array_agg(factor order by uom) as factors
    from (
        select distinct on (uom) uom, factor from items.pack
        where tenant = i.tenant and item = i.item and effective_from <= now()
        order by uom, effective_from desc
    ) current
) p on true;
