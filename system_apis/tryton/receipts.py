"""Goods that came in under a purchase, told to Tryton: an incoming shipment of its own moves, received, done.

``shipment.reference`` holds our id of the receipt, written when the shipment is made together with its moves and their
quantities: one request, so that a draft is whole or not there. Nothing has an effect before ``receive``. What of the
purchase is still to come Tryton makes itself, as moves without a shipment, when it processes the purchase again. More
than is open has come all the same: Tryton asks a person about that, and is told that somebody accepted it.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from gateway.canonical.purchase import SystemReceipt
from gateway.kernel.errors import Conflict, NotFound, Rejected, Unavailable
from system_apis.tryton import mapping, wire
from system_apis.tryton.client import CHANGED_MEANWHILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from gateway.canonical.capabilities import Call
    from gateway.canonical.purchase import GoodsReceipt
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.orders import Orders

LINE: Final = "purchase.line"
_NEXT: Final = {"draft": "receive", "received": "do"}
_MOST_STEPS: Final = 8
_MORE_THAN_ORDERED: Final = "check_move_quantity"


async def bought(call: Call, directory: Directory, number: str) -> wire.Bought:
    """The purchase of that number. Raises `Rejected`, `Conflict` (``erp.twin_purchases``)."""
    found = await directory.rows(call, wire.Bought, [("number", "=", number), ("state", "!=", "cancelled")])
    if not found:
        raise Rejected(f"Tryton has no live purchase {number}: it was cancelled there", code="erp.purchase_not_found")
    if len(found) > 1:
        raise Conflict(f"Tryton has several purchases numbered {number}: rename one", code="erp.twin_purchases")
    return found[0]


class Receipts:
    """Part of the adapter: what `BooksReceipts` asks for. `units` leads from Tryton's unit symbols to ours."""

    def __init__(self, client: Client, directory: Directory, orders: Orders, units: Mapping[str, str]) -> None:
        self._client = client
        self._directory = directory
        self._orders = orders
        self._units = units

    async def find(self, call: Call, receipt: str) -> SystemReceipt | None:
        """The finished one; None also while it is under way, for then `book` finishes it."""
        known = await self._known(call, receipt)
        return _as_booked(known, receipt) if known is not None and known.state == "done" else None

    async def book(self, call: Call, receipt: GoodsReceipt) -> SystemReceipt:
        """Made, received, done; goes on where an earlier call stopped."""
        wanted = _wanted(receipt)
        known = await self._known(call, receipt.receipt)
        if known is None:
            await self._create(call, receipt, wanted)
            known = await self._known(call, receipt.receipt)
        if known is None:
            raise Conflict(f"somebody took receipt {receipt.receipt} away in Tryton", code="erp.changed_meanwhile")
        for _ in range(_MOST_STEPS):
            if _held(known) != wanted:
                raise Conflict(
                    f"shipment {known.number} in Tryton bears {receipt.receipt} but other quantities: compare them",
                    code="erp.receipt_differs",
                )
            if known.state == "done":
                return _as_booked(known, receipt.receipt)
            await self._press(call, known)
            known = await self._read(call, known.id, receipt.receipt)
        raise Conflict(f"shipment {known.number} stays {known.state} in Tryton", code="erp.receipt_stuck")

    async def _create(self, call: Call, receipt: GoodsReceipt, wanted: Mapping[int, Decimal]) -> None:
        purchase = await self._processed(call, receipt.purchase)
        if purchase.warehouse is None or purchase.warehouse.code != receipt.location:
            raise Rejected(
                f"purchase {receipt.purchase} is not for warehouse {receipt.location} in Tryton: book it there",
                code="erp.receipt_location",
            )
        moves = await self._directory.rows(call, wire.Incoming, [("purchase", "=", purchase.id)])
        units = {line.line: line.uom for line in receipt.lines}
        commands: list[tuple[Any, ...]] = []
        for line, amount in wanted.items():
            commands += self._taken([move for move in moves if move.origin == f"{LINE},{line}"], line, amount, units)
        await self._client.write(
            call,
            f"model.{wire.Reception.MODEL}.create",
            [await self._head(call, purchase, receipt.receipt, receipt.received_on, commands)],
            context=await self._directory.context(call),
        )

    def _taken(
        self, moves: Sequence[wire.Incoming], line: int, amount: Decimal, units: Mapping[int, str]
    ) -> list[tuple[Any, ...]]:
        """Commands that put `amount` of a line into the shipment: its open move, or one more like those before."""
        if not moves:
            raise Rejected(f"Tryton expects no goods of purchase line {line}", code="erp.receipt_line")
        like = moves[0]
        if mapping.unit_code(like.unit.symbol, self._units) != units[line]:
            raise Rejected(
                f"Tryton counts {like.product.code} in {like.unit.symbol}, and the receipt is in {units[line]}",
                code="erp.unit_mismatch",
            )
        quantity = mapping.to_float(amount)
        free = next((move for move in moves if move.state == "draft" and move.shipment is None), None)
        if free is not None:
            return [("add", [free.id]), ("write", [free.id], {"quantity": quantity})]
        more = {
            "product": like.product.id, "unit": like.unit.id, "quantity": quantity, "origin": like.origin,
            "company": like.company, "currency": like.currency, "unit_price": like.unit_price,
            "from_location": like.from_location, "to_location": like.to_location,
        }  # fmt: skip
        return [("create", [more])]

    async def _head(
        self, call: Call, purchase: wire.Bought, receipt: str, received_on: date, moves: Sequence[tuple[Any, ...]]
    ) -> dict[str, Any]:
        assert purchase.warehouse is not None  # noqa: S101 - the caller compared it
        house = await self._directory.warehouse(call, purchase.warehouse.code or "")
        return {
            **await self._directory.context(call),
            "supplier": purchase.party,
            "warehouse": house.id,
            "warehouse_input": house.input_location,
            "warehouse_storage": house.storage_location,
            "reference": receipt,
            "effective_date": received_on,
            "incoming_moves": list(moves),
        }

    async def _processed(self, call: Call, number: str) -> wire.Bought:
        purchase = await bought(call, self._directory, number)
        if purchase.state == "confirmed":
            raise Unavailable(
                f"Tryton has not processed purchase {number} yet: its queue may be behind",
                code="erp.not_processed",
                retry_after=5.0,
            )
        if purchase.state not in ("processing", "done"):
            raise Rejected(f"purchase {number} is {purchase.state} in Tryton", code="erp.purchase_state")
        return purchase

    async def _press(self, call: Call, known: wire.Reception) -> None:
        button = _NEXT.get(known.state)
        if button is None:
            raise Conflict(f"shipment {known.number} is {known.state} in Tryton: reopen it", code="erp.receipt_state")
        stamp = {f"{wire.Reception.MODEL},{known.id}": known.timestamp}
        try:
            await self._orders.press(call, wire.Reception.MODEL, button, [known.id], _timestamp=stamp)
        except Conflict as conflict:
            warning = str(conflict.context.get("warning", ""))
            if warning.endswith(_MORE_THAN_ORDERED):
                await self._client.confirm(call, warning)
            else:
                raise
        except Unavailable as busy:
            if busy.code != CHANGED_MEANWHILE:
                raise

    async def _known(self, call: Call, receipt: str) -> wire.Reception | None:
        """The live shipment of a receipt. Of several drafts the one that got the moves counts: the others are empty."""
        domain = [("reference", "=", receipt), ("state", "!=", "cancelled")]
        found = [row for row in await self._directory.rows(call, wire.Reception, domain) if row.moves]
        if len(found) > 1:
            raise Conflict(f"Tryton has receipt {receipt} twice: cancel the younger", code="erp.twin_receipts")
        return found[0] if found else None

    async def _read(self, call: Call, number: int, receipt: str) -> wire.Reception:
        found = await self._directory.rows(call, wire.Reception, [("id", "=", number)])
        if not found:
            raise NotFound(f"somebody took receipt {receipt} away in Tryton", code="erp.changed_meanwhile")
        return found[0]


def _wanted(receipt: GoodsReceipt) -> dict[int, Decimal]:
    amounts: dict[int, Decimal] = defaultdict(Decimal)
    for line in receipt.lines:
        amounts[line.line] += line.amount
    return dict(amounts)


def _held(shipment: wire.Reception) -> dict[int, Decimal]:
    amounts: dict[int, Decimal] = defaultdict(Decimal)
    for move in shipment.moves:
        model, _, number = (move.origin or "").partition(",")
        if model == LINE and move.state != "cancelled":
            amounts[int(number)] += move.quantity
    return dict(amounts)


def _as_booked(shipment: wire.Reception, receipt: str) -> SystemReceipt:
    return SystemReceipt(number=shipment.number or receipt, state=shipment.state)
