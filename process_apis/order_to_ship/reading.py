"""Reading orders and exceptions: from the record, by tenant and, for partners, their own only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import TellsReturned
from gateway.canonical.events import Recorded
from gateway.canonical.order import OrderState
from gateway.canonical.reconciliation import BookedOrder, BookedShipment, UnpostedLine
from gateway.kernel.errors import NotFound
from gateway.kernel.money import Money
from gateway.store.log_reader import LogReader
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.freight_rules import degraded
from process_apis.order_to_ship.models import ExceptionClass, Order, OrderException, OrderSummary, Progress
from process_apis.order_to_ship.records import load, sql
from process_apis.order_to_ship.rules import FINAL, with_returned
from process_apis.order_to_ship.steps import is_going_back

_unposted: Final = queries_beside(__file__, "unposted_queries.sql")


class Reading:
    """Queries; none of them locks anything."""

    def __init__(self, store: Store, returned: TellsReturned | None = None) -> None:
        self._store = store
        self._returned = returned
        self._log = LogReader()

    async def order(self, tenant: str, order_id: str, partner: str | None) -> Order:
        """One order, or `NotFound` (``order.not_found``), which a partner also gets for somebody else's."""
        async with self._store.connection() as connection:
            found = await load(connection, order_id, tenant=tenant, partner=partner)
            if found is None:
                raise NotFound(f"there is no order {order_id}", code="order.not_found")
            if self._returned is None or not any(line.shipped for line in found.lines):
                return found
            returned = await self._returned.returned(connection, order=order_id)
        return replace(found, lines=with_returned(found.lines, returned)) if returned else found

    async def orders(
        self, tenant: str, *, partner: str | None, state: OrderState | None, before: str | None, limit: int
    ) -> Sequence[OrderSummary]:
        """The newest first; `before` is the last order id of the page before."""
        rows = await self._store.fetch(sql.list_orders, tenant, partner, state, before, limit)
        return [
            OrderSummary(
                order_id=row["order_id"],
                external_number=row["external_number"],
                release=row["release"],
                channel=row["channel"],
                partner=row["partner"],
                sold_to=row["sold_to"],
                state=OrderState(row["state"]),
                total=Money(row["total"], row["currency"]),
                placed_at=row["placed_at"],
                version=row["version"],
            )
            for row in rows
        ]

    async def progress(self, tenant: str, order_id: str, partner: str | None) -> Progress:
        """Where an order is, what it waits for and what is wrong with it."""
        order = await self.order(tenant, order_id, partner)
        return Progress(
            order_id=order_id,
            state=order.state,
            final=order.state in FINAL,
            cancelling=is_going_back(order) and order.state not in FINAL,
            tasks=order.tasks,
            rework=order.rework,
            due_at=await self._store.fetchval(sql.due_at, order_id),
            exceptions=tuple(await self.exceptions(tenant, state="open", order_id=order_id)),
            degraded=degraded(order),
        )

    async def history(self, tenant: str, order_id: str, partner: str | None) -> tuple[Order, Sequence[Recorded]]:
        """The order and everything that happened to it, oldest first."""
        order = await self.order(tenant, order_id, partner)
        async with self._store.connection() as connection:
            return order, await self._log.read_aggregate(connection, tenant, order_id)

    async def exceptions(
        self,
        tenant: str,
        *,
        state: str | None = None,
        order_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> Sequence[OrderException]:
        """The newest first; `before` is the last exception id of the page before."""
        rows = await self._store.fetch(sql.list_exceptions, tenant, state, order_id, before, limit)
        return [exception_of(row) for row in rows]

    async def unposted(self, tenant: str, locations: Sequence[str]) -> Sequence[UnpostedLine]:
        """See `TellsUnposted`."""
        return [
            UnpostedLine(**dict(row)) for row in await self._store.fetch(_unposted.unposted, tenant, list(locations))
        ]

    async def booked(
        self,
        tenant: str,
        *,
        after: str,
        since: datetime,
        until: datetime,
        limit: int,
        orders: Sequence[str] | None = None,
    ) -> Sequence[BookedOrder]:
        """See `TellsBooked`."""
        rows = await self._store.fetch(_unposted.booked, tenant, after, since, until, limit, orders)
        return [
            BookedOrder(
                order=row["order"],
                system=row["system"],
                number=row["number"],
                gone=row["gone"],
                shipments=msgspec.json.decode(row["shipments"], type=tuple[BookedShipment, ...], strict=False),
                prices=msgspec.json.decode(row["prices"], type=dict[int, Decimal], strict=False),
            )
            for row in rows
        ]


def exception_of(row: Any) -> OrderException:
    """A row of the exceptions."""
    fields = {name: row[name] for name in OrderException.__struct_fields__ if name != "exception"}
    return OrderException(exception=ExceptionClass(row["class"]), **fields)
