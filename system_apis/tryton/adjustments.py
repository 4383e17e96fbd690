"""Corrections of Tryton's stock: an internal shipment of one product between lost and found and a warehouse's storage.

``reference`` holds our posting id, written when it is made. It moves the difference, whatever Tryton has by then, and
nothing before its last button: several drafts of one posting (an answer was lost) do no harm, the eldest is moved on
and the others are cancelled. What is missing is missing: where Tryton finds too little to take away, it is forced. An
inventory would be more usual, but lets nobody set its number.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateway.canonical.reconciliation import SystemAdjustment
from gateway.kernel.errors import Conflict, Misconfigured, Rejected, Unavailable
from system_apis.tryton import mapping, wire
from system_apis.tryton.client import CHANGED_MEANWHILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.orders import Orders

_NEXT: Final = {"request": "draft", "draft": "wait", "waiting": "assign_try", "assigned": "do"}
_MOST_STEPS: Final = 10


class Adjustments:
    """Part of the adapter: what `PostsAdjustments` asks for. `units` leads from Tryton's unit symbols to ours."""

    def __init__(self, client: Client, directory: Directory, orders: Orders, units: Mapping[str, str]) -> None:
        self._client = client
        self._directory = directory
        self._orders = orders
        self._units = units

    async def find(self, call: Call, posting: str) -> SystemAdjustment | None:
        """The finished one; None also while it is under way, for then `post` finishes it."""
        done = [each for each in await self._all(call, posting) if each.state == "done"]
        return _as_booked(done, posting) if done else None

    async def post(
        self, call: Call, posting: str, location: str, code: str, amount: Decimal, uom: str
    ) -> SystemAdjustment:
        """Book the correction; repeated with the same posting it goes on where it stopped."""
        known = await self._all(call, posting)
        if not known:
            await self._create(call, posting, location, code, amount, uom)
            known = await self._all(call, posting)
        if done := [each for each in known if each.state == "done"]:
            return _as_booked(done, posting)
        if not known:
            raise Conflict(f"somebody took correction {posting} away in Tryton", code="erp.changed_meanwhile")
        moved = await self._moved_on(call, known[0], posting)
        if others := [each.id for each in known[1:]]:
            await self._orders.press(call, wire.Correction.MODEL, "cancel", others)
        return _as_booked([moved], posting)

    async def _create(self, call: Call, posting: str, location: str, code: str, amount: Decimal, uom: str) -> None:
        product = (await self._directory.products(call, [code]))[code]
        unit = product.default_uom
        if mapping.unit_code(unit.symbol, self._units) != uom:
            raise Rejected(
                f"Tryton counts {code} in {unit.symbol}, and the correction is in {uom}: correct it there",
                code="erp.unit_mismatch",
            )
        warehouse = await self._directory.warehouse(call, location)
        (losses,) = await self._directory.rows(call, wire.Losses, [("id", "=", warehouse.id)])
        if losses.lost_found_location is None:
            raise Misconfigured(
                f"warehouse {location} has no lost and found location in Tryton: name one there", code="erp.lost_found"
            )
        ways = [losses.lost_found_location, warehouse.storage_location]
        origin, target = ways if amount > 0 else reversed(ways)
        context = await self._directory.context(call)
        move = {"product": product.id, "unit": unit.id, "quantity": mapping.to_float(abs(amount))}
        sides = {"from_location": origin, "to_location": target, "company": context["company"]}
        values = {"reference": posting, **sides, "moves": [("create", [{**move, **sides}])]}
        await self._client.write(call, f"model.{wire.Correction.MODEL}.create", [values], context=context)

    async def _moved_on(self, call: Call, correction: wire.Correction, posting: str) -> wire.Correction:
        before = ""
        for _ in range(_MOST_STEPS):
            if correction.state == "done":
                return correction
            button = _NEXT.get(correction.state)
            if button is None:
                raise Conflict(
                    f"correction {posting} is {correction.state} in Tryton: finish or cancel it there",
                    code="erp.adjustment_state",
                )
            if (before, correction.state) == ("assign_try", "waiting"):
                button = "assign_force"
            try:
                await self._orders.press(
                    call, wire.Correction.MODEL, button, [correction.id], _timestamp=_stamp(correction)
                )
            except Unavailable as busy:
                if busy.code != CHANGED_MEANWHILE:
                    raise
            before = button
            correction = await self._read(call, correction.id, posting)
        raise Conflict(
            f"correction {posting} stays {correction.state} in Tryton: look what holds it", code="erp.adjustment_stuck"
        )

    async def _read(self, call: Call, number: int, posting: str) -> wire.Correction:
        found = await self._directory.rows(call, wire.Correction, [("id", "=", number)])
        if not found:
            raise Conflict(f"somebody took correction {posting} away in Tryton", code="erp.changed_meanwhile")
        return found[0]

    async def _all(self, call: Call, posting: str) -> list[wire.Correction]:
        domain = [("reference", "=", posting), ("state", "!=", "cancelled")]
        return await self._directory.rows(call, wire.Correction, domain)


def _as_booked(done: Sequence[wire.Correction], posting: str) -> SystemAdjustment:
    if len(done) > 1:
        raise Conflict(f"Tryton booked correction {posting} twice: take one back there", code="erp.twin_postings")
    moves = [move for move in done[0].moves if move.state != "cancelled"]
    found = done[0].from_location.type == "lost_found"
    amount = sum((move.internal_quantity for move in moves), Decimal(0))
    return SystemAdjustment(number=done[0].number or posting, amount=amount if found else -amount)


def _stamp(correction: wire.Correction) -> dict[str, str | None]:
    return {f"{wire.Correction.MODEL},{correction.id}": correction.timestamp}
