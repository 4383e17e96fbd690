"""Stand-ins for what orders ask of others, kept in PostgreSQL so that they outlive a killed worker.

Every call is written to `fake.called`, by an independent connection, and meets the next fault planned for it in
`fake.fault`: `error`, `rejected`, `unknown` (nothing done), `unknown_after` (done), `hang_after` (done, then silence),
`broken`, `crash_before`, `crash_after`.
"""

import asyncio
import json
import os
import signal
from datetime import date, timedelta
from decimal import Decimal

import asyncpg

from gateway.canonical.freight import Booking, FreightOption
from gateway.canonical.invoice import InvoiceLine, InvoiceState, SystemInvoice
from gateway.canonical.item import Item
from gateway.canonical.order import ExternalReference, SystemOrder, SystemShipment, WarehouseWork, WorkState
from gateway.canonical.party import CustomerAccount
from gateway.canonical.stock import ClaimedLine, ClaimState, StandingClaim
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion

PRICE = Decimal("2.50")
SCHEMA = """
create schema fake;
create table fake.called (id bigint generated always as identity primary key, name text, reference text, what text);
create table fake.fault (id bigint generated always as identity primary key, name text, fault text, reference text);
create table fake.sale (number bigint generated always as identity primary key, reference text, lines jsonb,
    ready boolean default true, cancelled boolean default false, picking boolean default false,
    system text not null default 'erp_na');
create table fake.work (number bigint generated always as identity primary key, reference text, location text,
    lines jsonb, state text default 'released');
create table fake.posting (posting text primary key, number bigint generated always as identity, reference text,
    location text, lines jsonb, system text not null default 'erp_na');
create table fake.bill (posting text primary key, number bigint generated always as identity, reference text,
    too_much numeric not null default 0);
create table fake.booking (reference text primary key, number bigint generated always as identity, service text,
    grams bigint, collected boolean default false, cancelled boolean default false);
create table fake.customer (code text primary key, credit_limit numeric, balance numeric default 0,
    hold boolean default false);
insert into fake.customer (code) values ('CUST1');
create table fake.stock (item text, location text, available numeric not null check (available >= 0),
    primary key (item, location));
create table fake.claim (claim text primary key, order_id text, line integer, item text, location text, amount numeric,
    state text default 'reserved');
"""
_TABLES = """
order_to_ship.allocation order_to_ship.released_line
order_to_ship.erp_move order_to_ship.cut_over order_to_ship.task
order_to_ship.shipment_line order_to_ship.shipment order_to_ship.line
order_to_ship.action order_to_ship.exception order_to_ship.sales_order store.event store.audit dbos.workflow_status
dbos.workflow_input dbos.workflow_output dbos.operation_outputs
fake.called fake.fault fake.sale fake.work fake.posting fake.bill fake.customer
fake.stock fake.claim fake.booking
"""
EMPTY = "".join(f"delete from {table};" for table in _TABLES.split()) + (
    "alter table fake.sale alter number restart; insert into fake.customer (code) values ('CUST1');"
)


class KilledError(BaseException):
    """The worker dies here; stands for kill -9 where the test itself has to live on."""


class Seams:
    """Where calls leave us: each on a connection of its own, committed at once.

    `unique_work`: warehouses take a reference once for ever, and answer a repetition with what stands under it.
    """

    unique_work = False

    def __init__(self, url, *, really_kill=False):
        self.url = url
        self.really_kill = really_kill
        self.pool = None

    async def open(self):
        self.pool = await asyncpg.create_pool(self.url, min_size=1, max_size=4)

    async def close(self):
        await self.pool.close()

    async def call(self, name, reference, do):
        fault = await self.pool.fetchval(
            "delete from fake.fault where id = (select min(id) from fake.fault where name = $1 and "
            "coalesce(reference, $2) = $2) returning fault",
            name,
            reference,
        )
        await self.pool.execute(
            "insert into fake.called (name, reference, what) values ($1, $2, $3)", name, reference, fault
        )
        before = {
            "error": Unavailable("away", code="fake.away", retry_after=0.01),
            "rejected": Rejected("no", code="fake.no"),
            "unknown": OutcomeUnknown("silence", code="fake.silence"),
            "broken": BrokenUpstream("nonsense", code="fake.nonsense"),
            "defect": ZeroDivisionError("the adapter is wrong"),
        }
        if fault == "crash_before":
            self.die()
        if fault in before:
            raise before[fault]
        answer = await do()
        if fault == "crash_after":
            self.die()
        if fault == "hang_after":
            await asyncio.sleep(60)
        if fault == "unknown_after":
            raise OutcomeUnknown("silence", code="fake.silence")
        return answer

    def die(self):
        if self.really_kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise KilledError


