"""What follows when something was said of a purchase: it is weighed anew, its supply told, its events written.

In the transaction of whoever said it, under the purchase's lock. Locks: the purchase, then (supply) its source and the
stock lines that it comes to, as availability takes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, KeepsSupply
from gateway.canonical.stock import OrderKey, ReportedSupply
from process_apis.procure_to_pay.models import InvoiceStanding, KeptNeed, Purchase, PurchaseState, Standing, SupplyPart
from process_apis.procure_to_pay.options import PurchaseTolerances
from process_apis.procure_to_pay.posting import Booking
from process_apis.procure_to_pay.records import load_facts, save_told
from process_apis.procure_to_pay.rules import stand

_PART: Final = 10_000_000
_ZERO: Final = Decimal(0)
_CAME: Final = (PurchaseState.PARTLY_RECEIVED, PurchaseState.RECEIVED, PurchaseState.MATCHED)
Told = Sequence[tuple[str, Mapping[str, Any]]]


class Settling:
    """Brings purchases to where their facts say they stand."""

    def __init__(self, supply: KeepsSupply, tolerances: PurchaseTolerances, booking: Booking | None = None) -> None:
        self._supply = supply
        self._tolerances = tolerances
        self._booking = booking

    async def settle(
        self, connection: Connection, purchase: Purchase, told: Told, now: datetime, correlation: str
    ) -> Purchase:
        """Weigh a locked purchase anew and write it, with the events `told` and those that follow."""
        before = purchase.standing
        facts = await load_facts(connection, purchase.purchase)
        standing = stand(purchase, facts, self._tolerances)
        if self._booking is not None:
            by_hand = await self._booking.write_due(connection, purchase, standing, facts, now)
            standing = replace(standing, needs=(*standing.needs, *by_hand))
        after = _dated(replace(purchase, standing=standing, state=standing.state), now)
        known = {each.need.key: each.raised_at for each in purchase.needs}
        needs = tuple(KeptNeed(need=need, raised_at=known.get(need.key, now)) for need in standing.needs)
        after = replace(after, needs=needs)
        after = await self._tell_supply(connection, after, standing.supply, now)
        return await save_told(connection, after, [*told, *_verdicts(before, standing)], now, correlation)

    async def _tell_supply(
        self, connection: Connection, purchase: Purchase, parts: Sequence[SupplyPart], now: datetime
    ) -> Purchase:
        if purchase.test or tuple(parts) == purchase.supplied:
            return purchase
        # Above everything told before, and comparable with a source that numbers its versions by time.
        version = max(purchase.supply_version + 1, int(now.timestamp() * 1_000_000))
        lines, most = supply_lines(purchase, parts, version)
        await self._supply.keep_supply(connection, tenant=purchase.tenant, lines=lines)
        return replace(purchase, supplied=tuple(parts), supply_parts=most, supply_version=version)


def supply_lines(purchase: Purchase, parts: Sequence[SupplyPart], version: int) -> tuple[list[ReportedSupply], int]:
    """The parts as supply lines under the ERP's own line numbers, and how many the longest line has.

    The first part of a line bears its number, so that an ERP that tells the line itself speaks of the same; parts that
    were told before and are no more are told as nothing.
    """
    by_line: dict[int, list[SupplyPart]] = defaultdict(list)
    for part in parts:
        by_line[part.line].append(part)
    most = max((len(some) for some in by_line.values()), default=0)
    found = []
    for line in purchase.lines:
        some = by_line[line.line]
        for number in range(max(len(some), purchase.supply_parts, 1)):
            part = some[number] if number < len(some) else SupplyPart(line=line.line, amount=_ZERO)
            found.append(
                ReportedSupply(
                    source=purchase.source,
                    document=purchase.number,
                    line=line.line + number * _PART,
                    order_key=OrderKey(purchase.epoch, version),
                    source_item=line.source_item,
                    source_location=purchase.reported.source_location,
                    ordered=part.amount,
                    uom=line.base_uom,
                    requested=None if part.on is None else line.requested,
                    acknowledged=None if part.advised else part.on,
                    advised=part.on if part.advised else None,
                )
            )
    return found, max(most, purchase.supply_parts)


def _dated(purchase: Purchase, now: datetime) -> Purchase:
    """When it was first acknowledged, received and matched: what lead times are taken from."""
    standing = purchase.standing
    assert standing is not None  # noqa: S101 - the caller has just set it
    answered = any(line.answered for line in standing.lines)
    return replace(
        purchase,
        acknowledged_at=purchase.acknowledged_at or (now if answered else None),
        received_at=purchase.received_at or (now if purchase.state in _CAME else None),
        matched_at=purchase.matched_at or (now if purchase.state is PurchaseState.MATCHED else None),
    )


def _said(standing: InvoiceStanding) -> tuple[object, ...]:
    """Our verdict; how far the ERP is with it is no news of ours."""
    return standing.verdict, standing.reasons, standing.detail


def _verdicts(before: Standing | None, after: Standing) -> list[tuple[str, Mapping[str, Any]]]:
    known = {} if before is None else {each.number: each for each in before.invoices}
    found: list[tuple[str, Mapping[str, Any]]] = []
    for each in after.invoices:
        was = known.get(each.number)
        if each.verdict in ("matched", "blocked") and (was is None or _said(was) != _said(each)):
            told = {"invoice": each.number, "reasons": list(each.reasons), "detail": each.detail}
            found.append((f"invoice.{each.verdict}", told))
    return found
