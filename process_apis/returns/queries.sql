-- name: lock_order
-- Returns of one order are decided one after the other.
select pg_advisory_xact_lock(hashtextextended($1, 20485))

-- name: insert_return
insert into returns.return_order
    (return_id, tenant, action, fingerprint, order_id, partner, channel, sold_to, currency, system, location, freight,
     note, asked_by, correlation_id, state, over, decision, decided_by, reference, decided_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
        case when $18::text is not null then clock_timestamp() end)

-- name: insert_lines
insert into returns.return_line (return_id, line, item, sku, uom, unit_price, amount, reason, fee_percent)
select $1, u.* from unnest(
    $2::int[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::text[], $9::numeric[]) u

-- name: return_of_action
select return_id, fingerprint from returns.return_order where tenant = $1 and action = $2

-- name: taken
-- What other returns of an order take of its lines: what came, or what may still come.
select l.line, sum(case when r.state in ('refused', 'cancelled', 'credited', 'closed') then l.received
                        else greatest(l.received, l.amount) end) as amount
from returns.return_line l join returns.return_order r using (return_id)
where r.order_id = $1 and r.return_id <> $2
group by l.line

-- name: returned
-- What came back of an order's lines, and how much of it is on issued credit notes.
select l.line, sum(l.received) as returned, coalesce(sum(c.amount), 0) as credited
from returns.return_order r
join returns.return_line l using (return_id)
left join lateral (
    select sum((part ->> 'amount')::numeric) as amount
    from returns.credit c, jsonb_array_elements(c.lines) part
    where c.return_id = r.return_id and c.state = 'issued' and (part ->> 'line')::int = l.line) c on true
where r.order_id = $1
group by l.line having sum(l.received) > 0
order by l.line

-- name: lock_return
select clock_timestamp() from returns.return_order
where return_id = $1 and ($2::text is null or tenant = $2) for update

-- name: bodies
select (to_jsonb(r) - 'fingerprint' || jsonb_build_object(
    'lines', (select jsonb_agg(to_jsonb(l) order by l.line) from returns.return_line l
              where l.return_id = r.return_id),
    'moved', (select coalesce(jsonb_agg(to_jsonb(m) order by m.item), '[]') from (
                  select c.item, sum(c.received) as received, sum(c.sellable) as sellable, sum(c.damaged) as damaged,
                         sum(c.quality_hold) as quality_hold, sum(c."out") as "out"
                  from returns.counted c where c.return_id = r.return_id group by c.item) m),
    'dispositions', (select coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('task', to_jsonb(k) - 'fingerprint')
                                               order by d.disposition), '[]')
                     from returns.disposition d join returns.task k on k.subject = d.disposition
                     where d.return_id = r.return_id),
    'credits', (select coalesce(jsonb_agg(to_jsonb(c) || jsonb_build_object('task', to_jsonb(k) - 'fingerprint')
                                          order by c.credit), '[]')
                from returns.credit c join returns.task k on k.subject = c.credit
                where c.return_id = r.return_id)))::text as body
from returns.return_order r
where r.return_id = any($1::text[]) and ($2::text is null or r.tenant = $2) and ($3::text is null or r.partner = $3)
order by r.return_id desc

-- name: list_returns
select return_id from returns.return_order r
where r.tenant = $1 and ($2::text is null or r.partner = $2) and ($3::text is null or r.state = $3)
  and ($4::text is null or r.order_id = $4)
  and (not $5::boolean or r.state not in ('refused', 'cancelled', 'credited', 'closed'))
  and ($6::text is null or r.return_id < $6)
order by r.return_id desc limit $7

-- name: save_return
update returns.return_order set
    version = $2, state = $3, decision = $4, decided_by = $5, decided_at = $6, decision_reason = $7, cancelled_at = $8,
    cancel_reason = $9, closed_at = $10, closed_by = $11, close_reason = $12, changed_at = clock_timestamp()
where return_id = $1

-- name: save_lines
update returns.return_line l set
    amount = u.amount, received = u.received, sellable = u.sellable, damaged = u.damaged,
    quality_hold = u.quality_hold, "out" = u."out", refused = u.refused, credited = u.credited
from unnest($2::int[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[],
            $9::numeric[], $10::numeric[])
     u (line, amount, received, sellable, damaged, quality_hold, "out", refused, credited)
where l.return_id = $1 and l.line = u.line

-- name: count_movement
insert into returns.counted
    (movement, tenant, return_id, item, received, sellable, damaged, quality_hold, "out", document, location, source,
     code)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (movement) do nothing
returning movement

-- name: counted_under
select return_id from returns.counted where movement = $1

-- name: take_back
delete from returns.counted where movement = $1 and return_id is not distinct from $2
returning item, received, sellable, damaged, quality_hold, "out"

-- name: strays
select * from returns.counted
where tenant = $1 and return_id is null and ignored_at is null
order by heard_at, movement limit $2

-- name: lock_stray
select * from returns.counted
where tenant = $1 and movement = $2 and return_id is null and ignored_at is null for update

-- name: adopt_stray
update returns.counted set return_id = $2, code = null, document = $2 where movement = $1

-- name: ignore_stray
update returns.counted set ignored_at = clock_timestamp(), ignored_by = $2 where movement = $1

-- name: insert_disposition
insert into returns.disposition
    (disposition, return_id, tenant, line, item, sku, uom, lot, amount, target, location, asked_by, correlation_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: return_of_disposition
select return_id from returns.disposition where disposition = $1 and ($2::text is null or tenant = $2)

-- name: save_disposition
update returns.disposition set state = $2, movement = $3 where disposition = $1

-- name: insert_credit
insert into returns.credit (credit, return_id, tenant, system, lines, net, fee, state)
values ($1, $2, $3, $4, $5::jsonb, $6, $7, $8)

-- name: return_of_credit
select return_id from returns.credit where credit = $1 and ($2::text is null or tenant = $2)

-- name: save_credit
update returns.credit set state = $2, number = $3, issued_on = $4, total = $5 where credit = $1

-- name: open_with_troubles
-- Returns that may need a person: what a person's rules say of them is decided in rules.needs_of.
select r.return_id from returns.return_order r
where r.tenant = $1 and (
    r.state in ('requested', 'receiving', 'received', 'dispositioned')
    or (r.state = 'authorised' and r.decided_at < clock_timestamp() - make_interval(days => $2))
    or (r.state in ('credited', 'closed') and r.changed_at > clock_timestamp() - interval '30 days'))
order by r.return_id limit $3
