-- What counts of what is said of an item (reference.statement, domain 'item') stands in its columns. `publisher` is who
-- spoke of it first; of an item without statements, taken in before they were kept, the columns are what it said.
alter table items.item add column item_group text;

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

-- Each item's codes: of one source, and all.
drop index items.cross_reference_item;
create index cross_reference_item on items.cross_reference (tenant, item, source);
