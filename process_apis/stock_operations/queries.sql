-- name: insert_transfer
insert into stock_operations.transfer
    (transfer, tenant, origin, destination, ship_on, expected_on, note, asked_by, correlation_id, state, released_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, case when $11::boolean then clock_timestamp() end)

-- name: insert_lines
insert into stock_operations.transfer_line (transfer, line, item, sku, uom, amount, lot, expires_on, suggested)
select $1, u.* from unnest(
    $2::int[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::text[], $8::date[], $9::jsonb[]) u

-- name: get_transfer
select (to_jsonb(t) || jsonb_build_object(
    'task', to_jsonb(k) - 'fingerprint',
    'lines', (select jsonb_agg(to_jsonb(l) order by l.line) from stock_operations.transfer_line l
              where l.transfer = t.transfer),
    'moved', (select coalesce(jsonb_agg(to_jsonb(m) order by m.item, m.lot), '[]') from (
                  select coalesce(c.item, l.item) as item, c.lot, sum(c.dispatched) as dispatched,
                         sum(c.received) as received
                  from stock_operations.counted c
                  left join stock_operations.transfer_line l on l.transfer = c.transfer and l.line = c.line
                  where c.transfer = t.transfer group by 1, 2) m)))::text
from stock_operations.transfer t join stock_operations.task k on k.subject = t.transfer
where t.transfer = $1 and ($2::text is null or t.tenant = $2)

-- name: list_transfers
select (to_jsonb(t) || jsonb_build_object(
    'task', to_jsonb(k) - 'fingerprint',
    'lines', (select jsonb_agg(to_jsonb(l) order by l.line) from stock_operations.transfer_line l
              where l.transfer = t.transfer),
    'moved', (select coalesce(jsonb_agg(to_jsonb(m) order by m.item, m.lot), '[]') from (
                  select coalesce(c.item, l.item) as item, c.lot, sum(c.dispatched) as dispatched,
                         sum(c.received) as received
                  from stock_operations.counted c
                  left join stock_operations.transfer_line l on l.transfer = c.transfer and l.line = c.line
                  where c.transfer = t.transfer group by 1, 2) m)))::text as body
from stock_operations.transfer t join stock_operations.task k on k.subject = t.transfer
where t.tenant = $1 and ($2::text is null or t.state = $2) and ($3::text is null or $3 in (t.origin, t.destination))
  and (not $4::boolean or t.state not in ('completed', 'closed', 'cancelled'))
  and ($5::text is null or t.transfer < $5)
order by t.transfer desc limit $6

-- name: save_transfer
update stock_operations.transfer set
    version = $2, state = $3, released_at = $4, picking_began_at = $5, dispatched_at = $6, cancel_requested_at = $7,
    cancel_reason = $8, cancelled_at = $9, closed_at = $10, closed_by = $11, close_reason = $12, missing = $13,
    stray = $14, supply_version = $15, changed_at = clock_timestamp()
where transfer = $1

-- name: save_lines
update stock_operations.transfer_line l
set dispatched = u.dispatched, received = u.received, written_off = u.written_off, closed_at = u.closed_at,
    closed_by = u.closed_by, close_reason = u.close_reason, missing = u.missing
from unnest($2::int[], $3::numeric[], $4::numeric[], $5::numeric[], $6::timestamptz[], $7::text[], $8::text[], $9::text[])
     u (line, dispatched, received, written_off, closed_at, closed_by, close_reason, missing)
where l.transfer = $1 and l.line = u.line

-- name: supply_told
update stock_operations.transfer set supply_told = greatest(supply_told, $2) where transfer = $1

-- name: count_movement
insert into stock_operations.counted (movement, transfer, item, lot, dispatched, received) values ($1, $2, $3, $4, $5, $6)
on conflict (movement) do nothing
returning movement

-- name: take_back
delete from stock_operations.counted c where c.movement = $1 and c.transfer = $2
returning coalesce(c.item, (select l.item from stock_operations.transfer_line l
                            where l.transfer = c.transfer and l.line = c.line)) as item, c.lot, c.dispatched, c.received

-- name: counted_under
select transfer from stock_operations.counted where movement = $1

-- name: lots_promised
-- How much of each lot of these items is still to leave an origin under open transfers that name it.
select l.item, l.lot, sum(l.amount - l.dispatched) as amount
from stock_operations.transfer_line l join stock_operations.transfer t using (transfer)
where t.tenant = $1 and t.origin = $2 and l.item = any($3::text[]) and l.lot is not null and l.closed_at is null
  and l.dispatched < l.amount and t.state not in ('completed', 'closed', 'cancelled')
group by l.item, l.lot

-- name: insert_change
insert into stock_operations.status_change
    (change, tenant, kind, location, item, sku, uom, amount, lot, from_bucket, to_bucket, reason, asked_by,
     correlation_id, owner, state)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'requested')

