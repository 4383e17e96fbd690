-- name: catalogue_version
select version from locations.catalogue where tenant = $1

-- name: next_catalogue_version
insert into locations.catalogue as c (tenant, version) values ($1, 1)
on conflict (tenant) do update set version = c.version + 1
returning version

-- name: all_locations
select location, version from locations.location where tenant = $1 order by location

-- name: all_codes
select location, source, code, nullif(valid_from, '-infinity') as valid_from,
    nullif(valid_until, 'infinity') as valid_until
from locations.code where tenant = $1 order by source, code, valid_from

-- name: write_locations
insert into locations.location as l (tenant, location, version, changed_at)
select $1, u.location, 1, $3 from unnest($2::text[]) as u (location)
on conflict (tenant, location) do update set version = l.version + 1, changed_at = excluded.changed_at
returning location, version

-- name: drop_codes
delete from locations.code where tenant = $1 and (location, source) in (select * from unnest($2::text[], $3::text[]))

-- name: codes_of
-- What sources call these locations, at any time.
select location, source, code from locations.code where tenant = $1 and location = any($2::text[])
order by location, source, code

-- name: add_codes
insert into locations.code (tenant, location, source, code, valid_from, valid_until)
select $1, u.location, u.source, u.code, coalesce(u.valid_from, '-infinity'), coalesce(u.valid_until, 'infinity')
from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    as u (location, source, code, valid_from, valid_until)
