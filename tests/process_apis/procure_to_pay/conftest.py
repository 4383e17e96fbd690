"""A distributor whose ERP `erp` buys SKU-1 by the case of 12 and SKU-2 by the piece for its place `north`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from gateway.canonical.capabilities import Call, Report
from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.purchase import (
    GoodsReceipt,
    PurchaseStatus,
    ReportedPurchase,
    ReportedPurchaseLine,
    SupplierInvoice,
    SystemBill,
    SystemReceipt,
)
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.canonical.task import Pace
from gateway.durable.schema import migrate_durable
from gateway.durable.turning import TurnOptions
from gateway.kernel.clock import SystemClock
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from process_apis.availability.process import Availability
from process_apis.items.process import Items
from process_apis.procure_to_pay.options import ProcurementOptions, PurchaseTolerances
from process_apis.procure_to_pay.process import ProcureToPay
from tests.process_apis.procure_to_pay.drawing import ASKED

_MOVEMENTS = r"^stock\.movement.*_recorded$"
_numbers = count(1)


class Books:
    """An ERP's books; `fails` are raised one after the other, before or after it booked. Twice is a failure."""

    def __init__(self) -> None:
        self.receipts: dict[str, GoodsReceipt] = {}
        self.bills: dict[str, SupplierInvoice] = {}
        self.fails: list[tuple[str, BaseException]] = []
        self.looked = 0
        self.busy: set[str] = set()

    def books_receipts(self, instance: str) -> Books | None:
        return self if instance == "erp" else None

    def books_supplier_invoices(self, instance: str) -> Books | None:
        return self if instance == "erp" else None

    async def find_receipt(self, call: Call, *, receipt: str) -> SystemReceipt | None:
        self.looked += 1
        return SystemReceipt(number=f"GR-{receipt}", state="done") if receipt in self.receipts else None

    async def book_receipt(self, call: Call, *, receipt: GoodsReceipt) -> SystemReceipt:
        assert receipt.receipt not in self.receipts, "booked twice"
        await self._do(receipt.purchase, lambda: self.receipts.__setitem__(receipt.receipt, receipt))
        return SystemReceipt(number=f"GR-{receipt.receipt}", state="done")

    async def find_supplier_invoice(self, call: Call, *, purchase: str, number: str) -> SystemBill | None:
        self.looked += 1
        return SystemBill(number=f"B-{number}", total=self.bills[number].net) if number in self.bills else None

    async def book_supplier_invoice(self, call: Call, *, purchase: str, invoice: SupplierInvoice) -> SystemBill:
        assert invoice.number not in self.bills, "booked twice"
        await self._do(purchase, lambda: self.bills.__setitem__(invoice.number, invoice))
        return SystemBill(number=f"B-{invoice.number}", total=invoice.net)

    async def _do(self, purchase: str, book: Callable[[], object]) -> None:
        assert purchase not in self.busy, "two at a time for one purchase"
        self.busy.add(purchase)
        try:
            await asyncio.sleep(0)
            when, error = self.fails.pop(0) if self.fails else ("never", None)
            if when == "before" and error is not None:
                raise error
            book()
            if error is not None:
                raise error
        finally:
            self.busy.discard(purchase)

    @property
    def came(self) -> list[tuple[int, Decimal, str]]:
        return [(line.line, line.amount, line.uom) for each in self.receipts.values() for line in each.lines]


