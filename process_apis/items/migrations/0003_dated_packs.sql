-- A factor that changes is not replaced: the one before holds until then, for what happened before and is told late.
alter table items.pack add column effective_until timestamptz not null default 'infinity';

drop view items.current_item;

-- An item with the factors of its alternative units in force now, and those of units that changed at some time.
create view items.current_item as
select i.*, p.uoms, p.factors, d.dated_uoms, d.dated_factors, d.dated_from, d.dated_until
from items.item i
left join lateral (
    select array_agg(uom order by uom) as uoms, array_agg(factor order by uom) as factors
    from items.pack
    where tenant = i.tenant and item = i.item and effective_from <= now() and effective_until > now()
) p on true
left join lateral (
    select array_agg(uom order by uom, effective_from) as dated_uoms,
        array_agg(factor order by uom, effective_from) as dated_factors,
        array_agg(nullif(effective_from, '-infinity') order by uom, effective_from) as dated_from,
        array_agg(nullif(effective_until, 'infinity') order by uom, effective_from) as dated_until
    from items.pack
    where tenant = i.tenant and item = i.item
        and (effective_from > '-infinity' or effective_until < 'infinity') and effective_from < effective_until
) d on true;
