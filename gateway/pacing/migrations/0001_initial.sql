-- Calls that may still count against a system's limit, pauses that systems asked for, and who waits to visit which.

create schema pacing;

-- `until` is the latest moment at which the call can have reached the system: when it was answered, or, while it is
-- under way or of a process that died, when its time is up. So a killed worker's calls are counted, never forgotten.
create table pacing.call (
    system text not null,
    call text not null,
    until timestamptz not null,
    primary key (system, call)
);
create index call_time on pacing.call (system, until);

create table pacing.pause (
    system text primary key,
    until timestamptz not null,
    visits_until timestamptz
);
comment on column pacing.pause.until is 'no calls before it: the system asked for that';
comment on column pacing.pause.visits_until is 'nobody is called before it: those who were had no room for their calls';

create table pacing.place (
    system text not null,
    subject text not null,
    work text not null,
    since timestamptz not null,
    workflow text not null,
    queue text not null,
    args json not null,
    entered_at timestamptz not null default clock_timestamp(),
    called_at timestamptz,
    primary key (system, subject)
);
comment on column pacing.place.called_at is 'null while it waits; else since when it may call';
create index place_waiting on pacing.place (system, work, since, subject) where called_at is null;
create index place_called on pacing.place (system, called_at) where called_at is not null;
create index place_subject on pacing.place (subject);

create table pacing.visit (
    system text not null,
    ended_at timestamptz not null
);
comment on table pacing.visit is 'Visits that ended lately: how fast a backlog drains.';
create index visit_time on pacing.visit (system, ended_at);

-- Seconds to wait before asking again; 0: the call is counted and may leave now.
-- A function, because what follows the lock must see what others wrote under it (one snapshot per statement).
create function pacing.take(
    of_system text, of_call text, calls integer, seconds double precision, allowed double precision
) returns double precision language plpgsql as $$
declare
    moment timestamptz;
    span interval := make_interval(secs => seconds);
    free_at timestamptz;
    counted integer;
begin
    perform pg_advisory_xact_lock(hashtextextended(of_system, 20490));
    moment := clock_timestamp();
    select until into free_at from pacing.pause where system = of_system and until > moment;
    if found then
        return greatest(0.001, extract(epoch from free_at - moment));
    end if;
    delete from pacing.call where system = of_system and until < moment - greatest(span, interval '1 minute');
    select count(*) into counted from pacing.call where system = of_system and until > moment - span;
    if calls > 0 and counted >= calls then
        select until + span into free_at from pacing.call
        where system = of_system and until > moment - span order by until offset counted - calls limit 1;
        return greatest(0.001, extract(epoch from free_at - moment));
    end if;
    insert into pacing.call (system, call, until) values (of_system, of_call, moment + make_interval(secs => allowed));
    return 0;
end $$;

-- Whether the subject may call now; otherwise it has its place. One who was called stays called until it leaves.
create function pacing.enter(
    of_system text, of_subject text, of_work text, order_of_work text[], seniority timestamptz, visits integer,
    of_workflow text, of_queue text, of_args json
) returns boolean language plpgsql as $$
declare
    free boolean := false;
begin
    if exists (select from pacing.place where system = of_system and subject = of_subject and called_at is not null) then
        return true;
    end if;
    -- Never waited for: whoever holds it may be calling us, and the caller finds us in our place.
    if pg_try_advisory_xact_lock(hashtextextended(of_system, 20491)) then
        select count(*) < visits into free from pacing.place where system = of_system and called_at is not null;
        if free then
            free := not exists (
                select from pacing.pause
                where system = of_system and greatest(until, visits_until) > clock_timestamp()
            ) and not exists (
                select from pacing.place p where p.system = of_system and p.called_at is null and p.subject <> of_subject
                  and (array_position(order_of_work, p.work), p.since, p.subject)
                      < (array_position(order_of_work, of_work), seniority, of_subject)
            );
        end if;
    end if;
    insert into pacing.place (system, subject, work, since, workflow, queue, args, called_at)
    values (of_system, of_subject, of_work, seniority, of_workflow, of_queue, of_args,
            case when free then clock_timestamp() end)
    on conflict (system, subject) do update set
        work = excluded.work, since = excluded.since, args = excluded.args, called_at = excluded.called_at;
    return free;
end $$;
