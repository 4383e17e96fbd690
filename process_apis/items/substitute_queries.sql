-- Parameters: $1 is the tenant; arrays run in parallel.

-- name: next_version
insert into items.substitute_catalogue as c (tenant, version) values ($1, 1)
on conflict (tenant) do update set version = c.version + 1
returning version

-- name: version
select version from items.substitute_catalogue where tenant = $1

-- name: lists
-- What is in force at $2, and what begins later.
select l.item, l.effective_from,
       jsonb_agg(jsonb_build_array(s.substitute, s.factor::text, s.both_ways, s.channels, s.counted) order by s.rank)
           filter (where s.rank is not null) as substitutes
from items.substitute_list l
left join items.substitute s using (tenant, item, effective_from)
where l.tenant = $1 and not exists (
    select from items.substitute_list later
    where later.tenant = l.tenant and later.item = l.item and later.effective_from > l.effective_from
      and later.effective_from <= $2)
group by l.item, l.effective_from
order by l.item, l.effective_from

-- name: versions_of_item
select l.effective_from, l.source, l.made_by, l.made_at, l.note,
       jsonb_agg(jsonb_build_array(s.substitute, s.factor::text, s.both_ways, s.channels, s.counted) order by s.rank)
           filter (where s.rank is not null) as substitutes
from items.substitute_list l
left join items.substitute s using (tenant, item, effective_from)
where l.tenant = $1 and l.item = $2
group by l.tenant, l.item, l.effective_from
order by l.effective_from desc limit 100

-- name: drop_lists
delete from items.substitute_list l
using unnest($2::text[], $3::timestamptz[]) as u (item, effective_from)
where l.tenant = $1 and l.item = u.item and l.effective_from = u.effective_from

-- name: insert_lists
insert into items.substitute_list (tenant, item, effective_from, version, source, made_by, made_at, note)
select $1, u.item, u.effective_from, $4, $5, $6, $7, $8 from unnest($2::text[], $3::timestamptz[]) as u (item, effective_from)

-- name: insert_substitutes
-- Channels come joined by line feeds, which no channel's name has.
insert into items.substitute (tenant, item, effective_from, rank, substitute, factor, both_ways, channels, counted)
select $1, u.item, u.effective_from, u.rank, u.substitute, u.factor, u.both_ways, string_to_array(u.channels, E'\n'),
       u.counted
from unnest($2::text[], $3::timestamptz[], $4::integer[], $5::text[], $6::numeric[], $7::boolean[], $8::text[],
            $9::boolean[]) as u (item, effective_from, rank, substitute, factor, both_ways, channels, counted)
