"""The books of one simulated world: a tenant of its own on the real record, told in whatever order, then read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import count
from random import Random
from typing import Any

from gateway.canonical.capabilities import Report
from gateway.canonical.item import ReportedItem
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import ClaimLine, ReportedMovement, ReportedSnapshot
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict
from gateway.kernel.quantity import UnitConversion
from gateway.store.postgres import Store
from process_apis.availability.process import Availability
from process_apis.items.process import Items
from tests.process_apis.availability.warehouse_world import SKUS, UNITS, Promise, Truth

_tenants = count(1)
SOURCES = {"N": "wms_n", "S": "wms_s", "W": "wms_w", "E": "tpl_e"}


class Books:
    """What Crossdock makes of a world."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tenant = f"w{next(_tenants)}"
        self.items = Items(store, SystemClock())
        places = [
            Location(location=f"loc_{code.lower()}", name=code, region="na", time_zone="UTC", holder=source,
                     codes={source: code, "erp": code})
            for code, source in SOURCES.items()
        ]  # fmt: skip
        self.availability = Availability(
            store=store, cache=None, items=self.items, locations=LocationMap({self.tenant: places}), clock=SystemClock()
        )
        self.sku: dict[str, str] = {}
        self.refused: list[Promise] = []
        self.remembers = False
        self.remembered: list[tuple[datetime, dict[tuple[str, ...], Decimal]]] = []

    async def open(self, truth: Truth) -> None:
        for source in (*SOURCES.values(), "erp"):
            known = [
                ReportedItem(source_code=f"{source}:{sku}" if (source, sku) != ("wms_n", "C") else "elsewhere",
                             sku=sku, name=sku, base_uom=UNITS[sku][0],
                             packs=tuple(UnitConversion(*pack) for pack in UNITS[sku][1].items()))
                for sku in SKUS
            ]  # fmt: skip
            await self.items.adopt(self.tenant, source, known, correlation_id="setup")
        known_items = await self.items.by_sku(self.tenant, list(SKUS))
        self.sku = {item.item: sku for sku, item in known_items.items()}
        await self.tell(truth.opening)

    async def tell(self, some: Sequence[ReportedMovement | ReportedSnapshot]) -> None:
        await self.availability.record(
            self.tenant,
            Report(
                movements=tuple(each for each in some if isinstance(each, ReportedMovement)),
                snapshots=tuple(each for each in some if isinstance(each, ReportedSnapshot)),
            ),
        )

    async def hear(self, truth: Truth, random: Random) -> None:
        """Everything that is said and done, late, twice, shuffled, in batches, some of them at the same time."""
        said = [*truth.reports, *random.choices(truth.reports, k=len(truth.reports) // 2)] if truth.reports else []
        random.shuffle(said)
        steps: list[Callable[[], Awaitable[None]]] = []
        while said:
            size = random.choice([1, 1, 2, 3, 8])
            steps.append(partial(self._batches, said[:size], together=random.random() < 0.3))
            del said[:size]
        for promise in truth.promises:
            steps.insert(random.randint(0, len(steps)), partial(self._promise, promise))
        steps.insert(random.randint(0, len(steps)), self._mend)
        for number, step in enumerate(steps):
            await step()
            if number % 4 == 0 and self.remembers:
                await self._remember()
        for promise in self.refused:
            await self._claim(promise)
        for promise in truth.promises:
            if promise.released:
                await self._release(promise.order)
        await self.availability.unpark(self.tenant)

    async def _batches(self, some: Sequence[ReportedMovement | ReportedSnapshot], *, together: bool) -> None:
        if together:
            half = len(some) // 2 + 1
            await asyncio.gather(self.tell(some[:half]), self.tell(some[half:]), self.tell(some[::-1]))
        else:
            await self.tell(some)

    async def _remember(self) -> None:
        instant = await self.store.fetchrow("select clock_timestamp() as now")
        assert instant is not None
        self.remembered.append((instant["now"], await self.positions()))

    async def positions(self, **instants: datetime) -> dict[tuple[str, ...], Decimal]:
        """Through the capability; without those that are zero."""
        rows = await self.availability.positions(self.tenant, items=list(self.sku), location=None, **instants)
        keys = ("location", "item", "bucket", "lot")
        return {tuple(row[name] for name in keys): row["amount"] for row in rows if row["amount"]}

    async def _promise(self, promise: Promise) -> None:
        try:
            await self._claim(promise)
        except Conflict:
            # What was told so far says there is too little; it is asked again when everything was told.
            self.refused.append(promise)
        else:
            if promise.released and promise.order.endswith("2"):
                await self._release(promise.order)

    async def _claim(self, promise: Promise) -> None:
        ids = {sku: item for item, sku in self.sku.items()}
        lines = [
            ClaimLine(line=line, item=ids[sku], amount=amount, location=f"loc_{place.lower()}")
            for line, (sku, place, amount) in promise.lines.items()
        ]
        async with self.store.transaction() as connection:
            await self.availability.claim(
                connection, tenant=self.tenant, action=f"claim-{promise.order}", order=promise.order, channel="web",
                lines=lines, correlation_id=promise.order,
            )  # fmt: skip

    async def _release(self, order: str) -> None:
        async with self.store.transaction() as connection:
            await self.availability.release(
                connection, tenant=self.tenant, action=f"release-{order}", order=order, lines=None, correlation_id=order
            )

    async def _mend(self) -> None:
        await self.items.cross_reference(self.tenant, "wms_n", {"wms_n:C": "C"}, correlation_id="mend")
        await self.availability.unpark(self.tenant)

    async def read(self) -> dict[str, Any]:
        """In the terms of `true_of`, straight from the tables."""

        async def rows(query: str) -> list[Any]:
            return await self.store.fetch(query, self.tenant)

        place = {f"loc_{code.lower()}": code for code in SOURCES}
        return {
            "positions": {
                (place[row["location"]], self.sku[row["item"]], row["bucket"], row["lot"]): row["amount"]
                for row in await rows("select * from availability.position where tenant = $1 and amount <> 0")
            },
            "on hand, sellable, promised, short": {
                (place[row["location"]], self.sku[row["item"]]): tuple(row)[2:]
                for row in await rows(
                    "select location, item, on_hand, sellable, reserved + allocated, short"
                    " from availability.stock_line where tenant = $1"
                )
                if any(tuple(row)[2:])
            },
            "claims": {
                (row["order_id"], row["order_line"]): (row["amount"], row["consumed"], row["open"])
                for row in await rows("select * from availability.claim where tenant = $1")
            },
            "picked, shipped": {
                (row["order_id"], row["order_line"], place[row["location"]]): (row["picked"], row["shipped"])
                for row in await rows(
                    "select * from availability.progress where tenant = $1 and (picked, shipped) <> (0, 0)"
                )
            },
            "balances": {
                (row["kind"], row["document"], self.sku[row["item"]]): (row["opened"], row["closed"])
                for row in await rows(
                    "select * from availability.balance where tenant = $1 and (opened, closed) <> (0, 0)"
                )
            },
            "movements": (
                await rows("select count(*) from availability.movement where tenant = $1 and live and moves")
            )[0][0],
        }


def true_of(truth: Truth) -> dict[str, Any]:
    """What the books must say."""
    lines: dict[tuple[str, str], list[Decimal]] = {}
    for (place, sku, bucket, _), amount in truth.stock.items():
        line = lines.setdefault((place, sku), [Decimal(0)] * 4)
        line[0] += amount
        line[1] += amount if bucket == "sellable" else 0
    claims = truth.claims()
    for promise in truth.promises:
        for number, (sku, place, _) in promise.lines.items():
            lines[place, sku][2] += claims[promise.order, number][2]
    for line in lines.values():
        line[3] = max(Decimal(0), line[2] - line[1])
    handled = {key: (truth.picked[key], truth.shipped[key]) for key in {*truth.picked, *truth.shipped}}
    balances = {key: (truth.opened[key], truth.closed[key]) for key in {*truth.opened, *truth.closed}}
    return {
        "positions": {key: amount for key, amount in truth.stock.items() if amount},
        "on hand, sellable, promised, short": {key: tuple(line) for key, line in lines.items() if any(line)},
        "claims": claims,
        "picked, shipped": {key: both for key, both in handled.items() if any(both)},
        "balances": {key: both for key, both in balances.items() if any(both)},
        "movements": truth.told,
    }