class World:
    """One tenant; `purchases` is the process, `supplier` an active one that the ERP calls SUP1."""

    def __init__(self, store: Any, tenant: str, caller: Any, booked: tuple[str, ...] = (), **tolerances: Any) -> None:
        self.store, self.tenant, self.caller = store, tenant, caller
        clock = SystemClock()
        self.items = Items(store, clock)
        codes = {"erp": "WH-N", "wms": "N"}
        places = [Location(location="north", name="N", region="na", time_zone="UTC", holder="wms", codes=codes)]
        locations = LocationMap({tenant: places})
        self.books: Any = tolerances.pop("books", None) or Books()
        self.availability = Availability(store=store, cache=None, items=self.items, locations=locations, clock=clock)
        options = ProcurementOptions(sources=booked, booked=booked, tolerances=PurchaseTolerances(**tolerances))
        self.purchases = ProcureToPay(
            store, items=self.items, locations=locations, supply=self.availability, books=self.books, clock=clock,
            options=options,
            turning=TurnOptions(pace=Pace(first_retry=0.01, longest_retry=0.05, settle=0.05, alert_after=2)),
        )  # fmt: skip
        self.turns = self.purchases.turns()
        self.supplier = ""
        self.heard = 0
        self.said = 0

    async def open(self) -> None:
        self.heard = await self.store.fetchval("select coalesce(max(id), 0) from store.event")
        for source in ("erp", "wms"):
            known = [
                ReportedItem(
                    source_code=f"V-{n}", sku=f"{self.tenant}-{n}", name="", base_uom="EA",
                    packs=(UnitConversion("CS", Decimal(12)),),
                )
                for n in (1, 2)
            ]  # fmt: skip
            await self.items.adopt(self.tenant, source, known, correlation_id="setup")
        self.supplier = await self.onboard("SUP1")

    async def onboard(self, code: str, partner: str | None = None) -> str:
        made = await self.purchases.suppliers.make_known(self.caller, name=code, codes={"erp": code}, partner=partner)
        for step in ("documents", "terms", "test_order"):
            await self.purchases.suppliers.finish_step(self.caller, made.supplier, step)
        return made.supplier

    def reported(self, number: str, *amounts: int, **more: Any) -> ReportedPurchase:
        """Line 1 in cases at 24.00, line 2 in pieces at 3.50."""
        units = (("CS", "24.00"), ("EA", "3.50"))
        lines = tuple(
            ReportedPurchaseLine(
                line=line, source_item=more.get("item", f"V-{line}"), amount=Decimal(amount), uom=uom,
                unit_price=Money(Decimal(price), "USD"), requested=ASKED,
            )
            for line, (amount, (uom, price)) in enumerate(zip(amounts, units, strict=False), start=1)
        )  # fmt: skip
        return ReportedPurchase(
            source="erp",
            number=number,
            order_key=OrderKey(0, more.get("version", 1)),
            status=more.get("status", PurchaseStatus.APPROVED),
            source_supplier=more.get("supplier", "SUP1"),
            source_location=more.get("location", "WH-N"),
            currency="USD",
            lines=lines,
            ordered_on=date(2026, 11, 22),
        )

    async def approve(self, number: str, *amounts: int, **more: Any) -> Any:
        [made] = await self.take(number, *amounts, **more)
        return made

    async def take(self, number: str, *amounts: int, **more: Any) -> Any:
        return await self.purchases.intake.take(self.tenant, [self.reported(number, *amounts, **more)], "c")

    async def receive(self, number: str, amount: int, **more: Any) -> None:
        """Pieces of an item that come in under a purchase, as the warehouse tells; then the log is heard."""
        self.said += 1
        movement = ReportedMovement(
            source="wms", event_id=more.get("event", f"r{self.said}"), line=0, order_key=OrderKey(0, self.said),
            type=MovementType.RECEIPT_POSTED, occurred_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
            source_item=f"V-{more.get('item', 1)}", source_location="N", amount=Decimal(amount), uom="EA",
            document=number, revision=more.get("revision", 0),
        )  # fmt: skip
        await self.availability.record(self.tenant, Report(movements=(movement,)))
        if more.get("heard", True):
            await self.hear()

    async def hear(self, since: int | None = None) -> None:
        """What the consumers of the log would do."""
        for recorded in await self.logged(_MOVEMENTS, self.heard if since is None else since):
            async with self.store.transaction() as connection:
                await self.purchases.receiving.on_movement(connection, recorded)
            self.heard = max(self.heard, recorded.position.event)

    async def logged(self, types: str, since: int = 0) -> list[Recorded]:
        """Events behind the one numbered `since`, of the types that a pattern has."""
        rows = await self.store.fetch(
            "select id, type, aggregate, aggregate_version, occurred_at, correlation_id, data from store.told"
            " where tenant = $1 and id > $2 and type ~ $3 order by id",
            self.tenant, since, types,
        )  # fmt: skip
        events = [
            Event(
                tenant=self.tenant, type=row["type"], aggregate=row["aggregate"],
                aggregate_version=row["aggregate_version"], occurred_at=row["occurred_at"],
                data=json.loads(row["data"]), correlation_id=row["correlation_id"],
            )
            for row in rows
        ]  # fmt: skip
        return [
            Recorded(position=Position(1, 1, row["id"]), recorded_at=row["occurred_at"], event=event)
            for row, event in zip(rows, events, strict=True)
        ]

    def call(self) -> Call:
        return Call(tenant=self.tenant, correlation_id="read", deadline=float("inf"))

    async def tasks(self) -> list[Any]:
        found = await self.store.fetch(
            "select t.* from procure_to_pay.task t join procure_to_pay.posting p on p.posting = t.subject"
            " where t.tenant = $1 order by p.purchase, p.number", self.tenant,
        )  # fmt: skip
        return list(found)

    async def work(self, rounds: int = 200) -> None:
        """Turns of all that is due, as DBOS would run them, until nothing is."""
        for _ in range(rounds):
            due = [row["subject"] for row in await self.tasks() if row["due_at"] is not None]
            if not due:
                return
            await asyncio.gather(*(self.turns.run(subject, 0) for subject in due))
        pytest.fail(f"still due: {await self.tasks()}")

    async def troubles(self) -> dict[str, Any]:
        async with self.store.connection() as connection:
            found = await self.purchases.troubles().troubles(connection, self.tenant, limit=100)
        return {each.code: each for each in found}

    async def events(self) -> list[str]:
        rows = await self.store.fetch(
            "select type from store.event where tenant = $1 and type ~ '^(purchase|supplier.ack|asn|goods|invoice)'"
            " order by id", self.tenant,
        )  # fmt: skip
        return [row["type"] for row in rows]

    async def supply(self, sku: int = 1) -> list[tuple[Decimal, date | None]]:
        """What is to come of an item, by date."""
        name = f"{self.tenant}-{sku}"
        item = (await self.items.by_sku(self.tenant, [name]))[name].item
        found = [
            (left, line.due)
            for line, left, *_ in await self.availability.supply(self.tenant, [item])
            if left and line.due
        ]
        return sorted(found, key=str)


@pytest.fixture
async def world(reference_store, tenant, caller):
    made = World(reference_store, tenant, caller)
    await made.open()
    return made


@pytest.fixture
async def booked(reference_store, tenant, caller):
    """The same where the ERP's books are kept by us; five percent more than was ordered is taken."""
    await migrate_durable(reference_store.url)
    made = World(reference_store, tenant, caller, booked=("erp",), over_receipt_percent=Decimal(5))
    await made.open()
    return made
