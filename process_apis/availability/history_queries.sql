-- How far history reaches, and what of it is condensed. Parameters: $1 is the tenant unless said otherwise.

-- name: lock_spans
select pg_advisory_xact_lock(hashtextextended('crossdock.availability.history', 0))

-- name: spans
-- $1 are the tables.
select p.relname, c.relname, pg_get_expr(c.relpartbound, c.oid), greatest(c.reltuples, 0)::bigint,
       pg_total_relation_size(c.oid)
from unnest($1::text[]) with ordinality as t (name, number)
join pg_class p on p.oid = ('availability.' || t.name)::regclass
join pg_inherits i on i.inhparent = p.oid
join pg_class c on c.oid = i.inhrelid
order by t.number, c.relname like '%carried' desc, c.relname like '%first' desc, c.relname
