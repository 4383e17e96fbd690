-- name: next_catalogue_version
insert into items.catalogue as c (tenant, version) values ($1, 1)
on conflict (tenant) do update set version = c.version + 1
returning version

-- name: lock_catalogue
select version from items.catalogue where tenant = $1 for update

-- name: begin_catalogue
insert into items.catalogue as c (tenant, version) values ($1, 0)
on conflict (tenant) do update set version = c.version
returning version

-- name: set_catalogue_version
update items.catalogue set version = $2 where tenant = $1

-- name: catalogue_version
select version from items.catalogue where tenant = $1

-- name: items_by_id
select item, sku, name, base_uom, sellable, list_price, currency, item_group, publisher, version, changed_at, uoms, factors,
    dated_uoms, dated_factors, dated_from, dated_until
from items.current_item
where tenant = $1 and item = any($2::text[])

-- name: items_by_sku
select item, sku from items.item where tenant = $1 and sku = any($2::text[])

-- name: whole_items_by_sku
select item, sku, name, base_uom, sellable, list_price, currency, item_group, publisher, version, changed_at, uoms, factors,
    dated_uoms, dated_factors, dated_from, dated_until
from items.current_item
where tenant = $1 and sku = any($2::text[])

-- name: items_by_source
select code, item from items.cross_reference where tenant = $1 and source = $2 and code = any($3::text[])

-- name: codes_there
select source, code, item from items.cross_reference
where tenant = $1 and (source, code) in (select * from unnest($2::text[], $3::text[]))

-- name: all_codes_of
select source, code from items.cross_reference where tenant = $1 and item = $2 order by source, code

-- name: codes_of_items
select item, min(code) as code from items.cross_reference
where tenant = $1 and source = $2 and item = any($3::text[]) group by item

-- name: item_page
select item from items.item where tenant = $1 and ($2::text is null or item > $2) order by item limit $3

-- name: changed_since
select item from items.item where tenant = $1 and catalogue_version > $2 limit $3

-- name: upsert_items
insert into items.item as i
    (tenant, item, sku, name, base_uom, sellable, list_price, currency, item_group, publisher, version,
     catalogue_version, changed_at)
select $1, u.item, u.sku, u.name, u.base_uom, u.sellable, u.list_price, u.currency, u.item_group, $10, 1, $11, $12
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::numeric[], $8::text[], $9::text[])
    as u (item, sku, name, base_uom, sellable, list_price, currency, item_group)
on conflict (tenant, item) do update
set sku = excluded.sku, name = excluded.name, base_uom = excluded.base_uom, sellable = excluded.sellable,
    list_price = excluded.list_price, currency = excluded.currency, item_group = excluded.item_group,
    version = i.version + 1, catalogue_version = excluded.catalogue_version, changed_at = excluded.changed_at

-- name: touch_items
update items.item set version = version + 1, catalogue_version = $3, changed_at = $4
where tenant = $1 and item = any($2::text[])

-- name: versions_of
-- With every source's code for each: what waits for one of them is looked at again.
select i.item, i.sku, i.name, i.sellable, i.version, c.sources, c.codes
from items.item i
left join lateral (
    select array_agg(source order by source, code) as sources, array_agg(code order by source, code) as codes
    from (select source, code from items.cross_reference x where x.tenant = i.tenant and x.item = i.item limit $3) told
) c on true
where i.tenant = $1 and i.item = any($2::text[])

-- name: end_packs
update items.pack p set effective_until = $3
where p.tenant = $1 and p.item = any($2::text[]) and p.effective_until = 'infinity' and not exists (
    select from unnest($4::text[], $5::text[], $6::numeric[]) as u (item, uom, factor)
    where u.item = p.item and u.uom = p.uom and u.factor = p.factor)

-- name: begin_packs
insert into items.pack as p (tenant, item, uom, factor, effective_from)
select $1, u.item, u.uom, u.factor, case when exists (
    select from items.pack b where b.tenant = $1 and b.item = u.item and b.uom = u.uom) then $2::timestamptz else '-infinity' end
from unnest($3::text[], $4::text[], $5::numeric[]) as u (item, uom, factor)
where not exists (
    select from items.pack h
    where h.tenant = $1 and h.item = u.item and h.uom = u.uom and h.effective_until = 'infinity')
on conflict (tenant, item, uom, effective_from) do update set factor = excluded.factor, effective_until = 'infinity'

-- name: upsert_codes
insert into items.cross_reference as x (tenant, source, code, item)
select $1, u.source, u.code, u.item from unnest($2::text[], $3::text[], $4::text[]) as u (source, code, item)
on conflict (tenant, source, code) do update set item = excluded.item where x.item <> excluded.item

-- name: groups_since
select item, item_group, catalogue_version from items.item where tenant = $1 and catalogue_version > $2
  and (item_group is not null or $2 >= 0)
