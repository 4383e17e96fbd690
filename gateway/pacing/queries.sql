-- name: take
select pacing.take($1, $2, $3, $4, $5)

-- name: ended
update pacing.call set until = least(until, clock_timestamp()) where system = $1 and call = $2

-- name: pause
insert into pacing.pause (system, until) values ($1, clock_timestamp() + make_interval(secs => $2))
on conflict (system) do update set until = greatest(pause.until, excluded.until)

-- name: enter
select pacing.enter($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: leave
with gone as (
    delete from pacing.place where subject = $1 and system is distinct from $2 returning system, called_at
)
insert into pacing.visit (system, ended_at)
select system, clock_timestamp() from gone where called_at is not null

-- name: step_back
with back as (
    update pacing.place set called_at = null where system = $1 and subject = $2
)
insert into pacing.pause (system, until, visits_until)
values ($1, clock_timestamp(), clock_timestamp() + make_interval(secs => $3))
on conflict (system) do update set visits_until = greatest(pause.visits_until, excluded.visits_until)

-- name: somebody_waits
select exists (
    select from pacing.place where system = any($1::text[])
      and (called_at is null or called_at < clock_timestamp() - make_interval(secs => $2))
)

-- name: shape_waits
select exists (select from pacing.place where shape = $1)

-- name: call_all
delete from pacing.place where system = $1
returning subject, workflow, queue, shape, args::text as args, (extract(epoch from clock_timestamp()) * 1000000)::bigint as at

-- name: systems_waiting
select distinct system from pacing.place

-- name: try_caller_lock
select pg_try_advisory_xact_lock(hashtextextended($1, 20491))

-- name: call_next
-- Who was called long ago and has not left is called once more: its turn may have failed before it could tell.
with lost as (
    select subject from pacing.place
    where system = $1 and called_at < clock_timestamp() - make_interval(secs => $4)
    limit 100 for update skip locked
),
next as (
    select p.subject
    from unnest($2::text[]) with ordinality as w (work, rank)
    cross join lateral (
        select * from pacing.place p
        where p.system = $1 and p.work = w.work and p.called_at is null
        order by p.since, p.subject limit $5
    ) p
    where not exists (select from pacing.pause where system = $1 and greatest(until, visits_until) > clock_timestamp())
    order by w.rank, p.since, p.subject
    limit greatest(0, least($5, $3 - (select count(*) from pacing.place where system = $1 and called_at is not null)))
)
update pacing.place p set called_at = clock_timestamp()
from (select subject from lost union select subject from next) c
where p.system = $1 and p.subject = c.subject
returning p.subject, p.workflow, p.queue, p.shape, p.args::text as args, (extract(epoch from p.called_at) * 1000000)::bigint as at

-- name: forget_visits
delete from pacing.visit where ended_at < clock_timestamp() - interval '10 minutes'

-- name: standing
-- The place of one that waits, 1 the next; when it is expected to be called by how fast visits ended in the last minute.
select p.system, p.work, p.entered_at,
    1 + (select count(*) from pacing.place o
         where o.system = p.system and o.called_at is null
           and (array_position($2::text[], o.work), o.since, o.subject)
               < (array_position($2::text[], p.work), p.since, p.subject)) as place,
    greatest(clock_timestamp(), (select greatest(until, visits_until) from pacing.pause where system = p.system))
        as from_when,
    v.ended, extract(epoch from clock_timestamp() - v.first_ended)::float8 as seconds
from pacing.place p
cross join lateral (
    select count(*) as ended, min(ended_at) as first_ended from pacing.visit
    where system = p.system and ended_at > clock_timestamp() - interval '1 minute'
) v
where p.subject = $1 and p.called_at is null
order by p.entered_at limit 1

-- name: backlog
select s.system,
    count(p.subject) filter (where p.called_at is null) as waiting,
    count(p.subject) filter (where p.called_at is not null) as called,
    min(p.entered_at) filter (where p.called_at is null) as oldest,
    (select until from pacing.pause where system = s.system and until > clock_timestamp()) as paused_until,
    greatest(clock_timestamp(), (select greatest(until, visits_until) from pacing.pause where system = s.system))
        as from_when,
    (select coalesce(jsonb_object_agg(w.work, w.number), '{}') from (
        select work, count(*) as number from pacing.place
        where system = s.system and called_at is null group by work) w)::text as by_work,
    (select count(*) from pacing.call c
     where c.system = s.system and c.until > clock_timestamp() - make_interval(secs => max(s.window_seconds))) as counted,
    (select count(*) from pacing.visit where system = s.system and ended_at > clock_timestamp() - interval '1 minute')
        as ended,
    extract(epoch from clock_timestamp() - (select min(ended_at) from pacing.visit
        where system = s.system and ended_at > clock_timestamp() - interval '1 minute'))::float8 as seconds
from (
    select * from unnest($1::text[], $2::float8[]) as of (system, window_seconds)
    union all
    select distinct system, 0 from pacing.place where system <> all($1::text[])
) s
left join pacing.place p using (system)
group by s.system order by s.system
