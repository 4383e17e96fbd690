-- Parameters: $1 is the tenant unless said otherwise.

-- name: now
select clock_timestamp()

-- name: lock_number
-- Until the transaction ends: a receipt and the order that it names do not pass each other by.
select pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 50021))

-- name: insert_purchase
insert into procure_to_pay.purchase (purchase, tenant, source, number, status, currency, epoch, sequence, reported, test)
values ($2, $1, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (tenant, source, number) do nothing
returning purchase

-- name: is_known
select exists (select from procure_to_pay.purchase where tenant = $1 and source = $2 and number = $3)

-- name: purchase_of_number
select purchase from procure_to_pay.purchase where tenant = $1 and source = $2 and number = $3

-- name: lock_by_number
select purchase from procure_to_pay.purchase where tenant = $1 and source = $2 and number = $3 for update

-- name: lock
-- $1 the purchase.
select clock_timestamp() as now from procure_to_pay.purchase
where purchase = $1 and ($2::text is null or tenant = $2) for update

-- name: get
-- $1 the purchase.
select to_jsonb(p)::text from procure_to_pay.purchase p where purchase = $1 and ($2::text is null or tenant = $2)

-- name: purchases_of_numbers
select to_jsonb(p)::text as body from procure_to_pay.purchase p
where tenant = $1 and source = $2 and number = any($3::text[])

-- name: list
select to_jsonb(p)::text as body from procure_to_pay.purchase p
where tenant = $1 and ($2::text is null or supplier = $2) and ($3::text is null or state = $3)
  and (not $4::boolean or state not in ('matched', 'closed', 'cancelled'))
  and (not $5::boolean or needs <> '[]' or cause is not null)
  and ($6::text is null or purchase < $6) and (not $7::boolean or approved_at is not null)
order by purchase desc limit $8

-- name: save
-- $1 the purchase.
update procure_to_pay.purchase set
    status = $2, currency = $3, epoch = $4, sequence = $5, version = $6, reported = $7, supplier = $8, location = $9,
    lines = $10, cause = $11, detail = $12, state = $13, standing = $14, needs = $15, supplied = $16, supply_parts = $17,
    supply_version = $18, approved_at = $19, acknowledged_at = $20, received_at = $21, matched_at = $22,
    changed_at = clock_timestamp()
where purchase = $1

-- name: insert_fact
insert into procure_to_pay.fact (tenant, purchase, supplier, kind, reference, sequence, fingerprint, body, told_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict do nothing
returning fact

-- name: known_fact
-- The one that stands in the way of another: of this purchase, or an invoice of this supplier under that number.
select purchase, fingerprint from procure_to_pay.fact
where tenant = $1 and kind = $4 and reference = $5
  and ((purchase = $2 and sequence = $6) or (kind = 'invoice' and supplier = $3))
limit 1

-- name: facts
-- $1 the purchase.
select kind, body::text as body from procure_to_pay.fact where purchase = $1 order by fact

-- name: documents
-- $1 the purchase.
select kind, reference, sequence, body::text as body, told_by, told_at
from procure_to_pay.fact where purchase = $1 order by fact

-- name: received_of
-- $1 the purchase.
select item, sum(amount) as amount from procure_to_pay.received where purchase = $1 group by item

-- name: purchase_of_document
select purchase from procure_to_pay.purchase
where tenant = $1 and number = $2 and not test order by (location is not distinct from $3) desc, purchase limit 1

-- name: keep_receipt
insert into procure_to_pay.received (tenant, movement, document, purchase, item, location, amount, occurred_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (movement) do nothing
returning movement

-- name: take_back
-- $1 the movement that is replaced.
delete from procure_to_pay.received where movement = $1 returning purchase, item, location, amount

-- name: purchase_of_receipt
-- $1 the movement.
select purchase from procure_to_pay.received where movement = $1

-- name: adopt_receipts
update procure_to_pay.received set purchase = $3 where tenant = $1 and document = $2 and purchase is null

-- name: unmapped
select purchase from procure_to_pay.purchase where tenant = $1 and cause is not null and purchase > $2
order by purchase limit $3

-- name: supplier_of_code
select s.supplier, s.state from procure_to_pay.supplier_code c join procure_to_pay.supplier s using (supplier)
where c.tenant = $1 and c.source = $2 and c.code = $3

-- name: supplier_names
select supplier, name from procure_to_pay.supplier where tenant = $1 and supplier = any($2::text[])

-- name: supplier_of_partner
select supplier from procure_to_pay.supplier where tenant = $1 and partner = $2

-- name: partner_of_supplier
select partner from procure_to_pay.supplier where tenant = $1 and supplier = $2

-- name: insert_supplier
insert into procure_to_pay.supplier (supplier, tenant, name, partner) values ($2, $1, $3, $4)
on conflict do nothing
returning supplier

-- name: set_code
insert into procure_to_pay.supplier_code (tenant, source, code, supplier) values ($1, $2, $3, $4)
on conflict (tenant, source, code) do update set supplier = excluded.supplier
where supplier_code.supplier = excluded.supplier
returning supplier

-- name: lock_supplier
select clock_timestamp() as now from procure_to_pay.supplier where tenant = $1 and supplier = $2 for update

-- name: get_supplier
select (to_jsonb(s) || jsonb_build_object('codes', (
    select coalesce(jsonb_object_agg(c.source, c.code), '{}') from procure_to_pay.supplier_code c
    where c.supplier = s.supplier)))::text
from procure_to_pay.supplier s where s.tenant = $1 and s.supplier = $2

-- name: list_suppliers
select (to_jsonb(s) || jsonb_build_object('codes', (
    select coalesce(jsonb_object_agg(c.source, c.code), '{}') from procure_to_pay.supplier_code c
    where c.supplier = s.supplier)))::text as body
from procure_to_pay.supplier s
where s.tenant = $1 and ($2::text is null or s.supplier > $2) order by s.supplier limit $3

-- name: save_supplier
update procure_to_pay.supplier set name = $3, partner = $4, state = $5, steps = $6, version = $7,
    changed_at = clock_timestamp()
where tenant = $1 and supplier = $2

-- name: cursor_of
select cursor from procure_to_pay.reading where tenant = $1 and source = $2 and what = $3

-- name: move_cursor
insert into procure_to_pay.reading (tenant, source, what, cursor) values ($1, $2, $3, $4)
on conflict (tenant, source, what) do update set cursor = excluded.cursor, read_at = clock_timestamp()

-- name: troubles
select p.purchase, p.number, p.source, p.currency, p.cause, p.detail, p.changed_at, p.created_at, p.needs::text as needs
from procure_to_pay.purchase p
where p.tenant = $1 and (p.cause is not null or p.needs <> '[]')
order by p.purchase limit $2

-- name: note_level
-- What changed of the state of a stock line, if this version of it is newer than what was seen and changes it.
insert into procure_to_pay.replenishment as r (tenant, item, location, owner, breached, line_version, version)
select $1, $2, $3, $4, $5, $6, 1 where $5 or exists (
    select from procure_to_pay.replenishment where tenant = $1 and item = $2 and location = $3 and owner = $4)
on conflict (tenant, item, location, owner) do update
set line_version = excluded.line_version, breached = excluded.breached,
    version = r.version + (r.breached <> excluded.breached)::int
where r.line_version < excluded.line_version
returning version, (old.breached is null and breached) or old.breached <> breached as changed

-- name: level_of
select breached from procure_to_pay.replenishment where tenant = $1 and item = $2 and location = $3 and owner = $4

-- name: insert_posting
insert into procure_to_pay.posting (tenant, posting, purchase, number, kind, received_on, lines, invoice)
values ($1, $2, $3, $4, $5, $6, $7, nullif($8::jsonb, 'null'))

-- name: posting
-- $1 the posting.
select (to_jsonb(p) || jsonb_build_object('task', to_jsonb(t)))::text
from procure_to_pay.posting p join procure_to_pay.task t on t.subject = p.posting where p.posting = $1

-- name: postings
-- $1 the purchase.
select (to_jsonb(p) || jsonb_build_object('task', to_jsonb(t)))::text as body
from procure_to_pay.posting p join procure_to_pay.task t on t.subject = p.posting
where p.purchase = $1 order by p.number

-- name: unfinished_postings
-- $1 the purchases.
select (to_jsonb(p) || jsonb_build_object('task', to_jsonb(t)))::text as body
from procure_to_pay.posting p join procure_to_pay.task t on t.subject = p.posting
where p.purchase = any($1::text[]) and t.state <> 'done' order by p.purchase, p.number

-- name: last_came
-- $1 the purchase.
select max(occurred_at) from procure_to_pay.received where purchase = $1

-- name: booking_troubles
-- What the ERP refused, or has not taken after $2 attempts.
select t.subject, t.kind, t.system, t.state, t.error_code, t.error_detail, t.attempts, p.purchase, p.created_at,
    u.number, u.currency, u.changed_at
from procure_to_pay.task t join procure_to_pay.posting p on p.posting = t.subject
join procure_to_pay.purchase u on u.purchase = p.purchase
where t.tenant = $1 and (t.state = 'refused' or t.attempts >= $2)
    and (t.state = 'refused' or t.attempts > 0)
order by t.subject limit $3
