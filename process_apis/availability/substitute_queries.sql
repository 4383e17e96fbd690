-- name: insert_substitutions
-- Those passed over come joined by line feeds.
insert into availability.substitution
    (tenant, order_id, order_line, action, item, substitute, factor, served, lacked, passed, channel, rule_version, made_at)
select $1, u.order_id, u.order_line, u.action, u.item, u.substitute, u.factor, u.served, u.lacked,
       string_to_array(u.passed, E'\n'), u.channel, u.rule_version, $2
from unnest($3::text::text[], $4::text::integer[], $5::text::text[], $6::text::text[], $7::text::text[], $8::text::numeric[],
            $9::text::numeric[], $10::text::numeric[], $11::text::text[], $12::text::text[], $13::text::bigint[])
    as u (order_id, order_line, action, item, substitute, factor, served, lacked, passed, channel, rule_version)

-- name: substitutions_of
select order_line, item, substitute, factor, served, lacked, passed, rule_version, made_at
from availability.substitution where tenant = $1 and order_id = $2 order by made_at, order_line limit 1000
