"""What a side is to the benchmark: somebody who was asked to promise stock, however they call it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

PROMISED = "promised"
PLENTY = 1_000_000
Want = list[tuple[str, int]]


def sku_of(number: int) -> str:
    """An article with stock for everybody."""
    return f"MANY-{number:05d}"


def one_of(number: int) -> str:
    """The article of which there is one piece, of the buyers' round `number`."""
    return f"ONE-{number:05d}"


def wants(chosen: random.Random, given: Any, count: int) -> list[Want]:
    """`count` orders of distinct articles, 1 to 3 pieces of each."""
    return [
        [(sku_of(item), chosen.randint(1, 3)) for item in chosen.sample(range(given.items), given.lines)]
        for _ in range(count)
    ]


class Side(Protocol):
    """One of those that are measured, running, with `sku_of` and `one_of` on its shelves.

    Of what it may answer, `refusals` say that there is not enough, and `busy` that one should ask again.
    """

    name: str
    about: str
    url: str
    refusals: frozenset[str]
    busy: frozenset[str]

    async def prepare(self, orders: Sequence[Want], *, race: bool = False) -> list[Any]:
        """Everything that comes before the promise; what `claim` takes. For a `race`, before the last look at stock."""
        ...

    async def claim(self, lane: int, prepared: Any) -> str:
        """Ask for the promise of one order as client `lane`: `PROMISED`, or the code of the refusal or error."""
        ...


@dataclass(frozen=True)
class Ran:
    """A timed part: seconds until the last answer, what the clients were told, and how long each waited."""

    seconds: float
    outcomes: Counter[str]
    latencies: list[float]

    def at(self, share: float) -> float:
        """A percentile of the latencies, in ms."""
        ordered = sorted(self.latencies) or [0.0]
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3, 1)


async def press(side: Side, work: list[Any], *, clients: int, seconds: float, again: bool = False) -> Ran:
    """`clients` at once, each with its next order when the last is answered, until the time or the work is over.

    With `again`, an order that was answered `busy` comes back after the others.
    """
    outcomes: Counter[str] = Counter()
    latencies: list[float] = []
    left = work[::-1]
    began = time.perf_counter()

    async def lane(number: int) -> None:
        while left and time.perf_counter() < began + seconds:
            order, asked = left.pop(), time.perf_counter()
            outcome = await _told(side, number, order)
            outcomes[outcome] += 1
            if again and outcome in side.busy:
                left.insert(0, order)
            latencies.append(time.perf_counter() - asked)

    await asyncio.gather(*(lane(number) for number in range(clients)))
    return Ran(time.perf_counter() - began, outcomes, latencies)


async def _told(side: Side, lane: int, order: Any) -> str:
    try:
        return await side.claim(lane, order)
    except OSError as error:
        return str(error)