class Named:
    """The seams, with a name before each call's."""

    def __init__(self, seams, name):
        self._seams = seams
        self._name = name

    @property
    def pool(self):
        return self._seams.pool

    async def call(self, name, reference, do):
        return await self._seams.call(f"{self._name}.{name}", reference, do)


class Erp:
    """One ERP; what is asked of another one than ``erp_na`` is named after it: ``erp_new.submit_order``."""

    def __init__(self, seams, *, reference=ExternalReference.SEARCHABLE, system="erp_na"):
        self.seams = seams if system == "erp_na" else Named(seams, system)
        self.system = system
        self.external_reference = reference
        self.settle_time = timedelta(seconds=0.05)
        self.bills_too_much = Decimal(0)

    async def find_order(self, call, *, reference):
        return await self.seams.call("find_order", reference, lambda: self._find(reference))

    async def _find(self, reference):
        rows = await self.seams.pool.fetch(
            "select * from fake.sale where reference = $1 and system = $2 order by number", reference, self.system
        )
        if len([row for row in rows if not row["cancelled"]]) > 1:
            raise Conflict("two sales bear one reference", code="erp.twin_orders")
        live = [row for row in rows if not row["cancelled"]] or rows
        return self._order(live[0]) if live else None

    async def cancel_twins(self, call, *, reference):
        async def do():
            await self.seams.pool.execute(
                "update fake.sale set cancelled = true where reference = $1 and system = $2 and number > "
                "(select min(number) from fake.sale where reference = $1 and system = $2 and not cancelled)",
                reference,
                self.system,
            )
            return await self._find(reference)

        return await self.seams.call("cancel_twins", reference, do)

    async def submit_order(self, call, *, order):
        lines = [[line.line, line.item, str(line.amount), line.location] for line in order.lines]

        async def do():
            row = await self.seams.pool.fetchrow(
                "insert into fake.sale (reference, lines, system) values ($1, $2, $3) returning *",
                order.order, json.dumps(lines), self.system,
            )  # fmt: skip
            return self._order(row)

        return await self.seams.call("submit_order", order.order, do)

    async def cancel_order(self, call, *, reference):
        async def do():
            picking = "select picking from fake.sale where reference = $1 and system = $2"
            if await self.seams.pool.fetchval(picking, reference, self.system):
                raise Conflict("work has begun", code="erp.picking_began")
            row = await self.seams.pool.fetchrow(
                "update fake.sale set cancelled = true where reference = $1 and system = $2 returning *",
                reference, self.system,
            )  # fmt: skip
            if row is None:
                raise NotFound("no such sale", code="erp.not_found")
            return self._order(row)

        return await self.seams.call("cancel_order", reference, do)

    async def read_customer(self, call, *, code):
        async def do():
            row = await self.seams.pool.fetchrow("select * from fake.customer where code = $1", code)
            if row is None:
                raise NotFound(f"no customer {code}", code="erp.customer_not_found")
            limit = row["credit_limit"]
            return CustomerAccount(
                code=code,
                name=code,
                payment_term=None,
                credit_limit=None if limit is None else Money(limit, "USD"),
                balance=Money(row["balance"], "USD"),
                hold=row["hold"],
            )

        return await self.seams.call("read_customer", code, do)

    async def find_posting(self, call, *, reference, posting):
        async def do():
            row = await self.seams.pool.fetchrow("select * from fake.posting where posting = $1", posting)
            return None if row is None else self._shipment(row)

        return await self.seams.call("find_posting", reference, do)

    async def post_shipment(self, call, *, reference, posting, location, lines):
        told = [[line.line, line.item, str(line.amount)] for line in lines]

        async def do():
            row = await self.seams.pool.fetchrow(
                "insert into fake.posting (posting, reference, location, lines, system) values ($1, $2, $3, $4, $5)"
                " returning *",
                posting, reference, location, json.dumps(told), self.system,
            )  # fmt: skip
            return self._shipment(row)

        return await self.seams.call("post_shipment", reference, do)

    async def find_bill(self, call, *, reference, posting):
        async def do():
            row = await self.seams.pool.fetchrow("select * from fake.bill where posting = $1", posting)
            return None if row is None else await self._bill(row)

        return await self.seams.call("find_bill", reference, do)

    async def bill_shipment(self, call, *, reference, posting):
        async def do():
            row = await self.seams.pool.fetchrow(
                "insert into fake.bill (posting, reference, too_much) values ($1, $2, $3) returning *",
                posting, reference, self.bills_too_much,
            )  # fmt: skip
            return await self._bill(row)

        return await self.seams.call("bill_shipment", reference, do)

    async def _bill(self, row):
        """At ``PRICE`` a piece and a tenth of tax."""
        told = await self.seams.pool.fetchval("select lines from fake.posting where posting = $1", row["posting"])
        lines = tuple(
            InvoiceLine(
                line=line, code=item, amount=Decimal(amount), unit_price=PRICE,
                net=Decimal(amount) * PRICE + row["too_much"], posting=row["posting"],
            )
            for line, item, amount in json.loads(told)
        )  # fmt: skip
        net = sum((line.net for line in lines), Decimal(0))
        return SystemInvoice(
            identity=str(row["number"]), number=f"INV{row['number']}", state=InvoiceState.POSTED,
            issued_on=date(2026, 10, 1), currency="USD", net=net, tax=net / 10, total=net + net / 10, lines=lines,
            reference=row["reference"],
        )  # fmt: skip

    def _order(self, row):
        return SystemOrder(
            reference=row["reference"],
            number=f"S{row['number']}",
            state="confirmed",
            ready=row["ready"],
            cancelled=row["cancelled"],
        )

    def _shipment(self, row):
        return SystemShipment(number=f"D{row['number']}", state="done", location=row["location"], lines=())


