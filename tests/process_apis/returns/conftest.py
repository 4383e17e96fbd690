"""A tenant that shipped an order from the north, which a running WMS holds, and from a depot that we hold."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.canonical.capabilities import Call, Report
from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.invoice import CreditOrder, InvoiceState, SystemInvoice
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.canonical.task import Pace
from gateway.durable.schema import migrate_durable
from gateway.durable.turning import TurnOptions
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.outbound.door import Outbound
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store
from gateway.systems.directory import Directory
from gateway.systems.loader import load_system
from process_apis.availability.process import Availability
from process_apis.items.kits import Kits
from process_apis.items.process import Items
from process_apis.order_to_ship.selling import Sold
from process_apis.returns.hearing import on_movement
from process_apis.returns.models import AskedBack, AskReturn, Dispose, Return
from process_apis.returns.process import Returns
from system_apis.regional_wms.sandbox import WmsSandbox
from tests.conftest import WMS_SEED
from tests.records import Records
from tests.shipped_orders import ShippedLine, insert_shipped_order

ROOT = Path(__file__).parents[3]
PROCESSES = ("items", "availability", "order_to_ship", "returns")
MIGRATIONS = find_migrations(
    [
        ROOT / "gateway/store/migrations",
        ROOT / "gateway/reference/migrations",
        *(ROOT / f"process_apis/{name}/migrations" for name in PROCESSES),
    ]
)


class Creditor:
    """An ERP that issues credit notes, each once; `fails` are raised one after the other, before or after it did."""

    def __init__(self) -> None:
        self.issued: dict[str, CreditOrder] = {}
        self.fails: list[tuple[str, BaseException]] = []
        self.looked = 0

    def issues_credits(self, instance: str) -> Creditor | None:
        return self if instance == "erp" else None

    async def find_credit(self, call: Call, *, credit: str) -> SystemInvoice | None:
        self.looked += 1
        return self._note(credit) if credit in self.issued else None

    async def issue_credit(self, call: Call, *, order: CreditOrder) -> SystemInvoice:
        when, error = self.fails.pop(0) if self.fails else ("never", None)
        if when == "before" and error is not None:
            raise error
        assert order.credit not in self.issued, "asked for twice"
        self.issued[order.credit] = order
        if error is not None:
            raise error
        return self._note(order.credit)

    def _note(self, credit: str) -> SystemInvoice:
        order = self.issued[credit]
        net = -sum(line.amount * line.unit_price.amount for line in order.lines) + order.fee
        return SystemInvoice(
            identity=credit, number=f"CN-{len(self.issued)}", state=InvoiceState.POSTED, issued_on=None, currency="USD",
            net=net, tax=Decimal(0), total=net, lines=(), reference=credit,
        )  # fmt: skip


class World:
    """`order` shipped 6 of item 1 (line 1) and 4 of item 2 (line 2) a day ago from `place`, at 10 and 2.50."""

    tenant = "acme"

    def __init__(self, store: Store, outbound: Outbound, wms: Any, creditor: Any = None) -> None:
        self.store = store
        self.wms = wms
        self.clock = SystemClock()
        self.items = Items(store, self.clock)
        places = [
            Location(location="north", name="N", region="na", time_zone="UTC", holder="wms", codes={"wms": "NOR1"}),
            Location(location="south", name="S", region="na", time_zone="UTC", holder="tell", codes={"tell": "S"}),
            Location(location="depot", name="D", region="na", time_zone="UTC", holder="crossdock"),
        ]
        locations = LocationMap({self.tenant: places})
        system = load_system("wms", "regional_wms", wms.settings(), outbound=outbound, clock=self.clock)
        self.adapter: Any = system.adapter
        self.availability = Availability(
            store=store, cache=None, items=self.items, locations=locations, clock=self.clock,
            kits=Kits(store, self.clock, self.items),
        )  # fmt: skip
        self.creditor: Any = creditor or Creditor()
        self.returns = Returns(
            store, self.clock, orders=Sold(), locations=locations, records=self.availability,
            warehouses=Directory([system], places, tenant=self.tenant), creditors=self.creditor,
            turning=TurnOptions(pace=Pace(first_retry=0.01, longest_retry=0.05, settle=0.05), call_timeout=60),
        )  # fmt: skip
        self.turns = self.returns.turns()
        self.item, self.order = "", ""
        self.heard = 0
        self.cursor: str | None = None

    async def open(self) -> None:
        known = [ReportedItem(source_code=f"W-{n:06d}", sku=f"SKU-{n:04d}", name="", base_uom="EA") for n in (1, 2, 3)]
        for source in ("wms", "tell"):
            await self.items.adopt(self.tenant, source, known, correlation_id="setup")
        found = await self.items.by_sku(self.tenant, ["SKU-0001", "SKU-0002", "SKU-0003"])
        self.item, self.second, self.third = (found[f"SKU-000{n}"].item for n in (1, 2, 3))
        self.order = await self.sell()
        while (page := await self.adapter.read_movements(self.call(), cursor=self.cursor))[0].movements:
            self.cursor = page[1]

    async def sell(self, *, place: str = "north", days: int = 1, system: str | None = "erp") -> str:
        """An order whose goods have left, as the record has it; its id. Its second line was ordered in pairs."""
        lines = [
            ShippedLine(self.item, "SKU-0001", Decimal(10), Decimal(6)),
            ShippedLine(self.second, "SKU-0002", Decimal("2.5"), Decimal(4), "PR", Decimal(2)),
        ]
        async with self.store.transaction() as connection:
            return await insert_shipped_order(
                connection, lines, tenant=self.tenant, partner="ptn_1", place=place, system=system,
                shipped_at=self.clock.now() - timedelta(days=days),
            )  # fmt: skip

    def call(self) -> Any:
        return Call(tenant=self.tenant, correlation_id="test", deadline=self.clock.monotonic() + 60)

    def caller(self, subject: str = "app", partner: str | None = None) -> Caller:
        principal = Principal(
            subject=subject, tenant=self.tenant, credential="key", zones=frozenset({Zone.PROCESS}), scopes=frozenset(),
            partner=partner,
        )  # fmt: skip
        return Caller(principal=principal, request_id="req_1", correlation_id="cor_1", deadline=float("inf"))

    async def ask(self, action: str = "a", *lines: tuple[int, int], reason: str = "damaged", **more: Any) -> Return:
        asked = tuple(AskedBack(line=n, amount=Decimal(much), reason=reason) for n, much in lines or ((1, 2),))
        partner = more.pop("partner", None)
        command = AskReturn(action=action, order=more.pop("order", self.order), lines=asked, **more)
        return await self.returns.authorisations.ask(self.caller(), command, partner=partner)

    async def dispose(self, known: Return, action: str, amount: int, target: Any, line: int = 1) -> str:
        """The id of the disposition that was asked for."""
        command = Dispose(action=action, line=line, amount=Decimal(amount), target=target)
        asked = await self.returns.dispositions.ask(self.caller(), known.return_id, command)
        return asked.dispositions[-1].disposition

    async def control(self, name: str, **body: Any) -> Any:
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.post(f"{self.wms.url}/_control/{name}", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    async def listen(self) -> None:
        """Read what the WMS did, record it, and let the log's new events be heard."""
        report, self.cursor = await self.adapter.read_movements(self.call(), cursor=self.cursor)
        await self.availability.record(self.tenant, report)
        await self.hear()

    async def tell(self, kind: str, amount: Any, **more: Any) -> None:
        """A movement of the south, in the order of the calls; `sku` number 1 by default."""
        number = await self.store.fetchval("select count(*) from store.event")
        said = ReportedMovement(
            source="tell",
            event_id=more.pop("event_id", f"e-{number}"),
            line=0,
            order_key=OrderKey(1, more.pop("sequence", number)),
            type=MovementType(kind),
            occurred_at=self.clock.now(),
            source_item=f"W-{more.pop('sku', 1):06d}",
            source_location="S",
            amount=Decimal(str(amount)),
            uom="EA",
            **more,
        )
        await self.availability.record(self.tenant, Report(movements=(said,)))
        await self.hear()

    async def hear(self, *, again: bool = False) -> None:
        """What a consumer of the log would do; `again` from its beginning."""
        rows = await self.store.fetch(
            "select id, type, aggregate, aggregate_version, occurred_at, correlation_id, data from store.told"
            " where tenant = $1 and id > $2 and type like 'stock.movement%_recorded' order by id",
            self.tenant,
            0 if again else self.heard,
        )
        for row in rows:
            event = Event(
                tenant=self.tenant, type=row["type"], aggregate=row["aggregate"],
                aggregate_version=row["aggregate_version"], occurred_at=row["occurred_at"],
                data=json.loads(row["data"]), correlation_id=row["correlation_id"],
            )  # fmt: skip
            recorded = Recorded(position=Position(1, 1, row["id"]), recorded_at=row["occurred_at"], event=event)
            async with self.store.transaction() as connection:
                await on_movement(connection, recorded)
            self.heard = row["id"]

    async def work(self, subject: str, until: Any = None) -> None:
        """Turns of `subject`, as DBOS would run those that are due, until `until` holds of its task."""
        row = None
        for _ in range(1000):
            await self.turns.run(subject, 0)
            row = await self.store.fetchrow("select * from returns.task where subject = $1", subject)
            assert row is not None
            if until(row) if until else row["due_at"] is None:
                return
        pytest.fail(f"still {row}")

    async def known(self, return_id: str) -> Return:
        return await self.returns.get(self.tenant, return_id)

    async def buckets(self, location: str = "north") -> dict[str, Decimal]:
        rows = await self.availability.positions(self.tenant, items=[self.item], location=location)
        return {row["bucket"]: row["amount"] for row in rows if row["amount"]}

    async def told(self, kind: str) -> list[dict[str, Any]]:
        rows = await self.store.fetch("select data from store.event where type = $1 order by id", kind)
        return [json.loads(row["data"]) for row in rows]

    async def troubles(self) -> dict[str, Any]:
        async with self.store.connection() as connection:
            found = await self.returns.troubles().troubles(connection, self.tenant, limit=100)
        return {each.code: each for each in found}


@pytest.fixture(scope="session")
async def running_wms(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WmsSandbox]:
    sandbox = WmsSandbox(tmp_path_factory.mktemp("wms"), seed=WMS_SEED)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def world(records: Records, running_wms: WmsSandbox) -> AsyncIterator[World]:
    async with records.lent(MIGRATIONS, migrate_durable) as url, Outbound() as outbound:
        store = Store(url, size=6)
        await store.open()
        made = World(store, outbound, running_wms)
        await made.open()
        yield made
        await made.control("faults")
        await store.close()
