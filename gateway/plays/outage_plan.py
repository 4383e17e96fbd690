"""What dies when in the play of outages: drawn from a seed, so that a bad day can be had again."""

from __future__ import annotations

import random
from typing import Final

from msgspec import Struct

MORTAL: Final = ("gateway", "worker", "valkey", "nats", "postgres", "tryton")
WIPED: Final = ("nats", "valkey")
WAREHOUSES: Final = ("wms_north", "wms_west")
_DOWN_SECONDS: Final = (0.8, 2.5)
_BEFORE_SECONDS: Final = (0.02, 0.35)
_REST_SECONDS: Final = (0.4, 1.2)


class Outage(Struct, frozen=True, kw_only=True):
    """`name` is killed `before` seconds after new orders came in, stays away for `down`, and then has `rest`."""

    name: str
    wiped: bool
    before: float
    down: float
    rest: float

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name} killed, data wiped" if self.wiped else f"{self.name} killed"


class Basket(Struct, frozen=True, kw_only=True):
    """One order to be placed: article numbers and amounts in base units."""

    number: str
    lines: tuple[tuple[str, int], ...]


def outages(
    chance: random.Random, rounds: int, others: tuple[str, ...] = (), rest: tuple[float, float] = _REST_SECONDS
) -> tuple[Outage, ...]:
    """In each round everything dies once, a warehouse and `others` too, and carrier and cache lose their data.

    Each has a `rest` between these two numbers of seconds.
    """
    found: list[Outage] = []
    for _ in range(rounds):
        names = [(name, False) for name in (*MORTAL, chance.choice(WAREHOUSES), *others)] + [
            (name, True) for name in WIPED
        ]
        chance.shuffle(names)
        found += [
            Outage(
                name=name,
                wiped=wiped,
                before=chance.uniform(*_BEFORE_SECONDS),
                down=chance.uniform(*_DOWN_SECONDS),
                rest=chance.uniform(*rest),
            )
            for name, wiped in names
        ]
    return tuple(found)


def baskets(chance: random.Random, play: str, count: int, stock: dict[str, int]) -> tuple[Basket, ...]:
    """`count` orders that ask together for about a third more than `stock` (base units by article) has."""
    skus = sorted(stock)
    mean = max(1.0, 1.33 * sum(stock.values()) / (1.5 * count))
    return tuple(
        Basket(
            number=f"{play}-{number:04d}",
            lines=tuple(
                (sku, max(1, round(chance.uniform(0.5, 1.5) * mean)))
                for sku in chance.sample(skus, chance.choice((1, 2)))
            ),
        )
        for number in range(count)
    )
