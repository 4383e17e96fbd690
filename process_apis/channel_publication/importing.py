"""What a channel sold, imported to its watermark and promised: the sale has happened, so it is never refused.

Each order event is one transaction: its lines, the claims, and what the stock could not give. The cursor moves when the
page is in, so a crash reads a page again and takes each event once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import asyncpg
from msgspec.structs import replace

from gateway.canonical.capabilities import (
    Call,
    ChannelAccount,
    ClaimsStock,
    Connection,
    ResolvesItems,
    TakesChannelOrders,
)
from gateway.canonical.channel import ChannelOrder, ChannelOrderKind, ChannelOrderLine
from gateway.canonical.events import Event
from gateway.canonical.item import Item
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.channel_publication.models import PublishedChannel
from process_apis.channel_publication.promising import Promiser
from process_apis.channel_publication.rules import unit_of

_sql: Final = queries_beside(__file__)
_PAGES: Final = 1_000
_PRICE: Final = Decimal("1E-8")
_LATELY_S: Final = 2.0
_LOOKING_S: Final = 0.4


class Importer:
    """Imports the orders of one channel."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tenant: str,
        channel: PublishedChannel,
        *,
        items: ResolvesItems,
        claims: ClaimsStock,
        taker: TakesChannelOrders | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant
        self._channel = channel
        self._items = items
        self._promiser = Promiser(claims, tenant, channel.name)
        self._taker = taker
        self._account = (
            None
            if taker is None or channel.sold_to is None
            else ChannelAccount(tenant=tenant, channel=channel.name, sold_to=channel.sold_to, currency=channel.currency)
        )
        self._imported_at = datetime.min.replace(tzinfo=UTC)

    async def up_to(self, call: Call, looks: Sequence[datetime] = ()) -> datetime:
        """Import unless it was done lately; behind every one of `looks`, and soon again while they want explaining."""
        if self.age > (_LOOKING_S if looks else _LATELY_S) or any(self._imported_at <= at for at in looks):
            await self.import_orders(call)
        return self._imported_at

    @property
    def age(self) -> float:
        """Seconds since the last import began."""
        return (self._clock.now() - self._imported_at).total_seconds()

    async def import_orders(self, call: Call) -> None:
        """Import to the end of the feed."""
        key = (self._tenant, self._channel.name)
        begun = self._clock.now()
        if self._channel.orders is None:
            self._imported_at = begun
            return
        cursor = await self._store.fetchval(_sql.lock_channel, *key)
        for _ in range(_PAGES):
            begun = self._clock.now()
            page = await self._channel.orders.read_channel_orders(call, cursor=cursor)
            skus = sorted({line.sku for order in page.orders for line in order.lines})
            known = await self._items.by_sku(self._tenant, skus)
            for order in page.orders:
                await self._take(order, known)
            async with self._store.transaction() as connection:
                if await connection.fetchval(_sql.lock_channel, *key) != cursor:
                    raise Unavailable(
                        f"another worker imports the orders of {self._channel.name}", code="publication.moved"
                    )
                await connection.execute(_sql.move_cursor, *key, page.cursor, begun)
            if not page.orders:
                break
            cursor = page.cursor
        self._imported_at = begun

    async def _take(self, order: ChannelOrder, known: Mapping[str, Item]) -> None:
        sign = 1 if order.kind is ChannelOrderKind.PLACED else -1
        async with self._store.transaction() as connection:
            new = await self._insert(connection, order, known, sign)
            if not new:
                return
            ours = [line for line in order.lines if line.sku in known]
            items = [known[line.sku].item for line in ours]
            counted = sorted(zip(items, [sign * line.quantity for line in ours], strict=True))
            for item, quantity in counted:
                await connection.execute(_sql.count_sold, self._tenant, self._channel.name, [item], [quantity])
            if order.kind is ChannelOrderKind.CANCELLED:
                await self._give_back(connection, order)
                return
            units = {line.line: unit_of(known[line.sku], self._channel.selling_unit) for line in ours}
            given = await self._promise(
                connection, _in_base_units(order, units), {line.line: known[line.sku] for line in ours}
            )
            promised = {line: amount // units[line] for line, amount in given.items()}
            lines = sorted(promised)
            await connection.execute(
                _sql.mark_promised,
                self._tenant,
                self._channel.name,
                order.event,
                lines,
                [promised[line] for line in lines],
            )
            short = [line for line in order.lines if promised.get(line.line, 0) < line.quantity]
            if self._account is not None:  # what lacks of an order is told by whoever took it
                short = [line for line in short if line.sku not in known]
            if short:
                await log.append(connection, [self._oversold(order, short, promised)])

    async def _promise(self, connection: Connection, order: ChannelOrder, items: Mapping[int, Item]) -> dict[int, int]:
        if self._taker is None or self._account is None:
            return await self._promiser.promise(connection, order, items)
        given = await self._taker.take_channel_order(connection, account=self._account, order=order, items=items)
        return {line: int(amount) for line, amount in given.items()}

    async def _give_back(self, connection: Connection, order: ChannelOrder) -> None:
        taken = (
            self._taker is not None
            and self._account is not None
            and await self._taker.give_up_channel_order(connection, account=self._account, order=order)
        )
        if not taken:  # or sold before its channel's orders had an account
            await self._promiser.give_back(connection, order)

    async def _insert(
        self, connection: Connection, order: ChannelOrder, known: Mapping[str, Item], sign: int
    ) -> Sequence[asyncpg.Record]:
        lines = order.lines
        return await connection.fetch(
            _sql.insert_sale,
            self._tenant,
            self._channel.name,
            order.event,
            order.reference,
            order.at,
            [line.line for line in lines],
            [known[line.sku].item if line.sku in known else None for line in lines],
            [line.sku for line in lines],
            [sign * line.quantity for line in lines],
            [line.version for line in lines],
        )

    def _oversold(self, order: ChannelOrder, short: Sequence[ChannelOrderLine], promised: Mapping[int, int]) -> Event:
        lines = [
            {"line": line.line, "sku": line.sku, "sold": line.quantity, "promised": promised.get(line.line, 0)}
            for line in short
        ]
        return Event(
            tenant=self._tenant,
            type="channel.oversold",
            aggregate=f"channel_order/{self._channel.name}/{order.reference}",
            aggregate_version=1,
            occurred_at=self._clock.now(),
            data={"channel": self._channel.name, "reference": order.reference, "lines": lines},
            correlation_id=f"{self._channel.name}/{order.reference}",
        )


def _in_base_units(order: ChannelOrder, units: Mapping[int, int]) -> ChannelOrder:
    """The order with quantities and prices of base units; a price that does not come out is exact to 8 decimals."""
    return replace(order, lines=tuple(_line_in_base_units(line, units.get(line.line, 1)) for line in order.lines))


def _line_in_base_units(line: ChannelOrderLine, unit: int) -> ChannelOrderLine:
    if unit == 1:
        return line
    price = None if line.unit_price is None else (line.unit_price / unit).quantize(_PRICE).normalize()
    return replace(line, quantity=line.quantity * unit, unit_price=price)
