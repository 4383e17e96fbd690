-- Lags and what regions are told of.

-- name: take_turn
select pg_try_advisory_xact_lock(hashtextextended('crossdock.availability.lag', 0))

-- name: measured_until
select max(minute) from availability.lag where stage = 'recorded'

-- name: measure_recorded
-- Minutes are counted anew as a whole until they are over: whoever counts, however often, it comes to the same.
insert into availability.lag as l (tenant, location, minute, stage, slot, news)
select tenant, location, date_trunc('minute', recorded_at, 'UTC'), 'recorded',
       least(300, floor(ln(greatest(extract(epoch from recorded_at - occurred_at), $2) / $2) / ln($3)))::smallint, count(*)
from availability.movement
where recorded_at >= $1 and moves and revision = 0
group by 1, 2, 3, 5
on conflict (tenant, minute, stage, location, slot) do update set news = excluded.news where l.news <> excluded.news

-- name: add_published
insert into availability.lag as l (tenant, location, minute, stage, slot, news)
select u.tenant, u.location, u.minute, 'published', u.slot, u.news
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::smallint[], $5::bigint[])
     as u (tenant, location, minute, slot, news)
order by u.tenant, u.minute, u.location, u.slot
on conflict (tenant, minute, stage, location, slot) do update set news = l.news + excluded.news

-- name: forget_lags
delete from availability.lag where minute < $1

-- name: lags
select location, minute, stage, slot, news from availability.lag where tenant = $1 and minute >= $2

-- name: parked_by_place
-- What waits, up to 10,000, by its source and that source's own code of the place.
select source, coalesce(payload ->> 'source_location', payload -> 'figure' ->> 'source_location') as code, count(*) as parked
from (select source, payload from availability.parked where tenant = $1 and resolved_at is null limit 10000) p
group by 1, 2

-- name: unpublished_by_location
-- Changes that channels' figures do not have yet, up to 10,000.
select e.location, count(*) as waiting, min(e.recorded_at) as since
from (
    select r.recorded_at, e.data ->> 'location' as location
    from (
        select e.id
        from store.consumer c
        join store.event e
          on e.stream = 'main' and (e.log_epoch, e.transaction_id, e.id) > (c.log_epoch, c.transaction_id, c.event_id)
        where c.name = 'availability.projection' and e.type = 'availability.changed' and e.tenant = $1
        order by e.log_epoch, e.transaction_id, e.id
        limit 10000
    ) waiting
    join store.event r using (id)
    cross join lateral store.events_of(r) e
    limit 10000
) e
group by 1