class Warehouse:
    def __init__(self, seams):
        self.seams = seams

    async def find_work(self, call, *, reference):
        async def do():
            row = await self.seams.pool.fetchrow(
                "select * from fake.work where reference = $1 order by number desc", reference
            )
            return None if row is None else self._work(row)

        return await self.seams.call("find_work", reference, do)

    async def release_work(self, call, *, order, location):
        lines = [[line.line, line.item, str(line.amount)] for line in order.lines]

        async def do():
            known = await self.seams.pool.fetchrow("select * from fake.work where reference = $1", order.order)
            if known is not None and self.seams.unique_work:
                return self._work(known)
            row = await self.seams.pool.fetchrow(
                "insert into fake.work (reference, location, lines) values ($1, $2, $3) returning *",
                order.order, location, json.dumps(lines),
            )  # fmt: skip
            return self._work(row)

        return await self.seams.call("release_work", order.order, do)

    async def cancel_work(self, call, *, reference):
        async def do():
            state = await self.seams.pool.fetchval("select state from fake.work where reference = $1", reference)
            if state is None:
                raise NotFound("no such work", code="wms.not_found")
            if state in ("picking", "shipped"):
                raise Conflict("picking began", code="wms.picking_started")
            row = await self.seams.pool.fetchrow(
                "update fake.work set state = 'cancelled' where reference = $1 returning *", reference
            )
            return self._work(row)

        return await self.seams.call("cancel_work", reference, do)

    def _work(self, row):
        return WarehouseWork(reference=row["reference"], number=f"W{row['number']}", state=WorkState(row["state"]))


