"""The traffic of the play of three regions: warehouses at work, and how late and with what loss they tell of it.

Time is compressed: an hour of EMEA's is `HOUR_SECONDS`. What happened, what was sent and when it was answered is in the
log; the checker believes that and not this process.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from msgspec import Struct

from gateway.kernel.errors import Unavailable
from gateway.plays.outage_traffic import SyncedLog
from gateway.plays.partner_client import PartnerClient

HOUR_SECONDS: Final = 8.0
OPENING: Final = 1_000
ITEMS: Final = tuple(f"R-{number:02d}" for number in range(20))
_ROOT: Final = "/process/availability/v1"
_PARCEL: Final = 200
_AGAIN_SECONDS: Final = 0.5
_ATTEMPTS: Final = 120
_REFUSED: Final = frozenset({400, 401, 403, 404, 413, 415, 422})


class Habit(Struct, frozen=True, kw_only=True):
    """How one region tells: a movement about every `pace` seconds, each told `delays` seconds after it happened.

    With `hourly` all of an hour are told at once, at its end. Of `loss` movements in a hundred nothing is ever told.
    """

    region: str
    source: str
    pace: float
    delays: tuple[float, float] = (0.0, 0.0)
    hourly: bool = False
    loss: int = 0
    degraded_after: float
    stale_after: float


HABITS: Final = (
    Habit(region="na", source="wms_na", pace=0.25, delays=(0.1, 0.6), loss=10, degraded_after=6.0, stale_after=15.0),
    Habit(region="emea", source="wms_emea", pace=0.2, hourly=True, degraded_after=15.0, stale_after=30.0),
    Habit(region="apac", source="3pl_apac", pace=0.4, delays=(3.0, 5.0), degraded_after=6.0, stale_after=15.0),
)


class Warehouse:
    """One region's: its physical stock, its sequence, and what it has not told yet."""

    def __init__(self, habit: Habit, client: PartnerClient, log: SyncedLog, chance: random.Random) -> None:
        self.habit = habit
        self._client = client
        self._log = log
        self._chance = chance
        self.stock: Counter[str] = Counter(dict.fromkeys(ITEMS, OPENING))
        self._sequence = 0
        self._untold: list[tuple[float, dict[str, Any]]] = []
        self.dead = False
        self._moving = True

    async def work(self, until: float) -> None:
        """Move goods until then, and tell of them until all is told."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._move(until))
            tasks.create_task(self._tell())

    async def count(self) -> None:
        """Tell all that lies on the shelves, as of now."""
        self._sequence += 1
        figures = [
            {"item": sku, "location": "1", "amount": str(amount), "uom": "EA"} for sku, amount in self.stock.items()
        ]
        event = {
            "specversion": "1.0",
            "type": "crossdock.stock.snapshot_reported.v1",
            "id": f"count-{self._sequence}",
            "source": self.habit.source,
            "time": _instant(time.time()),
            "data": {"epoch": 1, "sequence": self._sequence, "full": True, "locations": ["1"], "figures": figures},
        }
        kind = {"Content-Type": "application/cloudevents+json"}
        await self._send(
            "count", lambda: self._client.call("count", "POST", f"{_ROOT}/events", body=event, headers=kind)
        )
        self._log.write(kind="shelves", region=self.habit.region, stock=dict(self.stock))

    async def _move(self, until: float) -> None:
        while time.time() < until:
            await asyncio.sleep(self.habit.pace * self._chance.uniform(0.5, 1.5))
            at, sku, amount = time.time(), self._chance.choice(ITEMS), self._chance.randint(1, 9)
            amount = self._chance.choice((-1, -1, 1)) * amount
            self.stock[sku] += amount
            self._sequence += 1
            told = {
                "event_id": f"m-{self._sequence}", "sequence": self._sequence, "epoch": 1, "type": "stock_adjusted",
                "occurred_at": _instant(at), "item": sku, "location": "1", "amount": str(amount), "uom": "EA",
            }  # fmt: skip
            lost = self._chance.randrange(100) < self.habit.loss
            self._log.write(kind="moved", region=self.habit.region, event=told["event_id"], item=sku, amount=amount,
                            occurred=at, lost=lost)  # fmt: skip
            if not lost:
                self._untold.append((self._due(at), told))
        self._moving = False

    def _due(self, at: float) -> float:
        if self.habit.hourly:
            return (at // HOUR_SECONDS + 1) * HOUR_SECONDS
        return at + self._chance.uniform(*self.habit.delays)

    async def _tell(self) -> None:
        while self._moving or self._untold:
            now = time.time() if self._moving else math.inf
            if not self.dead and (due := [told for at, told in self._untold if at <= now]):
                self._untold = [(at, told) for at, told in self._untold if at > now]
                for start in range(0, len(due), _PARCEL):
                    await self._tell_parcel(due[start : start + _PARCEL])
            await asyncio.sleep(0.05)

    async def _tell_parcel(self, parcel: Sequence[Mapping[str, Any]]) -> None:
        body = {"source": self.habit.source, "movements": parcel}
        events = [told["event_id"] for told in parcel]
        await self._send(
            "movements", lambda: self._client.call("tell", "POST", f"{_ROOT}/movements", body=body), events
        )

    async def _send(self, what: str, call: Callable[[], Awaitable[httpx.Response]], events: Sequence[str] = ()) -> None:
        """Until it is taken: what is sent again counts once, so it was late and nothing more."""
        said = ""
        for _ in range(_ATTEMPTS):
            sent, status = time.time(), 0
            try:
                answer = await call()
                status, said = answer.status_code, answer.text
            except httpx.HTTPError as error:
                said = str(error)
            self._log.write(kind="told", what=what, region=self.habit.region, source=self.habit.source,
                            events=list(events), sent=sent, answered=time.time(), status=status)  # fmt: skip
            if status == httpx.codes.OK:
                return
            if status in _REFUSED:
                break
            await asyncio.sleep(_AGAIN_SECONDS)
        raise Unavailable(f"what {self.habit.source} told was not taken: {status} {said}", code="play.not_taken")


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
