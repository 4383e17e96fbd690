"""What a process can be told that publishes to a shop and imports what it sold."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import types
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

try:  # a script has its folder before it, a test its package
    import seams as mortal
except ImportError:
    from . import seams as mortal

from gateway.canonical.capabilities import Report
from gateway.canonical.events import Position
from gateway.canonical.stock import Bucket, OrderKey, ReportedFigure, ReportedSnapshot
from gateway.kernel.errors import CrossdockError
from gateway.outbound.door import Outbound
from gateway.outbound.pools import pooled_transport

_WORLD = Path(__file__).parents[1] / "process_apis" / "channel_publication" / "conftest.py"
_spec = importlib.util.spec_from_file_location("shop_world", _WORLD)
world_module = importlib.util.module_from_spec(_spec)
sys.modules["shop_world"] = world_module
_spec.loader.exec_module(world_module)


async def actor_of(store, seams, shop):
    """`shop` has its url and settings; every call to it is a seam."""
    outbound = Outbound(transport=lambda limits: mortal.MortalTransport(pooled_transport(limits), seams))
    there = types.SimpleNamespace(url=shop["url"], settings=lambda: shop["settings"])
    world = world_module.World(store, there, outbound, {})
    world.id = {sku: item.item for sku, item in (await world.items.by_sku("acme", ["A", "B"])).items()}
    return ShopActor(world)


class ShopActor:
    """Carries out commands; a refusal is tried again, as the lane of a channel does."""

    def __init__(self, world):
        self.world = world

    async def do(self, command):
        more = {key: value for key, value in command.items() if key != "do"}
        return await getattr(self, command["do"])(**more)

    async def count(self, sequence, figures):
        """The warehouse's word, once by its number."""
        snapshot = ReportedSnapshot(
            source="wms",
            event_id=f"count-{sequence}",
            cut_off=OrderKey(1, sequence),
            taken_at=datetime(2026, 11, 1, tzinfo=UTC),
            full=False,
            locations=("N",),
            figures=tuple(
                ReportedFigure(
                    source_item=sku, source_location="N", bucket=Bucket.SELLABLE, amount=Decimal(amount), uom="EA"
                )
                for sku, amount in figures.items()
            ),
        )
        await self.world.availability.record("acme", Report(snapshots=(snapshot,)))

    async def sell(self, sku, amount, order):
        await self.world.sell_to(sku, amount, order)

    async def publish(self):
        """Hear what changed, and publish until the shop shows it."""
        while True:
            await self._hear()
            try:
                busy = await self.world.publication.step("shop")
            except CrossdockError:
                await asyncio.sleep(0.05)
                continue
            if not busy and not await self.world.store.fetchval("select count(*) from channel_publication.due"):
                return
            await asyncio.sleep(0 if busy else 0.05)

    async def read_back(self):
        await self.world.publication.read_back("shop")

    async def _hear(self):
        """What the backbone does: its place in the log is kept in the transaction of what was heard."""
        world = self.world
        while True:
            async with world.store.transaction() as connection:
                known = Position(*await connection.fetchrow("select epoch, transaction, event from heard for update"))
                stretch = await world._reader.read_after(connection, known)
                for recorded in stretch.events:
                    if recorded.event.type in world._hear.types:
                        await world._hear.handler(connection, recorded)
                if stretch.reached == known:
                    return
                place = (stretch.reached.epoch, stretch.reached.transaction, stretch.reached.event)
                await connection.execute("update heard set epoch = $1, transaction = $2, event = $3", *place)
