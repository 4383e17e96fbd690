"""What the books say of a story's article and subject: ours, and those of the systems it passed."""

from __future__ import annotations

from collections import Counter

_LINES = """
select location, on_hand, sellable, reserved, allocated, external, waiting, short from availability.stock_line
where item = $1 order by location
"""
_CLAIMS = """
select state, location, amount, consumed, released from availability.claim where item = $1 order by 1, 2, 3, 4, 5
"""
_RETURN = """
select r.state, l.amount, l.received, l.sellable, l.damaged, l.quality_hold, l."out", l.refused, l.credited,
  (select count(*) from returns.credit c where c.return_id = r.return_id and c.state = 'issued') as credits
from returns.return_order r join returns.return_line l using (return_id) where return_id = $1 order by line
"""
_RETURN_TASKS = """
select t.kind, t.state, t.look from returns.task t
where subject in (select disposition from returns.disposition where return_id = $1
  union all select credit from returns.credit where return_id = $1) order by 1, 2, 3
"""
_CREDITS = """
select state, net, fee, total, number is not null as numbered from returns.credit where return_id = $1 order by 2, 3
"""
_PURCHASE = "select state, status from procure_to_pay.purchase where purchase = $1"
_BOOKINGS = """
select p.number, p.kind, t.state, t.look, t.number is not null as numbered,
  (select sum((line ->> 'amount')::numeric) from jsonb_array_elements(p.lines) line) as amount
from procure_to_pay.posting p join procure_to_pay.task t on t.subject = p.posting where p.purchase = $1 order by 1
"""
_OPERATION = "select kind, state, look from stock_operations.task where subject = $1"
_ORDER = """
select state, exposure, due_at is null as rests, (select count(*) from order_to_ship.exception e
  where e.order_id = o.order_id and e.state = 'open') as exceptions
from order_to_ship.sales_order o where order_id = $1
"""
_ORDER_LINES = """
select line, ordered, open, backordered, shipped, cancelled, over_shipped from order_to_ship.line
where order_id = $1 order by line
"""
_ORDER_TASKS = """
select kind, system, state, verify_at is null as verified from order_to_ship.task
where order_id = $1 and kind not in ('shipment_posting', 'invoice') order by 1, 2, 3, 4
"""
_POSTINGS = """
select count(*), count(*) filter (where t.state = 'done') as done, sum(l.amount) as amount
from order_to_ship.shipment s join order_to_ship.shipment_line l using (shipment_id)
left join order_to_ship.task t on t.order_id = s.order_id and t.target = s.shipment_id and t.kind = 'shipment_posting'
where s.order_id = $1
"""
_INVOICES = """
select i ->> 'currency', (i ->> 'net')::numeric, (i ->> 'tax')::numeric, (i ->> 'total')::numeric
from order_to_ship.sales_order, jsonb_array_elements(invoices) i where order_id = $1 order by 2
"""
_MOVEMENTS = """
select source, type, location, amount, from_bucket, to_bucket from availability.movement
where item = $1 and live order by recorded_at, source, type, location, amount
"""
_LEFT = """
select (select count(*) from store.dead_letter where resolved_at is null) as letters,
       (select count(*) from availability.parked where resolved_at is null) as parked
"""


async def books_of(site, article, subjects):
    """Everything that must be the same however often something failed on the way; without ids and times."""
    found = {name: [tuple(row) for row in await site.sql(query, article.item)] for name, query in (
        ("lines", _LINES), ("claims", _CLAIMS))}  # fmt: skip
    found["movements"] = Counter(tuple(row) for row in await site.sql(_MOVEMENTS, article.item))
    found["left"] = [tuple(row) for row in await site.sql(_LEFT)]
    for name, sandbox in site.sandboxes.items():
        looks = {"erp": _erp, "tryton": _tryton, "carrier": _carrier}.get(name.partition("_")[0], _warehouse)
        found[name] = await looks(sandbox, article, subjects)
    for rank, subject in enumerate(subjects, start=1):
        for name, query in (
            ("operation", _OPERATION), ("order", _ORDER), ("order lines", _ORDER_LINES), ("tasks", _ORDER_TASKS),
            ("postings", _POSTINGS), ("invoices", _INVOICES), ("return", _RETURN), ("return tasks", _RETURN_TASKS),
            ("credits", _CREDITS), ("purchase", _PURCHASE), ("bookings", _BOOKINGS),
        ):  # fmt: skip
            found[name, rank] = [tuple(row) for row in await site.sql(query, subject)]
        found["events", rank] = await _events(site, subject)
    return found


# What is not said when news came first: goods that have moved were accepted.
_OVERTAKEN = {"stock.status.accepted"}


async def _events(site, subject):
    rows = await site.sql("select type from store.event where data::text like '%' || $1 || '%'", subject)
    return Counter(row["type"] for row in rows if row["type"] not in _OVERTAKEN)


def _of(subjects, documents, name):
    """What a system has under references of ours, a later release's (``id.2``) too; in the order of the references."""
    wanted = [
        (subjects.index(subject), part, each)
        for each in documents
        for subject, _, part in [each[name].partition(".")]
        if subject in subjects
    ]
    return [each for _, _, each in sorted(wanted, key=lambda one: one[:2])]


async def _warehouse(sandbox, article, subjects):
    orders = _of(subjects, (await sandbox.look("orders"))["orders"], "client_reference")
    stock = [
        (line["state"], line["quantity"])
        for line in (await sandbox.look("stock"))["lines"]
        if line["item_code"] == article.code
    ]
    lines = [[(line["line_number"], line["ordered"], line["shipped"]) for line in order["lines"]] for order in orders]
    return [order["status"] for order in orders], lines, sorted(stock)


async def _erp(sandbox, article, subjects):
    orders = _of(subjects, (await sandbox.look("orders"))["orders"], "external_reference")
    return [
        (
            order["status"],
            [(line["quantity"], line["delivered"], line["site"]) for line in order["lines"]],
            sorted((each["site"], [line["quantity"] for line in each["lines"]]) for each in order["deliveries"]),
            sorted((each["net"], each["tax"], each["total"]) for each in order["invoices"]),
        )
        for order in orders
    ], sorted(
        (line["site"], line["quantity"])
        for line in (await sandbox.look("stock"))["lines"]
        if line["article"] == f"A-{article.number:06d}"
    )


async def _tryton(sandbox, article, _):
    return await sandbox.books(article.sku)


async def _carrier(sandbox, _, subjects):
    bookings = (await sandbox.look("shipments"))["shipments"]
    return sorted(each["status"] for each in bookings if each["reference"].startswith(subjects))
