-- A turn that waits for a system is of its subject's shape when it is called (gateway/durable/shapes.toml). A release that
-- does not name one yet calls the function with the default.
alter table pacing.place add column shape text not null default '1';

drop function pacing.enter(text, text, text, text[], timestamptz, integer, text, text, json);

-- Whether the subject may call now; otherwise it has its place. One who was called stays called until it leaves.
create function pacing.enter(
    of_system text, of_subject text, of_work text, order_of_work text[], seniority timestamptz, visits integer,
    of_workflow text, of_queue text, of_args json,
    of_shape text default '1'
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
    insert into pacing.place (system, subject, work, since, workflow, queue, args, shape, called_at)
    values (of_system, of_subject, of_work, seniority, of_workflow, of_queue, of_args,
            of_shape, case when free then clock_timestamp() end)
    on conflict (system, subject) do update set
        work = excluded.work, since = excluded.since, args = excluded.args,
        shape = excluded.shape, called_at = excluded.called_at;
    return free;
end $$;
