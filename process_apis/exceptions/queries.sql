-- name: now
select clock_timestamp();

-- name: lock_active
select * from exceptions.entry
where tenant = $1 and kind = $2 and state in ('open', 'assigned', 'retrying')
order by entry for update;

-- name: lock_over
-- Entries that are over and told again.
select * from exceptions.entry
where tenant = $1 and kind = $2 and key = any($3::text[]) and state in ('resolved', 'ignored')
order by entry for update;

-- name: lock_entry
select * from exceptions.entry where tenant = $1 and entry = $2 for update;

-- name: get_entry
select * from exceptions.entry where tenant = $1 and entry = $2;

-- name: save_entry
insert into exceptions.entry as e
    (entry, tenant, kind, key, error_class, effect, fault_domain, code, detail, about, rank, count, value, currency,
     verbs, raised_at, last_at, by_itself_at, seen, state, assignee, asked_by, asked_at, ended_at, ended_by, reason,
     version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
        $25, $26, $27)
on conflict (entry) do update set
    error_class = excluded.error_class, effect = excluded.effect, fault_domain = excluded.fault_domain,
    code = excluded.code, detail = excluded.detail, about = excluded.about, rank = excluded.rank,
    count = excluded.count, value = excluded.value, currency = excluded.currency, verbs = excluded.verbs,
    raised_at = excluded.raised_at, last_at = excluded.last_at, by_itself_at = excluded.by_itself_at,
    seen = excluded.seen, state = excluded.state, assignee = excluded.assignee, asked_by = excluded.asked_by,
    asked_at = excluded.asked_at, ended_at = excluded.ended_at, ended_by = excluded.ended_by,
    reason = excluded.reason, version = excluded.version;

-- name: add_step
insert into exceptions.step (entry, number, actor, what, reason, code, detail)
select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6 from exceptions.step where entry = $1;

-- name: add_revision
insert into exceptions.revision (entry, number, actor, reason, before, after)
select $1, coalesce(max(number), 0) + 1, $2, $3, $4::jsonb, $5::jsonb from exceptions.revision where entry = $1;

-- name: steps
-- The newest 200, oldest first.
select * from (select number, at, actor, what, reason, code, detail from exceptions.step
               where entry = $1 order by number desc limit 200) s
order by number;

-- name: revisions
select number, at, actor, reason, before, after from exceptions.revision where entry = $1 order by number;

-- name: list_entries
-- $13, $14: rank and id of the last of the page before.
select * from exceptions.entry
where tenant = $1
  and (case when $2::text is null then state in ('open', 'assigned', 'retrying') else state = $2 end)
  and ($3::text is null or kind = $3)
  and ($4::text is null or error_class = $4)
  and ($5::text is null or fault_domain = $5)
  and ($6::text is null or code = $6)
  and ($7::text is null or about = $7)
  and ($8::text is null or coalesce(assignee, '') = $8)
  and ($9::int is null or rank >= $9)
  and ($10::timestamptz is null or raised_at >= $10)
  and ($11::timestamptz is null or raised_at < $11)
  and ($13::int is null or (rank, entry) < ($13, $14))
order by rank desc, entry desc
limit $12;

-- name: tallies
select error_class, fault_domain, count(*) as number,
       extract(epoch from now() - min(raised_at))::float8 as oldest
from (select error_class, fault_domain, raised_at from exceptions.entry
      where tenant = $1 and state in ('open', 'assigned', 'retrying') limit 10000) e
group by error_class, fault_domain
order by error_class, fault_domain;

-- name: forget
delete from exceptions.entry where entry in (
    select entry from exceptions.entry where ended_at < clock_timestamp() - $1::float8 * interval '1 day' limit 1000);
