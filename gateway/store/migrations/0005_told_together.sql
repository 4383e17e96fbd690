-- Events of one kind that a transaction writes together may share a row: one entry in each index for all of them.
-- `id` is the number of the last of them, so a row takes as many numbers as it may hold events. Rows from before are one event each.
alter table store.event add column events smallint, add column members json;
comment on column store.event.events is 'how many events the row holds, numbered up to its id; null: it is one event';
comment on column store.event.members is
    'fields: names in data, with ? those that are left out where they are null; events: aggregate, aggregate_version, correlation_id, causation_id, then a value for each field';
alter table store.event alter column members set storage external;
alter table store.event alter column id set increment by 1000 set start with 1000;
select setval(pg_get_serial_sequence('store.event', 'id'), coalesce((select max(id) from store.event), 0) + 1000, false);

-- The events of a row, whether it is one or holds several. Strict, so that PostgreSQL (18.0) does not merge it into the
-- statement around it: it fails to plan some of these ("variable not found in subplan target list").
create function store.events_of(held store.event)
returns table (id bigint, aggregate text, aggregate_version bigint, correlation_id text, causation_id text, data jsonb)
language sql stable strict parallel safe as $$
    select held.id, held.aggregate, held.aggregate_version, held.correlation_id, held.causation_id, held.data
    where held.members is null
    union all
    select held.id - held.events + m.place, m.event ->> 0, (m.event ->> 1)::bigint, m.event ->> 2, m.event ->> 3, (
        select jsonb_object_agg(rtrim(f.name, '?'), m.event -> (3 + f.place)::int)
        from json_array_elements_text(held.members -> 'fields') with ordinality as f (name, place)
        where f.name not like '%?' or json_typeof(m.event -> (3 + f.place)::int) <> 'null')
    from json_array_elements(held.members -> 'events') with ordinality as m (event, place)
$$;

-- Every event by itself, for whoever counts or looks around. By number: store.numbered.
create view store.told as
select e.id, r.transaction_id, r.log_epoch, r.stream, r.tenant, r.type, r.version, e.aggregate, e.aggregate_version,
       r.occurred_at, r.recorded_at, e.correlation_id, e.causation_id, e.data
from store.event r cross join lateral store.events_of(r) e;

create function store.numbered(number bigint) returns setof store.told language sql stable parallel safe as $$
    select e.id, r.transaction_id, r.log_epoch, r.stream, r.tenant, r.type, r.version, e.aggregate, e.aggregate_version,
           r.occurred_at, r.recorded_at, e.correlation_id, e.causation_id, e.data
    from store.event r cross join lateral store.events_of(r) e
    where r.id = (select id from store.event where id >= number order by id limit 1) and e.id = number
$$;

-- Events of one correlation. Those that share a row are found beside another of their transaction, which says what happened.
create function store.correlated(of_tenant text, correlation text, most integer) returns setof store.told
language sql stable parallel safe as $$
    with own as (
        select id, stream, log_epoch, transaction_id from store.event
        where correlation_id = correlation and tenant = of_tenant
        order by id
        limit most
    )
    select e.id, r.transaction_id, r.log_epoch, r.stream, r.tenant, r.type, r.version, e.aggregate, e.aggregate_version,
           r.occurred_at, r.recorded_at, e.correlation_id, e.causation_id, e.data
    from store.event r cross join lateral store.events_of(r) e
    where r.tenant = of_tenant and e.correlation_id = correlation and r.id in (
        select id from own
        union
        select s.id from own join store.event s using (stream, log_epoch, transaction_id) where s.members is not null)
    order by e.id
    limit most
$$;
