-- Parameters: $1 is the tenant; arrays run in parallel.

-- name: next_kit_version
insert into items.kit_catalogue as c (tenant, version) values ($1, 1)
on conflict (tenant) do update set version = c.version + 1
returning version

-- name: kit_version
select version from items.kit_catalogue where tenant = $1

-- name: recipes
-- What is in force at $2, and what begins later.
select k.kit, k.effective_from, k.version,
       array_agg(c.component order by c.component) filter (where c.component is not null) as components,
       array_agg(c.amount order by c.component) filter (where c.component is not null) as amounts
from items.kit k
left join items.kit_component c using (tenant, kit, effective_from)
where k.tenant = $1 and not exists (
    select from items.kit later
    where later.tenant = k.tenant and later.kit = k.kit and later.effective_from > k.effective_from
      and later.effective_from <= $2)
group by k.kit, k.effective_from, k.version
order by k.kit, k.effective_from

-- name: versions_of_kit
select k.kit, k.effective_from, k.version, k.source, k.made_by, k.made_at, k.note,
       array_agg(c.component order by c.component) filter (where c.component is not null) as components,
       array_agg(c.amount order by c.component) filter (where c.component is not null) as amounts
from items.kit k
left join items.kit_component c using (tenant, kit, effective_from)
where k.tenant = $1 and k.kit = $2
group by k.tenant, k.kit, k.effective_from
order by k.effective_from desc limit 100

-- name: drop_kits
delete from items.kit k
using unnest($2::text[], $3::timestamptz[]) as u (kit, effective_from)
where k.tenant = $1 and k.kit = u.kit and k.effective_from = u.effective_from

-- name: insert_kits
insert into items.kit (tenant, kit, effective_from, version, source, made_by, made_at, note, told)
select $1, u.kit, u.effective_from, $4, $5, $6, $7, $8, u.effective_from <= $7 from unnest($2::text[], $3::timestamptz[]) as u (kit, effective_from)

-- name: begun
select tenant, kit, effective_from from items.kit where not told and effective_from <= $1 order by effective_from limit 200

-- name: tell
update items.kit set told = true where tenant = $1 and kit = $2 and effective_from = $3 and not told returning true

-- name: components
select component, amount from items.kit_component where tenant = $1 and kit = $2 and effective_from = $3 order by component

-- name: insert_components
insert into items.kit_component (tenant, kit, effective_from, component, amount)
select $1, u.* from unnest($2::text[], $3::timestamptz[], $4::text[], $5::numeric[]) as u
