"""Promises for what a channel has sold: all of it, or as much of each line as there is (`semantics.md` 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from gateway.canonical.capabilities import ClaimsStock, Connection
from gateway.canonical.channel import ChannelOrder
from gateway.canonical.item import Item
from gateway.canonical.stock import ClaimLine, ClaimOverride, ClaimRequest
from gateway.kernel.errors import Conflict
from gateway.store.together import Together

_SHORT: Final = "stock.insufficient"


class Promiser:
    """Claims under ``channel/<channel>/<the channel's number>``, down to what is available, and allocates them."""

    def __init__(self, claims: ClaimsStock, tenant: str, channel: str) -> None:
        self._claims = claims
        self._tenant = tenant
        self._channel = channel

    async def promise(self, connection: Connection, order: ChannelOrder, items: Mapping[int, Item]) -> dict[int, int]:
        """What was promised of each line, by its number; lines whose item is unknown have no promise."""
        wanted = {line.line: line.quantity for line in order.lines if line.line in items and line.quantity > 0}
        if not wanted:
            return {}
        given = wanted
        if not await self._claim(connection, order, items, wanted, "all"):
            given = {line: await self._most(connection, order, items, line, wanted[line]) for line in sorted(wanted)}
        if any(given.values()):
            await self._claims.allocate(
                connection,
                tenant=self._tenant,
                action=f"{self._name(order)}/allocate",
                order=self._name(order),
                correlation_id=self._name(order),
            )
        return given

    async def give_back(self, connection: Connection, order: ChannelOrder) -> None:
        """Release what a cancelled order still holds."""
        await self._claims.release(
            connection,
            tenant=self._tenant,
            action=f"{self._name(order)}/cancel",
            order=self._name(order),
            lines=None,
            correlation_id=self._name(order),
        )

    async def _most(
        self, connection: Connection, order: ChannelOrder, items: Mapping[int, Item], line: int, quantity: int
    ) -> int:
        """The most of one line that fits, found by halving behind the locks that the first try took; it is claimed."""
        low, high = 0, quantity
        while low < high:
            middle = (low + high + 1) // 2
            if await self._claim(connection, order, items, {line: middle}, f"try/{line}/{middle}", keep=False):
                low = middle
            else:
                high = middle - 1
        if low:
            await self._claim(connection, order, items, {line: low}, f"line/{line}")
        return low

    async def _claim(
        self,
        connection: Connection,
        order: ChannelOrder,
        items: Mapping[int, Item],
        amounts: Mapping[int, int],
        part: str,
        *,
        keep: bool = True,
    ) -> bool:
        lines = [ClaimLine(line=line, item=items[line].item, amount=Decimal(amounts[line])) for line in sorted(amounts)]
        writes = Together()
        [answer] = await self._claims.claim_all(
            connection, tenant=self._tenant, requests=[self._request(order, lines, part)], writes=writes
        )
        if isinstance(answer, Conflict):
            if answer.code != _SHORT:
                raise answer
            return False
        if keep:
            await writes.run(connection)
        return True

    def _request(self, order: ChannelOrder, lines: Sequence[ClaimLine], part: str) -> ClaimRequest:
        name = self._name(order)
        return ClaimRequest(
            action=f"{name}/{part}",
            order=name,
            channel=self._channel,
            lines=lines,
            correlation_id=name,
            override=ClaimOverride(actor=f"channel/{self._channel}", reason="sold there already"),
        )

    def _name(self, order: ChannelOrder) -> str:
        return f"channel/{self._channel}/{order.reference}"