class Carrier:
    """Two services; a reference is booked once, and not at all where it is taken."""

    def __init__(self, seams):
        self.seams = seams
        self.settle_time = timedelta(seconds=0.05)

    async def quote_freight(self, call, *, consignment):
        async def do():
            kilograms, day = consignment.weight.amount, consignment.ready_on
            return [
                FreightOption(
                    service=service, name=service, price=Money(each * kilograms, "USD"),
                    arrives_on=day + timedelta(days=days),
                )
                for service, each, days in (("ECO", Decimal(2), 5), ("EXP", Decimal(9), 1))
            ]  # fmt: skip

        return await self.seams.call("quote_freight", consignment.reference, do)

    async def find_booking(self, call, *, reference):
        async def do():
            row = await self.seams.pool.fetchrow("select * from fake.booking where reference = $1", reference)
            return None if row is None else self._booking(row)

        return await self.seams.call("find_booking", reference, do)

    async def book_freight(self, call, *, consignment, service):
        async def do():
            row = await self.seams.pool.fetchrow(
                "insert into fake.booking (reference, service, grams) values ($1, $2, $3) returning *",
                consignment.reference, service, int(consignment.weight.amount * 1000),
            )  # fmt: skip
            return self._booking(row)

        return await self.seams.call("book_freight", consignment.reference, do)

    async def cancel_booking(self, call, *, reference):
        async def do():
            if await self.seams.pool.fetchval("select collected from fake.booking where reference = $1", reference):
                raise Conflict("it is on its way", code="carrier.already_collected")
            row = await self.seams.pool.fetchrow(
                "update fake.booking set cancelled = true where reference = $1 returning *", reference
            )
            if row is None:
                raise NotFound("nothing is booked", code="carrier.not_found")
            return self._booking(row)

        return await self.seams.call("cancel_booking", reference, do)

    def _booking(self, row):
        return Booking(
            reference=row["reference"], number=f"B{row['number']}", service=row["service"],
            price=Money(Decimal(4), "USD"), arrives_on=None, tracking=(f"T{row['number']}",),
            cancelled=row["cancelled"],
        )  # fmt: skip


class Systems:
    """One ERP for everything, another one to move to, one warehouse system per location."""

    def __init__(self, seams, *, reference=ExternalReference.SEARCHABLE):
        self.erp = Erp(seams, reference=reference)
        self.other = Erp(seams, system="erp_new")
        self.warehouses = {"wms_n": Warehouse(seams), "wms_w": Warehouse(seams)}
        self.carrier = Carrier(seams)

    def erp_of(self, tenant, location):
        return "erp_na"

    def poster_of(self, tenant, location):
        return "erp_na"

    def warehouse_of(self, tenant, location):
        return {"WH-N": "wms_n", "WH-W": "wms_w"}[location]

    def takes_orders(self, instance):
        if instance == "erp_new":
            return self.other
        if instance != "erp_na":
            raise Misconfigured(f"no instance {instance}", code="systems.unknown")
        return self.erp

    reads_customers = takes_orders
    posts_shipments = takes_orders
    bills_shipments = takes_orders

    def releases_work(self, instance):
        return self.warehouses[instance]

    def offers_freight(self, instance):
        if instance not in ("carrier_na", "carrier_eu"):
            raise Misconfigured(f"no instance {instance}", code="systems.unknown")
        return self.carrier

    books_freight = offers_freight

    def business_day(self, tenant, location, at):
        return at.date()


class Items:
    """`SKU-n` for any n, `itm_n` likewise: 2.50 USD each, a case of 12, no price in other currencies."""

    async def by_id(self, tenant, items):
        return {item: self._item(item.removeprefix("itm_")) for item in items if item.startswith("itm_")}

    async def by_sku(self, tenant, skus):
        return {sku: self._item(sku.removeprefix("SKU-")) for sku in skus if sku.startswith("SKU-")}

    def _item(self, number):
        return Item(
            item=f"itm_{number}",
            sku=f"SKU-{number}",
            name=number,
            base_uom="EA",
            packs=(UnitConversion("CS", Decimal(12)),),
            list_price=Money(PRICE, "USD"),
        )


