-- Rules of channels. $1 is the tenant. A version never changes once it is written.

-- name: rules_in_force
select distinct on (channel) channel, version, made_at from availability.channel_rule
where tenant = $1 and effective_from <= $2 and (effective_until is null or effective_until > $2)
order by channel, version desc

-- name: terms_of_versions
select channel, version, made_at, terms
from availability.channel_rule r
join unnest($2::text[], $3::bigint[]) as u (channel, version) using (channel, version)
where r.tenant = $1

-- name: write_rule
insert into availability.channel_rule
    (tenant, channel, version, effective_from, effective_until, terms, fences, business_owner, reason, made_by)
select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8, $9
from availability.channel_rule where tenant = $1 and channel = $2
returning version, made_at

-- name: rule_versions
select channel, version, effective_from, effective_until, terms, business_owner, reason, made_by, made_at
from availability.channel_rule
where tenant = $1 and channel = $2 and ($3::bigint is null or version < $3)
order by version desc limit $4

-- name: rules_listed
select channel, version, effective_from, effective_until, terms, business_owner, reason, made_by, made_at
from (
    select distinct on (channel) * from availability.channel_rule
    where tenant = $1 and effective_from <= $2 and (effective_until is null or effective_until > $2)
      and ($3::text is null or channel > $3)
    order by channel, version desc
) in_force
order by channel limit $4

-- name: stocked_items
select distinct item from availability.stock_line
where tenant = $1 and item > $2 and ($4::text[] is null or item = any($4::text[]))
order by item limit $3

-- name: latest_movements
select l.item, l.location, m.*
from availability.stock_line l
cross join lateral (
    select movement, source, event_id, type, amount, from_bucket, to_bucket, occurred_at, recorded_at
    from availability.movement
    where tenant = $1 and location = l.location and item = l.item and owner = l.owner and moves and live
    order by epoch desc, sequence desc, recorded_at desc limit $4
) m
where l.tenant = $1 and l.item = any($2::text[]) and l.owner = $3

-- name: lots_of_items
-- Sellable stock of lots whose last day is known.
select s.item, s.location, s.owner, t.expires_on, p.amount
from availability.lot t
join availability.stock_line s on s.tenant = $1 and s.item = t.item
join availability.position p
  on p.tenant = $1 and p.location = s.location and p.item = s.item and p.owner = s.owner and p.bucket = 'sellable'
 and p.lot = t.lot
where t.tenant = $1 and t.item = any($2::text[]) and p.amount > 0

-- name: lots_at
-- Sellable stock at one location by lot, with its last day where that is known.
select p.item, p.lot, p.amount, t.expires_on
from availability.position p left join availability.lot t on t.tenant = $1 and t.item = p.item and t.lot = p.lot
where p.tenant = $1 and p.location = $2 and p.item = any($3::text[]) and p.owner = $4 and p.bucket = 'sellable'
  and p.amount > 0
order by p.item, t.expires_on, p.lot

-- name: has_lots
select exists (select from availability.lot where tenant = $1)

-- name: tell_lots
insert into availability.lot as t (tenant, item, lot, expires_on, told_by)
select $1, u.item, u.lot, u.expires_on, $5 from unnest($2::text[], $3::text[], $4::date[]) as u (item, lot, expires_on)
order by u.item, u.lot
on conflict (tenant, item, lot) do update
set expires_on = excluded.expires_on, told_by = excluded.told_by, told_at = now()
where t.expires_on <> excluded.expires_on

-- name: lots_listed
select lot, expires_on, told_by, told_at from availability.lot
where tenant = $1 and item = $2 and ($3::text is null or lot > $3) order by lot limit $4
