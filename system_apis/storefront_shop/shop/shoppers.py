"""Shoppers who buy by themselves while everything else goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from gateway.sandboxes.books import Refusal
from system_apis.storefront_shop.shop.books import Books


class Shoppers:
    """Buys what is on show, never more. `bought` and `refused` count orders."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._task: asyncio.Task[None] | None = None
        self.bought = 0
        self.refused = 0

    def begin(self, *, skus: Sequence[str], per_second: float, orders: int, largest: int = 3, seed: int = 1) -> None:
        """Place `orders` orders, each 1 to `largest` units of one of `skus`; replaces who was there."""
        self.end()
        self._task = asyncio.get_running_loop().create_task(
            self._shop(list(skus), per_second, orders, largest, random.Random(seed))  # noqa: S311 - repeatable
        )

    def end(self) -> None:
        """Send them home."""
        if self._task is not None:
            self._task.cancel()

    async def _shop(self, skus: list[str], per_second: float, orders: int, largest: int, dice: random.Random) -> None:
        for _ in range(orders):
            try:
                self._books.buy([(dice.choice(skus), dice.randint(1, largest))])
                self.bought += 1
            except Refusal:
                self.refused += 1
            await asyncio.sleep(1 / per_second)
