"""Shipments that a warehouse made, told to Tryton: quantities set, assigned, picked, packed, done.

``shipment.reference`` holds our posting id, written together with the quantities in one request; from then on a
repeated call finds the shipment and goes on from the state it is in. Tryton makes the shipment of the remainder
itself, as a task after the request; where that task was lost with a crash or still waits, processing the sale again
makes it. Goods that left have left: where Tryton finds too little stock, assignment is forced.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateway.kernel.errors import Conflict, NotFound, Unavailable
from system_apis.tryton import mapping, wire
from system_apis.tryton.client import CHANGED_MEANWHILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.canonical.order import ShipmentLine, SystemShipment
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.orders import Found, Orders

_OPEN: Final = frozenset({"draft", "waiting", "assigned"})
_CLOSED: Final = frozenset({"done", "cancelled"})
_MOST_STEPS: Final = 10


def planned(shipment: wire.Shipment, lines: Mapping[str, int]) -> dict[int, Decimal]:
    """Base units by our line that leave if the shipment goes on as it is; zeros are left out."""
    amounts: dict[int, Decimal] = defaultdict(Decimal)
    for move, line in _moves_to_pick(shipment, lines):
        amounts[line] += move.internal_quantity
    return _without_zeros(amounts)


def _moves_to_pick(shipment: wire.Shipment, lines: Mapping[str, int]) -> list[tuple[wire.Move, int]]:
    """The moves a picker works on, with our line: from storage to output, or the outgoing ones where these are one."""
    outgoing = {f"{mapping.MOVE},{move.id}": lines.get(move.origin or "") for move in shipment.outgoing}
    if shipment.inventory:
        found = [(move, outgoing.get(move.origin or "")) for move in shipment.inventory]
    else:
        found = [(move, lines.get(move.origin or "")) for move in shipment.outgoing]
    return [(move, line) for move, line in found if line is not None and move.state != "cancelled"]


def covers(shipment: wire.Shipment, lines: Mapping[str, int], wanted: Mapping[int, Decimal]) -> bool:
    """Whether the shipment holds at least what was shipped, line by line, by what leaves the output zone."""
    held: dict[int, Decimal] = defaultdict(Decimal)
    for move in shipment.outgoing:
        line = lines.get(move.origin or "")
        if line is not None and move.state != "cancelled":
            held[line] += move.internal_quantity
    return all(held[line] >= amount for line, amount in wanted.items())


def quantities(shipment: wire.Shipment, lines: Mapping[str, int], wanted: Mapping[int, Decimal]) -> dict[str, object]:
    """What to write so that the shipment holds exactly `wanted`; a line that is not named ships nothing."""
    left = dict(wanted)
    changes: list[tuple[str, list[int], dict[str, float]]] = []
    for move, line in _moves_to_pick(shipment, lines):
        if move.quantity != move.internal_quantity:
            raise Conflict(
                f"shipment {shipment.number} counts {move.product.code} in another unit than its own: post it by hand",
                code="erp.unit_mismatch",
            )
        amount = min(left.get(line, Decimal(0)), move.quantity)
        left[line] = left.get(line, Decimal(0)) - amount
        if amount != move.quantity:
            changes.append(("write", [move.id], {"quantity": mapping.to_float(amount)}))
    return {"inventory_moves" if shipment.inventory else "outgoing_moves": changes} if changes else {}


class Postings:
    """Part of the adapter: what `PostsShipments` asks for."""

    def __init__(self, client: Client, directory: Directory, orders: Orders) -> None:
        self._client = client
        self._directory = directory
        self._orders = orders

    async def find(self, call: Call, reference: str, posting: str) -> SystemShipment | None:
        """The finished shipment of this posting; None while there is none, or it is under way."""
        found = await self._order(call, reference)
        shipment = await self._of(call, posting, found)
        if shipment is None or shipment.state != "done":
            return None
        return mapping.system_shipment(shipment, mapping.sequence_by_line(found.sales))

    async def post(
        self, call: Call, reference: str, posting: str, location: str, lines: Sequence[ShipmentLine]
    ) -> SystemShipment:
        """Book the shipment; repeated with the same posting it goes on where it stopped."""
        found = await self._order(call, reference)
        numbers = mapping.sequence_by_line(found.sales)
        wanted: dict[int, Decimal] = defaultdict(Decimal)
        for line in lines:
            wanted[line.line] += line.amount
        shipment = await self._of(call, posting, found)
        if shipment is None:
            shipment = await self._chosen(call, found, reference, location, wanted)
        for _ in range(_MOST_STEPS):
            if shipment.state == "done":
                return _as_posted(mapping.system_shipment(shipment, numbers), posting, wanted)
            try:
                await self._step(call, shipment, posting, wanted, numbers)
            except Unavailable as busy:
                if busy.code != CHANGED_MEANWHILE:
                    raise
            shipment = await self._read(call, shipment.id)
        raise Conflict(
            f"shipment {shipment.number} stays {shipment.state} in Tryton: look what holds it",
            code="erp.shipment_stuck",
        )

    async def _chosen(
        self, call: Call, found: Found, reference: str, location: str, wanted: Mapping[int, Decimal]
    ) -> wire.Shipment:
        try:
            return _choose(found, reference, location, wanted)
        except Conflict as conflict:
            behind = [sale.id for sale in found.sales if sale.state == "processing"]
            if conflict.code != "erp.shipment_exceeds_order" or not behind:
                raise
            await self._orders.press(call, wire.Sale.MODEL, "process", behind)
            return _choose(await self._order(call, reference), reference, location, wanted)

    async def _step(
        self,
        call: Call,
        shipment: wire.Shipment,
        posting: str,
        wanted: Mapping[int, Decimal],
        numbers: Mapping[str, int],
    ) -> None:
        as_told = planned(shipment, numbers) == _without_zeros(wanted)
        ours = shipment.reference == posting
        match shipment.state:
            case "draft":
                await self._press(call, "wait", shipment)
            case "assigned" if not (as_told and ours):
                await self._press(call, "wait", shipment)
            case "waiting" if not (as_told and ours):
                await self._claim(call, shipment, posting, wanted, numbers)
            case "waiting":
                await self._assign(call, shipment)
            case "assigned" if shipment.inventory:
                await self._press(call, "pick", shipment)
            case "assigned" | "picked":
                await self._press(call, "pack", shipment)
            case "packed" | "shipped":
                await self._press(call, "do", shipment)
            case _:
                raise Conflict(
                    f"shipment {shipment.number} of posting {posting} is {shipment.state} in Tryton: reopen it there",
                    code="erp.shipment_state",
                )

    async def _claim(
        self,
        call: Call,
        shipment: wire.Shipment,
        posting: str,
        wanted: Mapping[int, Decimal],
        numbers: Mapping[str, int],
    ) -> None:
        if any(move.state != "draft" for move, _ in _moves_to_pick(shipment, numbers)) or not _fits(
            shipment, numbers, wanted
        ):
            # Whole again: picking moves as many as the outgoing ones, unassigned.
            await self._press(call, "wait", shipment)
            shipment = await self._read(call, shipment.id)
        values = {"reference": posting, **quantities(shipment, numbers, wanted)}
        context = {**await self._directory.context(call), "_timestamp": _stamp(shipment)}
        await self._client.write(call, f"model.{wire.Shipment.MODEL}.write", [shipment.id], values, context=context)

    async def _assign(self, call: Call, shipment: wire.Shipment) -> None:
        await self._press(call, "assign_try", shipment)
        if (await self._read(call, shipment.id)).state == "waiting":
            await self._press(call, "assign_force", shipment)

    async def _order(self, call: Call, reference: str) -> Found:
        found = await self._orders.found(call, reference)
        if not found.sales:
            raise NotFound(f"Tryton has no order {reference}", code="erp.order_not_found")
        return found

    async def _of(self, call: Call, posting: str, order: Found) -> wire.Shipment | None:
        found = await self._directory.rows(call, wire.Shipment, [("reference", "=", posting)])
        if len(found) > 1:
            raise Conflict(f"Tryton has posting {posting} twice: cancel the younger", code="erp.twin_postings")
        if found and found[0].id not in {row.id for row in order.shipments}:
            raise Conflict(f"posting {posting} belongs to another order in Tryton", code="erp.posting_differs")
        return found[0] if found else None

    async def _read(self, call: Call, number: int) -> wire.Shipment:
        found = await self._directory.rows(call, wire.Shipment, [("id", "=", number)])
        if not found:
            raise Conflict(f"shipment {number} was deleted in Tryton meanwhile", code="erp.shipment_state")
        return found[0]

    async def _press(self, call: Call, button: str, shipment: wire.Shipment) -> None:
        await self._orders.press(call, wire.Shipment.MODEL, button, [shipment.id], _timestamp=_stamp(shipment))


def _choose(order: Found, reference: str, location: str, wanted: Mapping[int, Decimal]) -> wire.Shipment:
    """The shipment that a new posting is booked on."""
    numbers = mapping.sequence_by_line(order.sales)
    here = [row for row in order.shipments if row.warehouse.code == location and row.state not in _CLOSED]
    for row in here:
        if row.reference:
            raise Conflict(
                f"posting {row.reference} of {reference} is not finished in Tryton: finish it first",
                code="erp.posting_in_progress",
            )
    for row in here:
        if row.state in _OPEN and covers(row, numbers, wanted):
            return row
    states = ", ".join(f"{row.number} {row.state}" for row in here) or "none"
    raise Conflict(
        f"Tryton has no open shipment of {reference} at {location} with this much (there: {states}): compare them",
        code="erp.shipment_exceeds_order",
    )


def _as_posted(shipment: SystemShipment, posting: str, wanted: Mapping[int, Decimal]) -> SystemShipment:
    """`shipment`, unless it says something else than the posting did: one id, one content."""
    told: dict[int, Decimal] = defaultdict(Decimal)
    for line in shipment.lines:
        told[line.line] += line.amount
    if _without_zeros(told) != _without_zeros(wanted):
        raise Conflict(
            f"Tryton booked posting {posting} with other quantities as shipment {shipment.number}: compare them",
            code="erp.posting_differs",
        )
    return shipment


def _without_zeros(amounts: Mapping[int, Decimal]) -> dict[int, Decimal]:
    return {line: amount for line, amount in amounts.items() if amount}


def _fits(shipment: wire.Shipment, lines: Mapping[str, int], wanted: Mapping[int, Decimal]) -> bool:
    there = planned(shipment, lines)
    return all(there.get(line, Decimal(0)) >= amount for line, amount in wanted.items())


def _stamp(shipment: wire.Shipment) -> dict[str, str | None]:
    return {f"{wire.Shipment.MODEL},{shipment.id}": shipment.timestamp}
