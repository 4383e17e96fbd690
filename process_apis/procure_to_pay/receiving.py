"""Goods in, heard from the log: a receipt that names a purchase counts once, a revision instead of what it replaces."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded, movements_told
from gateway.canonical.stock import MovementType
from process_apis.procure_to_pay.records import load, lock, sql
from process_apis.procure_to_pay.settling import Settling


class Receiving:
    """Hears movements as availability records them. Of all others than receipts nothing is asked of the record."""

    def __init__(self, settling: Settling) -> None:
        self._settling = settling

    async def on_movement(self, connection: Connection, recorded: Recorded) -> None:
        """In whatever order they come; one of an order that nobody told yet waits for it."""
        for data in movements_told(recorded.event.data):
            if data.get("replaces"):
                await self._take_back(connection, recorded, data["replaces"])
            if data["type"] == MovementType.RECEIPT_POSTED and data.get("document"):
                await self._count(connection, recorded, data)

    async def _count(self, connection: Connection, recorded: Recorded, data: dict[str, Any]) -> None:
        tenant, document = recorded.event.tenant, data["document"]
        await connection.execute(sql.lock_number, tenant, document)
        purchase = await connection.fetchval(sql.purchase_of_document, tenant, document, data["location"])
        if purchase is not None:
            await lock(connection, purchase, tenant)
        kept = await connection.fetchval(
            sql.keep_receipt, tenant, data["movement"], document, purchase, data["item"], data["location"],
            Decimal(data["amount"]), recorded.event.occurred_at,
        )  # fmt: skip
        if kept is not None and purchase is not None:
            await self._post(connection, recorded, purchase, data["item"], Decimal(data["amount"]), data["movement"])

    async def _take_back(self, connection: Connection, recorded: Recorded, movement: str) -> None:
        purchase = await connection.fetchval(sql.purchase_of_receipt, movement)
        if purchase is not None:
            await lock(connection, purchase)
        row = await connection.fetchrow(sql.take_back, movement)
        if row is not None and row["purchase"] is not None:
            await self._post(connection, recorded, row["purchase"], row["item"], -row["amount"], movement)

    async def _post(
        self, connection: Connection, recorded: Recorded, purchase: str, item: str, amount: Decimal, movement: str
    ) -> None:
        before = await load(connection, purchase)
        if before.approved_at is None:
            return
        now = await connection.fetchval(sql.now)
        told = {"item": item, "amount": amount, "movement": movement}
        await self._settling.settle(connection, before, [("goods.posted", told)], now, recorded.event.correlation_id)
