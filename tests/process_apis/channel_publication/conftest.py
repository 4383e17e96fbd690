"""A shop that sells by itself, a warehouse, and the process between them: the shop's own log is the judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Report
from gateway.canonical.events import Position
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import Bucket, ClaimLine, ClaimRequest, OrderKey, ReportedFigure, ReportedSnapshot
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import CrossdockError
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from gateway.store.log_reader import BEGINNING, LogReader
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from process_apis.availability.process import Availability
from process_apis.channel_publication.models import Options, PublishedChannel
from process_apis.channel_publication.process import ChannelPublication
from process_apis.channel_publication.subscriptions import subscriptions
from process_apis.items.process import Items
from system_apis.storefront_shop.adapter import Adapter
from system_apis.storefront_shop.settings import Settings

ROOT = Path(__file__).parents[3]
FOLDERS = [
    ROOT / "gateway/store/migrations",
    ROOT / "gateway/reference/migrations",
    *(
        ROOT / f"process_apis/{name}/migrations"
        for name in ("items", "availability", "channel_publication", "exceptions")
    ),
]
PLACE = Location(
    location="loc_n", name="North", region="na", time_zone="UTC", holder="wms", codes={"wms": "N"}, priority=1
)
SETTLE = timedelta(seconds=0.3)


class World:
    """Items by SKU, their stock, the shop, and a process that can be made again, as after a crash."""

    def __init__(
        self,
        store: Store,
        shop: Any,
        outbound: Outbound,
        settings: dict[str, Any],
        limits: SystemLimits | None = None,
    ) -> None:
        self.store, self.shop, self.clock = store, shop, SystemClock()
        self._limits = limits or SystemLimits(breaker_failures=10_000, retries=0)
        self._outbound, self._settings = outbound, settings
        self.items = Items(store, self.clock)
        self.availability = Availability(
            store=store, cache=None, items=self.items, locations=LocationMap({"acme": [PLACE]}), clock=self.clock
        )
        self._reader, self._position = LogReader(), BEGINNING
        self._sequence = 0
        self.id: dict[str, str] = {}
        self.begin()

    def begin(self, adapter: Any = None, **options: Any) -> None:
        """Begin anew, knowing only what the record knows."""
        self.adapter = adapter or self.shop_adapter(self.shop.url)
        options = {"settle": SETTLE, "sweep_seconds": 1e9, "read_back_seconds": 1e9} | options
        unit = options.pop("selling_unit", None)
        channel = PublishedChannel(
            name="shop",
            system="shop_eu",
            shows=self.adapter,
            orders=self.adapter,
            options=Options(**options),
            selling_unit=unit,
        )
        self._channel = channel
        self.publication = self.again()
        self._hear: Subscription = subscriptions(["shop"])[0]

    def again(self) -> ChannelPublication:
        """Another worker's."""
        return ChannelPublication(
            self.store,
            self.clock,
            tenant="acme",
            channels=[self._channel],
            items=self.items,
            availability=self.availability,
            claims=self.availability,
            rules=self._rules,
        )

    def shop_adapter(self, url: str) -> Adapter:
        session = self._outbound.session(f"shop at {url}", url, self._limits)
        shape = msgspec.convert({**self.shop.settings(), **self._settings, "base_url": url}, Settings)
        return Adapter("shop_eu", shape, session, self.clock)

    async def _rules(self, tenant: str, channel: str) -> int:
        return (await self.availability.rule(tenant, channel)).version

    async def list_items(self, *skus: str) -> None:
        reported = [ReportedItem(source_code=sku, sku=sku, name=sku, base_uom="EA") for sku in skus]
        for source in ("erp", "wms"):
            await self.items.adopt("acme", source, reported, correlation_id="setup")
        self.id = {sku: item.item for sku, item in (await self.items.by_sku("acme", list(skus))).items()}

    async def stock(self, **figures: int) -> None:
        """What lies in the warehouse, by the order of SKUs given; keys are SKUs."""
        await self.stock_of(figures)

    async def stock_of(self, figures: dict[str, int]) -> None:
        self._sequence += 1
        snapshot = ReportedSnapshot(
            source="wms",
            event_id=f"snap-{self._sequence}",
            cut_off=OrderKey(1, self._sequence),
            taken_at=self.clock.now(),
            full=False,
            locations=("N",),
            figures=tuple(
                ReportedFigure(
                    source_item=sku, source_location="N", bucket=Bucket.SELLABLE, amount=Decimal(amount), uom="EA"
                )
                for sku, amount in figures.items()
            ),
        )
        receipt = await self.availability.record("acme", Report(snapshots=(snapshot,)))
        assert receipt.others == ()

    async def hear(self) -> None:
        """What the backbone does: each new event to the consumer, in a transaction."""
        while True:
            async with self.store.transaction() as connection:
                stretch = await self._reader.read_after(connection, self._position)
                for recorded in stretch.events:
                    if recorded.event.type in self._hear.types:
                        await self._hear.handler(connection, recorded)
                moved: Position = stretch.reached
            if moved == self._position:
                return
            self._position = moved

    async def settle(self, seconds: float = 60.0) -> None:
        """Publish until nothing is left to do, as the worker does; what a vendor refuses is tried again."""
        async with asyncio.timeout(seconds):
            while True:
                await self.hear()
                try:
                    busy = await self.publication.step("shop")
                except CrossdockError:
                    await asyncio.sleep(0.1)
                    continue
                if not busy and not await self.store.fetchval("select count(*) from channel_publication.due"):
                    return
                await asyncio.sleep(0 if busy else 0.05)

    async def sell_to(self, sku: str, amount: int, order: str = "ord_other") -> None:
        """Another channel's promise."""
        await self.availability.claims.reserve(
            "acme",
            ClaimRequest(
                action=f"{order}/{sku}",
                order=order,
                channel="other",
                lines=[ClaimLine(line=1, item=self.id[sku], amount=Decimal(amount))],
                correlation_id="cor_1",
            ),
        )

    async def buy(self, sku: str, quantity: int) -> str:
        answer = await self.shop.control("buy", lines=[{"sku": sku, "quantity": quantity}])
        return str(answer["order"])

    async def shows(self, sku: str, quantity: int, seconds: float = 60.0) -> None:
        """Wait until the shop shows so much, while others publish."""
        async with asyncio.timeout(seconds):
            while (await self.shown())[sku] != quantity:
                await self.hear()
                await asyncio.sleep(0.05)

    async def shown(self) -> dict[str, int]:
        levels = (await self.shop.look("levels"))["levels"]
        return {sku: level["quantity"] for sku, level in levels.items()}

    async def sellable(self) -> dict[str, int]:
        """Ledger truth, by plain SQL: sellable less promised."""
        rows = await self.store.fetch(
            "select item, sum(sellable - reserved - allocated - external)::bigint as free "
            "from availability.stock_line group by item"
        )
        free = {row["item"]: row["free"] for row in rows}
        return {sku: max(0, free.get(item, 0)) for sku, item in self.id.items()}

    async def disagreements(self) -> list[tuple[str, str, int | None, int | None]]:
        rows = await self.publication.disagreements("acme", None, before=None, limit=100)
        return [(row["sku"], row["cause"], row["expected"], row["found"]) for row in rows]


@pytest.fixture
async def published_store(database: str) -> AsyncIterator[Store]:
    await migrate(database, find_migrations(FOLDERS))
    store = Store(database, size=6)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def shop_settings() -> dict[str, Any]:
    """How the shop's figures are set; a test of the feed says so."""
    return {}


@pytest.fixture
async def world(published_store: Store, shop: Any, shop_settings: dict[str, Any]) -> AsyncIterator[World]:
    async with Outbound() as outbound:
        made = World(published_store, shop, outbound, shop_settings)
        await made.list_items("A", "B", "SKU/1 #é")
        yield made