class Claims:
    """The least that keeps the promise of `ClaimsStock`: one location that has enough, else refused."""

    async def claim(self, connection, *, tenant, action, order, channel, lines, correlation_id):
        made, short = [], []
        for line in sorted(lines, key=lambda line: line.item):
            location = await connection.fetchval(
                "update fake.stock set available = available - $2 where item = $1 and location = ("
                "select location from fake.stock where item = $1 and available >= $2"
                " and location = coalesce($3, location) order by location limit 1 for update) returning location",
                line.item,
                line.amount,
                line.location,
            )
            if location is None:
                short.append(line.line)
                continue
            made_before = await connection.fetchval("select count(*) from fake.claim where order_id = $1", order)
            claim = f"{order}/{line.line}/{made_before}"
            await connection.execute(
                "insert into fake.claim values ($1, $2, $3, $4, $5, $6)",
                claim, order, line.line, line.item, location, line.amount,
            )  # fmt: skip
            made.append(_claimed(claim, line.line, line.item, location, line.amount, "reserved"))
        if short:
            raise Conflict(f"not enough stock for lines {short}", code="stock.insufficient", context={"lines": short})
        return made

    async def claim_all(self, connection, *, tenant, requests, writes):
        answers = []
        for request in requests:
            asked = {name: getattr(request, name) for name in ("action", "order", "channel", "lines", "correlation_id")}
            try:
                answers.append(await self.claim(connection, tenant=tenant, **asked))
            except Conflict as refusal:
                answers.append(refusal)
        return answers

    def arrive_late(self, tenant, request, made):
        """What goes far comes two days too late."""
        return {made[0].line: request.need_by + timedelta(days=2)} if request.ship_to.startswith("NZ ") else {}

    async def allocate(self, connection, *, tenant, action, order, correlation_id, handed=False, lines=None):
        held = await self._move(connection, order, "allocated")
        return [claim for claim in held if lines is None or claim.line in lines]

    async def take_back(self, connection, *, tenant, action, order, claims, correlation_id):
        return []

    async def lessen(self, connection, *, tenant, action, order, amounts, keep, correlation_id):
        given = []
        for line, amount in amounts.items():
            left = amount
            rows = await connection.fetch(
                "select * from fake.claim where order_id = $1 and line = $2 and state in ('reserved', 'allocated')"
                " and claim <> all($3::text[]) order by claim desc", order, line, list(keep),
            )  # fmt: skip
            for row in rows:
                part = min(left, row["amount"])
                left -= part
                await connection.execute(
                    "with less as (update fake.claim set amount = amount - $2,"
                    " state = case when amount = $2 then 'released' else state end where claim = $1 returning *)"
                    " update fake.stock s set available = available + $2 from less"
                    " where less.item = s.item and less.location = s.location", row["claim"], part,
                )  # fmt: skip
                if part:
                    given.append(_claimed(row["claim"], line, row["item"], row["location"], part, row["state"]))
            if left:
                raise Conflict("less is promised", code="claim.over")
        return given

    async def standing(self, connection, *, tenant, order):
        rows = await connection.fetch(
            "select * from fake.claim where order_id = $1 and state in ('reserved', 'allocated') order by claim", order
        )
        return [
            StandingClaim(
                claim=row["claim"], line=row["line"], location=row["location"], amount=row["amount"],
                lacking=Decimal(0), handed=False,
            )
            for row in rows
        ]  # fmt: skip

    async def release(self, connection, *, tenant, action, order, lines, correlation_id):
        await connection.execute(
            "update fake.stock s set available = available + c.amount from fake.claim c where c.order_id = $1 and "
            "c.state in ('reserved', 'allocated') and c.item = s.item and c.location = s.location",
            order,
        )
        return await self._move(connection, order, "released")

    async def _move(self, connection, order, state):
        rows = await connection.fetch(
            "update fake.claim set state = $2 where order_id = $1 and state in ('reserved', 'allocated') returning *",
            order,
            state,
        )
        return [_claimed(r["claim"], r["line"], r["item"], r["location"], r["amount"], r["state"]) for r in rows]


def _claimed(claim, line, item, location, amount, state):
    return ClaimedLine(claim=claim, line=line, item=item, location=location, amount=amount, state=ClaimState(state))
