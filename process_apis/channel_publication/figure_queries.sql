-- Figures that stay apart, in the queue of exceptions. $1 is the tenant.

-- name: troubles
-- What somebody changed there is set right in a moment; it waits for nobody before it stood for $2.
select g.channel, g.item, g.sku, g.cause, g.expected, g.found, g.found_at, g.last_at, g.detail,
       d.not_before, d.item is not null and d.not_before > now() as by_itself
from channel_publication.disagreement g
left join channel_publication.due d on (d.tenant, d.channel, d.item) = (g.tenant, g.channel, g.item)
where g.tenant = $1 and g.resolved_at is null and (g.cause <> 'changed_there' or g.found_at < now() - $2::interval)
order by g.disagreement
limit $3;

-- name: lock_open
select disagreement from channel_publication.disagreement
where tenant = $1 and channel = $2 and item = $3 and resolved_at is null
for update;

-- name: look_again
-- Due at once, and looked for in the channel though it was not there a moment ago.
with seen as (
    update channel_publication.figure set checked_at = null
    where tenant = $1 and channel = $2 and item = $3 and state = 'unlisted'
)
insert into channel_publication.due as d (tenant, channel, item, since, changed_at) values ($1, $2, $3, now(), now())
on conflict (tenant, channel, item) do update
set revision = d.revision + 1, stale = true, not_before = '-infinity', changed_at = excluded.changed_at;

-- name: leave
update channel_publication.disagreement set resolved_at = now() where disagreement = $1;
