"""A worker, or a gateway that begins tasks, of whatever release lies on the path: one process that works in turns.

`KINDS` are such processes with what they ask of: a running WMS, and an ERP whose books are a table of the record, where
each thing that it is asked for is a row.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

from gateway.canonical.invoice import InvoiceState, SystemInvoice
from gateway.canonical.purchase import SystemReceipt
from gateway.durable.runtime import Durable
from gateway.durable.workers import Standing
from gateway.kernel.context import Caller, Principal, Zone
from gateway.outbound.door import Outbound
from gateway.store.postgres import Store
from tests.process_apis.procure_to_pay import conftest as purchasing
from tests.process_apis.returns import conftest as returning
from tests.process_apis.stock_operations import conftest as operating
from tests.process_apis.stock_operations.operations_worker import Deaths, deadly

TENANT = "acme"
SCHEMA = "create schema kept; create table kept.booked (id text not null)"
_PRINCIPAL = Principal(
    subject="app", tenant=TENANT, zones=frozenset({Zone.PROCESS}), scopes=frozenset(), credential="key"
)
_CALLER = Caller(principal=_PRINCIPAL, correlation_id="c", request_id="r", deadline=float("inf"))


class Erp:
    """Books receipts and issues credit notes."""

    def __init__(self, store):
        self._store = store

    def issues_credits(self, instance):
        return self if instance == "erp" else None

    def books_receipts(self, instance):
        return self if instance == "erp" else None

    def books_supplier_invoices(self, instance):
        return None

    async def find_receipt(self, call, *, receipt):
        return SystemReceipt(number=f"GR-{receipt}", state="done") if await self._has(receipt) else None

    async def book_receipt(self, call, *, receipt):
        await self._book(receipt.receipt)
        return SystemReceipt(number=f"GR-{receipt.receipt}", state="done")

    async def find_credit(self, call, *, credit):
        return _note(credit) if await self._has(credit) else None

    async def issue_credit(self, call, *, order):
        await self._book(order.credit)
        return _note(order.credit)

    async def _has(self, number):
        return await self._store.fetchval("select exists (select from kept.booked where id = $1)", number)

    async def _book(self, number):
        await self._store.execute("insert into kept.booked values ($1)", number)


def _note(credit):
    return SystemInvoice(
        identity=credit, number=f"CN-{credit}", state=InvoiceState.POSTED, issued_on=None, currency="USD",
        net=Decimal(-10), tax=Decimal(0), total=Decimal(-10), lines=(), reference=credit,
    )  # fmt: skip


class Transfers:
    """Transfers that a warehouse is asked to release."""

    seam = "release_transfer"

    def __init__(self, store, outbound, wms):
        self.world = operating.World(store, outbound, wms, tenant=TENANT)
        self.asked = self.world.adapter
        self.process = self.world.operations
        self.open = self.world.open

    async def begin(self, name):
        return (await self.world.plan(name, 1, release=True)).transfer

    async def times(self, subject):
        return len(await self.world.orders(subject))

    async def finish(self, subject):
        """Nothing of it is to come any more."""
        await self.world.operations.transfers.cancel(_CALLER, subject, reason="not needed")


class Credits:
    """Credit notes that an ERP is asked for."""

    seam = "issue_credit"

    def __init__(self, store, outbound, wms):
        self.asked = Erp(store)
        self.world = returning.World(store, outbound, wms, creditor=self.asked)
        self.process = self.world.returns

    async def open(self):
        await self.world.open()
        self.world.heard = await self.world.store.fetchval("select coalesce(max(id), 0) from store.event")

    async def begin(self, name):
        order = await self.world.sell()
        known = await self.world.ask(name, (1, 1), location="south", order=order)
        await self.world.tell("return_received", 1, document=known.return_id)
        await self.world.tell("return_dispositioned", 1, document=known.return_id, to_bucket="damaged")
        return (await self.world.known(known.return_id)).credits[0].credit

    async def times(self, subject):
        return await _booked(self.world.store, subject)

    async def finish(self, subject):
        """It is over."""


class Receipts:
    """Receipts that an ERP is asked to book."""

    seam = "book_receipt"

    def __init__(self, store, outbound, wms):
        self.asked = Erp(store)
        self.world = purchasing.World(store, TENANT, _CALLER, booked=("erp",), books=self.asked)
        self.process = self.world.purchases

    async def open(self):
        if not await self.world.store.fetchval("select exists (select from procure_to_pay.supplier)"):
            await self.world.open()

    async def begin(self, name):
        await self.world.approve(name, 10)
        self.world.said = await self.world.store.fetchval("select count(*) from store.event")
        await self.world.receive(name, 12)
        return await self.world.store.fetchval(
            "select g.posting from procure_to_pay.posting g join procure_to_pay.purchase p using (purchase)"
            " where p.number = $1", name,
        )  # fmt: skip

    async def times(self, subject):
        return await _booked(self.world.store, subject)

    async def finish(self, subject):
        """It is over."""


async def _booked(store, subject):
    return await store.fetchval("select count(*) from kept.booked where id = $1", subject)


KINDS = {"stock_operations": Transfers, "returns": Credits, "procure_to_pay": Receipts}


@asynccontextmanager
async def opened(kind, url, wms_url, wms_settings):
    """One of `KINDS` over a record and a running WMS."""
    store = Store(url, size=8)
    await store.open()
    async with Outbound() as outbound:
        wms = SimpleNamespace(url=wms_url, settings=lambda: wms_settings)
        made = KINDS[kind](store, outbound, wms)
        await made.open()
        yield made
    await store.close()


async def _work(made, url, deaths):
    setattr(made.asked, made.seam, deadly(getattr(made.asked, made.seam), deaths, made.seam))
    durable = Durable(
        url, workflows=made.process.workflows(), queues=made.process.queues(), grace=0.5, watch=0.2,
        pinned=made.process.are_open,
    )  # fmt: skip
    await durable.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sys.exit)
    sys.stdout.write(f"{durable.executor_id}\n")
    sys.stdout.flush()
    while durable.standing is not Standing.DONE:
        if durable.standing is Standing.AT_WORK:
            await made.process.sweep()
        await asyncio.sleep(0.1)
    await durable.stop(drain=3)


async def main(role, told, *names):
    given = json.loads(told)
    async with opened(given["kind"], given["url"], given["wms_url"], given["wms"]) as made:
        if role == "work":
            await _work(made, given["url"], Deaths(Path(given["deaths"])))
        for name in names:
            sys.stdout.write(f"{await made.begin(name)}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
