"""One process that reserves, or records movements, as fast as answers come: ``python -m benchmarks.inventory.load``.

A plan as JSON on the first line of standard input; it says ``ready`` when everything is made, starts on the next line,
and prints what it counted. What it asks follows from the plan's seed alone.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import uvloop

from benchmarks.inventory.books import PLACE, SOURCE, TENANT, code_of, item_of
from gateway.canonical.capabilities import Report
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import (
    Bucket,
    ClaimLine,
    ClaimRequest,
    MovementType,
    OrderKey,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
    SnapshotPart,
)
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict
from gateway.serving.collector import calm_collector
from gateway.store.postgres import Store
from process_apis.availability.process import Availability
from process_apis.items.process import Items

_BATCH: Final = 500
_PART: Final = 5_000
_START: Final = datetime(2026, 11, 1, tzinfo=UTC)
_KINDS: Final = (
    (MovementType.STOCK_ADJUSTED, None, None),
    (MovementType.RECEIPT_POSTED, None, None),
    (MovementType.PUT_AWAY, None, None),
    (MovementType.STATUS_CHANGED, Bucket.SELLABLE, Bucket.QUALITY_HOLD),
)


def baskets(plan: dict[str, Any]) -> list[ClaimRequest]:
    """Orders of distinct items, each of them once."""
    chosen, name = random.Random(plan["seed"]), plan["name"]
    return [
        ClaimRequest(
            action=f"{name}-{number}:claim",
            order=f"{name}-{number}",
            channel="web",
            correlation_id=f"{name}-{number}",
            lines=[
                ClaimLine(line=line, item=item_of(item), amount=Decimal(chosen.randint(1, 3)))
                for line, item in enumerate(chosen.sample(range(plan["items"]), plan["lines"]), 1)
            ],
        )
        for number in range(plan["count"])
    ]


def reports(plan: dict[str, Any]) -> list[Report]:
    """Batches of movements of random items, in the codes of the warehouse."""
    chosen, name = random.Random(plan["seed"]), plan["name"]

    def movement(number: int) -> ReportedMovement:
        kind, origin, target = chosen.choice(_KINDS)
        return ReportedMovement(
            source=SOURCE,
            event_id=f"{name}-{number}",
            line=0,
            order_key=OrderKey(1, number),
            type=kind,
            occurred_at=_START + timedelta(milliseconds=number),
            source_item=code_of(chosen.randrange(plan["items"])),
            source_location="W1",
            amount=Decimal(chosen.randint(1, 9)),
            uom="EA",
            from_bucket=origin,
            to_bucket=target,
            document=None,
            reason="bench",
        )

    return [
        Report(movements=tuple(movement(first + number) for number in range(_BATCH)))
        for first in range(0, plan["count"], _BATCH)
    ]


def parts(plan: dict[str, Any]) -> Iterator[SnapshotPart]:
    """A full snapshot of all items, made part by part."""
    count = -(-plan["items"] // _PART)
    for number in range(count):
        some = range(number * _PART, min(plan["items"], (number + 1) * _PART))
        figures = tuple(
            ReportedFigure(
                source_item=code_of(item),
                source_location="W1",
                bucket=Bucket.SELLABLE,
                amount=Decimal(100 + (item % 50 == 0)),
                uom="EA",
            )
            for item in some
        )
        whole = ReportedSnapshot(
            source=SOURCE,
            event_id=plan["name"],
            cut_off=OrderKey(1, 1),
            taken_at=_START,
            full=True,
            locations=("W1",),
            figures=figures,
        )
        yield SnapshotPart(snapshot=whole, number=number + 1, of=count)


class Load:
    """One plan on its way."""

    def __init__(self, plan: dict[str, Any], availability: Availability) -> None:
        self._availability = availability
        self._moves = plan["do"] == "move"
        work: dict[str, Any] = {"move": reports, "reserve": baskets, "snapshot": lambda _: []}
        self._work: list[Any] = work[plan["do"]](plan)[::-1]
        self._plan = plan
        self.latencies: list[float] = []
        self.outcomes: Counter[str] = Counter()

    async def lane(self, ends: float) -> None:
        """One client: the next when the last is answered."""
        while self._work and time.perf_counter() < ends:
            asked, began = self._work.pop(), time.perf_counter()
            outcome, number = await (self._record(asked) if self._moves else self._reserve(asked))
            self.latencies.append(time.perf_counter() - began)
            self.outcomes[outcome] += number

    async def _reserve(self, request: ClaimRequest) -> tuple[str, int]:
        try:
            await self._availability.claims.reserve(TENANT, request)
        except Conflict as refusal:
            return refusal.code, 1
        return "reserved", 1

    async def _record(self, report: Report) -> tuple[str, int]:
        receipt = await self._availability.record(TENANT, report)
        return "recorded", receipt.recorded

    async def _tell_snapshot(self) -> None:
        for part in parts(self._plan):
            self.outcomes["told"] += (await self._availability.record(TENANT, Report(parts=(part,)))).recorded
        while await self._availability.parts.apply_next():
            pass

    async def run(self) -> dict[str, Any]:
        """All lanes, until the time is over or the work is."""
        began = time.perf_counter()
        cpu = time.process_time()
        if self._plan["do"] == "snapshot":
            await self._tell_snapshot()
        else:
            ends = began + self._plan["seconds"]
            await asyncio.gather(*(self.lane(ends) for _ in range(self._plan["clients"])))
        seconds = time.perf_counter() - began
        return {
            "seconds": seconds,
            "cpu_s": time.process_time() - cpu,
            "outcomes": dict(self.outcomes),
            "latencies_ms": [round(each * 1000, 3) for each in self.latencies],
            "work_left": len(self._work),
            "most_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }


async def main() -> None:
    """Prepare, say so, wait for the word, run."""
    plan = json.loads(sys.stdin.readline())
    store = Store(plan["url"], size=4)
    await store.open()
    clock = SystemClock()
    place = Location(
        location=PLACE, name="Warehouse", region="na", time_zone="UTC", holder=SOURCE, codes={SOURCE: "W1"}, priority=1
    )
    availability = Availability(
        store=store, cache=None, items=Items(store, clock), locations=LocationMap({TENANT: [place]}), clock=clock
    )
    load = Load(plan, availability)
    calm_collector()  # as every process of the gateway does; the work that is prepared is no garbage either
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(await load.run()), flush=True)
    await store.close()


if __name__ == "__main__":
    uvloop.run(main())
