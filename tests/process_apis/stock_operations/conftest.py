"""A distributor with a warehouse NOR1 in a running Regional WMS, and two more places: south (a source), and ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from gateway.canonical.capabilities import Call, Report
from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import MovementType, OrderKey, ReportedMovement
from gateway.canonical.task import Pace
from gateway.durable.schema import migrate_durable
from gateway.engines import EngineUrls
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.outbound.door import Outbound
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from gateway.systems.directory import Directory
from gateway.systems.loader import load_system
from process_apis.availability.process import Availability
from process_apis.items.kits import Kits
from process_apis.items.process import Items
from process_apis.stock_operations.confirming import on_movement
from process_apis.stock_operations.models import PlanTransfer, Transfer, TransferWish
from process_apis.stock_operations.process import OperationTurns, StockOperations
from system_apis.regional_wms.sandbox import WmsSandbox
from tests.conftest import WMS_SEED

ROOT = Path(__file__).parents[3]
FOLDERS = [
    ROOT / "gateway/store/migrations",
    ROOT / "gateway/durable/migrations",
    ROOT / "gateway/reference/migrations",
    *(ROOT / f"process_apis/{name}/migrations" for name in ("items", "availability", "stock_operations")),
]
PACE = Pace(first_retry=0.01, longest_retry=0.05, settle=0.05)
_tenants = count(1)


class World:
    """One tenant. `north` is NOR1 of the sandbox, `south` tells as wms_south, `depot` is held by us."""

    def __init__(self, store: Store, outbound: Outbound, wms: Any, tenant: str | None = None) -> None:
        self.tenant = tenant or f"t{next(_tenants)}"
        self.store = store
        self.wms = wms
        self.clock = SystemClock()
        self.items = Items(store, self.clock)
        self.kits = Kits(store, self.clock, self.items)
        places = [
            Location(location="north", name="N", region="na", time_zone="UTC", holder="wms", codes={"wms": "NOR1"}),
            Location(location="south", name="S", region="na", time_zone="UTC", holder="tell", codes={"tell": "S"}),
            Location(location="depot", name="D", region="na", time_zone="UTC", holder="crossdock"),
        ]
        self.places = places
        locations = LocationMap({self.tenant: places})
        system = load_system("wms", "regional_wms", wms.settings(), outbound=outbound, clock=self.clock)
        self.adapter: Any = system.adapter
        self.availability = Availability(
            store=store, cache=None, items=self.items, locations=locations, clock=self.clock, kits=self.kits
        )
        self.operations = StockOperations(
            store,
            self.clock,
            items=self.items,
            locations=locations,
            claims=self.availability,
            records=self.availability,
            positions=self.availability,
            lots=self.availability,
            warehouses=Directory([system], places, tenant=self.tenant),
            turning=OperationTurns(pace=PACE, call_timeout=30, overdue_after=0),
        )
        self.turns = self.operations.turns()
        self.item = ""
        self.heard = 0
        self.cursor: str | None = None

    async def open(self) -> None:
        """Items under the codes of everybody, 20 of the first in the north; `item` is its id."""
        self.heard = await self.store.fetchval("select coalesce(max(id), 0) from store.event")
        known = [ReportedItem(source_code=f"W-{n:06d}", sku=f"SKU-{n:04d}", name="", base_uom="EA") for n in (1, 2)]
        for source in ("wms", "tell"):
            await self.items.adopt(self.tenant, source, known, correlation_id="setup")
        self.item = (await self.items.by_sku(self.tenant, ["SKU-0001"]))["SKU-0001"].item
        self.cursor = None
        while (page := await self.adapter.read_movements(self.call(), cursor=self.cursor))[0].movements:
            self.cursor = page[1]
        await self.control("count", warehouse="NOR1", item_code="W-000001", quantity="20")
        await self.listen()

    def call(self) -> Any:
        return Call(tenant=self.tenant, correlation_id="test", deadline=self.clock.monotonic() + 60)

    async def control(self, name: str, **body: Any) -> Any:
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.post(f"{self.wms.url}/_control/{name}", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    async def orders(self, reference: str) -> list[Any]:
        async with httpx.AsyncClient(timeout=60) as client:
            found = (await client.get(f"{self.wms.url}/_control/orders")).json()["orders"]
        return [each for each in found if each["client_reference"] == reference]

    async def listen(self) -> None:
        """Read what the WMS did, record it, and let the log's new events be heard."""
        report, self.cursor = await self.adapter.read_movements(self.call(), cursor=self.cursor)
        await self.availability.record(self.tenant, report)
        await self.hear()

    async def tell(self, kind: str, amount: Any, **more: Any) -> Any:
        """A movement of the south, in the order of the calls; `sku` number 1 by default."""
        number = await self.store.fetchval("select count(*) from store.event")
        said = ReportedMovement(
            source="tell",
            event_id=more.pop("event_id", f"{self.tenant}-{number}"),
            line=0,
            order_key=OrderKey(1, more.pop("sequence", number)),
            type=MovementType(kind),
            occurred_at=self.clock.now() if "at" not in more else more.pop("at"),
            source_item=f"W-{more.pop('sku', 1):06d}",
            source_location="S",
            amount=Decimal(str(amount)),
            uom="EA",
            **more,
        )
        receipt = await self.availability.record(self.tenant, Report(movements=(said,)))
        await self.hear()
        return receipt

    async def own(self, kind: str, amount: Any, *, event_id: str, **more: Any) -> None:
        """A movement at the depot, which we hold."""
        at = self.clock.now()
        said = ReportedMovement(
            source="crossdock", event_id=event_id, line=0, order_key=OrderKey(0, int(at.timestamp() * 1_000_000)),
            type=MovementType(kind), occurred_at=at, source_item=self.item, source_location="depot",
            amount=Decimal(str(amount)), uom="EA", **more,
        )  # fmt: skip
        receipt = await self.availability.record(self.tenant, Report(movements=(said,)))
        assert not receipt.others
        await self.hear()

    async def hear(self) -> None:
        """What a consumer of the log would do."""
        rows = await self.store.fetch(
            "select id, type, aggregate, aggregate_version, occurred_at, correlation_id, data from store.told"
            " where tenant = $1 and id > $2 and type like 'stock.movement%_recorded' order by id",
            self.tenant,
            self.heard,
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

    async def plan(self, action: str, amount: Any = 5, **more: Any) -> Transfer:
        lines = more.pop("lines", ((self.item, amount),))
        command = PlanTransfer(
            action=action,
            origin=more.pop("origin", "north"),
            destination=more.pop("destination", "south"),
            lines=tuple(TransferWish(item=item, amount=Decimal(str(much))) for item, much in lines),
            **more,
        )
        return await self.operations.transfers.plan(self.caller(), command)

    def caller(self, subject: str = "app") -> Caller:
        principal = Principal(
            subject=subject, tenant=self.tenant, credential="key", zones=frozenset({Zone.PROCESS}), scopes=frozenset()
        )
        return Caller(principal=principal, request_id="req_1", correlation_id="cor_1", deadline=float("inf"))

    async def work(self, subject: str, until: Any = None) -> None:
        """Turns of `subject`, as DBOS would run those that are due, until `until` holds of it."""
        for _ in range(1000):
            await self.turns.run(subject, 0)
            row = await self.store.fetchrow("select * from stock_operations.task where subject = $1", subject)
            assert row is not None
            if until(row) if until else row["due_at"] is None:
                return
        pytest.fail(f"still {dict(row)}")

    async def transfer(self, transfer: str) -> Transfer:
        return await self.operations.transfers.get(self.tenant, transfer)

    async def line(self, location: str = "north") -> dict[str, Any]:
        row = await self.store.fetchrow(
            "select * from availability.stock_line where tenant = $1 and item = $2 and location = $3",
            *(self.tenant, self.item, location),
        )
        return {} if row is None else dict(row)

    async def buckets(self, location: str = "north") -> dict[str, Decimal]:
        rows = await self.availability.positions(self.tenant, items=[self.item], location=location)
        return {row["bucket"]: row["amount"] for row in rows if row["amount"]}

    async def told(self, kind: str) -> list[dict[str, Any]]:
        rows = await self.store.fetch(
            "select data from store.event where tenant = $1 and type = $2 order by id", self.tenant, kind
        )
        return [json.loads(row["data"]) for row in rows]


@pytest.fixture(scope="session")
async def operations_store(urls: EngineUrls, database_template: str) -> AsyncIterator[Store]:
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"create database of_operations template {database_template}")
    url = urls.postgres.removesuffix("crossdock") + "of_operations"
    await migrate(url, find_migrations(FOLDERS))
    await migrate_durable(url)
    made = Store(url, size=8)
    await made.open()
    yield made
    await made.close()
    await connection.execute("drop database of_operations with (force)")
    await connection.close()


@pytest.fixture(scope="session")
async def running_wms(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WmsSandbox]:
    sandbox = WmsSandbox(tmp_path_factory.mktemp("wms"), seed=WMS_SEED)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def world(operations_store: Store, running_wms: WmsSandbox) -> AsyncIterator[World]:
    async with Outbound() as outbound:
        made = World(operations_store, outbound, running_wms)
        await made.open()
        yield made
        await made.control("faults")
