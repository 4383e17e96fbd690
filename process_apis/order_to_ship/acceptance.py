"""Accepting an order: one transaction of order, lines, claims, events, audit and the enqueued workflow.

What comes back with 201 is promised: the stock is claimed and the workflow that takes the order further exists.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import ClaimsStock, Connection, ResolvesItems
from gateway.canonical.stock import ClaimLine
from gateway.durable.enqueue import enqueue
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Unavailable
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from process_apis.order_to_ship.models import (
    ORDER_PREFIX,
    QUEUE,
    WORKFLOW,
    Allocation,
    Order,
    OrderLine,
    Placed,
    PlaceOrder,
)
from process_apis.order_to_ship.records import load, order_event, sql, write_allocations, write_lines
from process_apis.order_to_ship.rules import derive_state, fingerprint, price_lines

_FIRST_TURN: Final = 1


class _AlreadyThereError(Exception):
    """Somebody else committed an order of this identity first; ends our transaction."""


class Acceptance:
    """Takes orders of pre-commit channels: they are promised in full, or refused."""

    def __init__(self, store: Store, clock: Clock, items: ResolvesItems, claims: ClaimsStock) -> None:
        self._store = store
        self._clock = clock
        self._items = items
        self._claims = claims

    async def place(self, command: PlaceOrder) -> Placed:
        """Accept the order, or return the one that this identity and content already made.

        Raises `Conflict` (``order.lines_invalid``; ``order.number_reused``: the identity is taken by other content;
        ``stock.insufficient``: nothing was promised).
        """
        content = fingerprint(command)
        try:
            order = await self._draft(command)
        except Conflict:
            # What was accepted once stays accepted, whatever became of its items since.
            if (known := await self._known(command, content)) is None:
                raise
            return Placed(order=known, created=False)
        try:
            async with self._store.transaction() as connection:
                order = await self._accept(connection, command, order, content)
        except _AlreadyThereError:
            if (known := await self._known(command, content)) is None:
                raise Unavailable("another request with this number was just undone; try again") from None
            return Placed(order=known, created=False)
        return Placed(order=order, created=True)

    async def recall(self, command: PlaceOrder) -> Order | None:
        """The order that this command made, None when it is certain that it made none.

        Waits for a transaction of this identity that is still under way, by asking for the place it would take.
        """
        content = fingerprint(command)
        draft = self._draft_without_lines(command)
        async with self._store.connection() as connection:
            trial = connection.transaction()
            await trial.start()
            try:
                await self._insert(connection, draft, content)
            finally:
                await trial.rollback()
        try:
            return await self._known(command, content)
        except Conflict:
            return None

    async def _known(self, command: PlaceOrder, content: bytes) -> Order | None:
        async with self._store.connection() as connection:
            row = await connection.fetchrow(
                sql.find_by_identity,
                command.caller.tenant,
                command.channel,
                command.sold_to,
                command.external_number,
                command.release,
            )
            if row is None:
                return None
            if row["fingerprint"] != content:
                raise Conflict(
                    f"number {command.external_number} already names another order: send the same content again, "
                    "or another number",
                    code="order.number_reused",
                    context={"order": row["order_id"]},
                )
            return await load(connection, row["order_id"])

    async def _draft(self, command: PlaceOrder) -> Order:
        tenant = command.caller.tenant
        ids = [line.item for line in command.lines if line.item]
        skus = [line.sku for line in command.lines if line.sku and not line.item]
        by_id = await self._items.by_id(tenant, ids) if ids else {}
        by_sku = await self._items.by_sku(tenant, skus) if skus else {}
        lines, total = price_lines(command, by_id, by_sku)
        return replace(self._draft_without_lines(command), lines=lines, total=total)

    def _draft_without_lines(self, command: PlaceOrder) -> Order:
        return Order(
            order_id=new_id(ORDER_PREFIX),
            tenant=command.caller.tenant,
            channel=command.channel,
            partner=command.partner,
            sold_to=command.sold_to,
            external_number=command.external_number,
            release=command.release,
            currency=command.currency,
            ship_to=command.ship_to,
            requested_date=command.requested_date,
            total=Decimal(0),
            placed_at=self._clock.now(),
            correlation_id=command.caller.correlation_id,
            lines=(),
        )

    async def _accept(self, connection: Connection, command: PlaceOrder, order: Order, content: bytes) -> Order:
        """Everything in the caller's transaction; the claims last, because they lock stock that others wait for."""
        if not await self._insert(connection, order, content):
            raise _AlreadyThereError
        await write_lines(connection, order.order_id, order.lines)
        await record_audit(
            connection,
            tenant=order.tenant,
            actor=command.caller.principal.subject,
            action="order.place",
            subject=order.order_id,
            outcome="accepted",
            correlation_id=order.correlation_id,
        )
        await enqueue(
            connection, workflow=WORKFLOW, workflow_id=order.order_id, args=[order.order_id, _FIRST_TURN], queue=QUEUE
        )
        claimed = await self._claims.claim(
            connection,
            tenant=order.tenant,
            action=f"{order.order_id}:claim",
            order=order.order_id,
            channel=order.channel,
            lines=[ClaimLine(line=line.line, item=line.item, amount=line.ordered) for line in order.lines],
            correlation_id=order.correlation_id,
        )
        parts = tuple(
            Allocation(line=part.line, location=part.location, claim=part.claim, amount=part.amount) for part in claimed
        )
        order = replace(order, allocations=parts)
        order = replace(order, state=derive_state(order))
        await write_allocations(connection, order.order_id, parts)
        accepted = order_event(order, "order.accepted", order.version, order.placed_at, _told(order))
        await log.append(connection, [accepted])
        return order

    async def _insert(self, connection: Connection, order: Order, content: bytes) -> bool:
        inserted = await connection.fetchval(
            sql.insert_order, order.order_id, order.tenant, order.channel, order.partner, order.sold_to,
            order.external_number, order.release, content, order.currency, msgspec.json.encode(order.ship_to).decode(),
            order.requested_date, order.total, order.placed_at, order.correlation_id, "promised",
        )  # fmt: skip
        return inserted is not None


def _told(order: Order) -> dict[str, Any]:
    return {
        "total": {"amount": plain(order.total), "currency": order.currency},
        "lines": [_told_line(line) for line in order.lines],
    }


def _told_line(line: OrderLine) -> dict[str, Any]:
    return {"line": line.line, "item": line.item, "sku": line.sku, "amount": plain(line.ordered), "uom": line.uom}