-- name: get_change
select (to_jsonb(c) || jsonb_build_object('task', to_jsonb(k) - 'fingerprint'))::text
from stock_operations.status_change c join stock_operations.task k on k.subject = c.change
where c.change = $1 and ($2::text is null or c.tenant = $2)

-- name: list_changes
select (to_jsonb(c) || jsonb_build_object('task', to_jsonb(k) - 'fingerprint'))::text as body
from stock_operations.status_change c join stock_operations.task k on k.subject = c.change
where c.tenant = $1 and ($2::text is null or c.state = $2) and ($3::text is null or c.location = $3)
  and (not $4::boolean or c.state in ('requested', 'asked', 'refused')) and ($5::text is null or c.change < $5)
order by c.change desc limit $6

-- name: save_change
update stock_operations.status_change set version = $2, state = $3, movement = $4, changed_at = clock_timestamp()
where change = $1

-- name: insert_count
insert into stock_operations.stock_count
    (count, tenant, location, bucket, reason, asked_by, correlation_id, owner, bins, state)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, 'open')

-- name: insert_count_lines
insert into stock_operations.count_line (count, line, item, sku, uom)
select $1, u.* from unnest($2::int[], $3::text[], $4::text[], $5::text[]) u

-- name: get_count
select (to_jsonb(c) || jsonb_build_object(
    'task', to_jsonb(k) - 'fingerprint',
    'lines', (select jsonb_agg(to_jsonb(l) order by l.line) from stock_operations.count_line l
              where l.count = c.count)))::text
from stock_operations.stock_count c join stock_operations.task k on k.subject = c.count
where c.count = $1 and ($2::text is null or c.tenant = $2)

-- name: list_counts
select (to_jsonb(c) || jsonb_build_object(
    'task', to_jsonb(k) - 'fingerprint',
    'lines', (select jsonb_agg(to_jsonb(l) order by l.line) from stock_operations.count_line l
              where l.count = c.count)))::text as body
from stock_operations.stock_count c join stock_operations.task k on k.subject = c.count
where c.tenant = $1 and ($2::text is null or c.state = $2) and ($3::text is null or c.location = $3)
  and (not $4::boolean or c.state not in ('applied', 'rejected')) and ($5::text is null or c.count < $5)
order by c.count desc limit $6

-- name: save_count
update stock_operations.stock_count set
    version = $2, state = $3, round = $4, cut_epoch = $5, cut_sequence = $6, counted_at = $7, counted_by = $8,
    first_counted_by = $9, proposed_by = $10, decided_by = $11, decision = $12, changed_at = clock_timestamp()
where count = $1

-- name: forget_count_lines
delete from stock_operations.count_line where count = $1

-- name: save_count_lines
insert into stock_operations.count_line
    (count, line, item, sku, uom, counted, expected, variance, value, movement, lot, item_group, unknown_lot, bins)
select $1, u.* from unnest(
    $2::int[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::numeric[], $9::numeric[],
    $10::text[], $11::text[], $12::text[], $13::bool[], $14::jsonb[]) u

-- name: transfers_of_shape
-- Whether any transfer of a shape of turns is not over: it has turns again when goods move.
select exists (
    select from stock_operations.transfer r join stock_operations.task t on t.subject = r.transfer
    where r.state not in ('completed', 'closed', 'cancelled') and t.shape = $1
)
