"""Reorder points: told once when an item falls to its point at a place, and once when it has recovered.

Availability changes often around a point, so what was told stands until stock is above `recovers_above`. Without
reorder points nobody listens.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.events import Event, Recorded
from gateway.store import log
from process_apis.procure_to_pay.options import ReorderPoint
from process_apis.procure_to_pay.records import sql

_HELD: Final = ("reserved", "allocated", "external")


class Replenishing:
    """Hears what is available where, for the items that have a reorder point."""

    def __init__(self, items: ResolvesItems, points: Sequence[ReorderPoint]) -> None:
        self._items = items
        self._points = {(each.location, each.sku): each for each in points}
        self._locations = frozenset(each.location for each in points)

    def subscriptions(self) -> list[Subscription]:
        """None without reorder points."""
        if not self._points:
            return []
        types = frozenset({"availability.changed"})
        return [Subscription(name="procure_to_pay.replenishing", types=types, handler=self.on_change)]

    async def on_change(self, connection: Connection, recorded: Recorded) -> None:
        """Tell a threshold that was crossed, in this transaction; a line's older news changes nothing."""
        tenant, data = recorded.event.tenant, recorded.event.data
        if data["location"] not in self._locations:
            return
        item = (await self._items.by_id(tenant, [data["item"]])).get(data["item"])
        point = None if item is None else self._points.get((data["location"], item.sku))
        if point is None:
            return
        key = (tenant, data["item"], data["location"], data["owner"])
        available = available_of(data)
        breached = is_breached(point, available, was=bool(await connection.fetchval(sql.level_of, *key)))
        row = await connection.fetchrow(sql.note_level, *key, breached, data["version"])
        if row is None or not row["changed"]:
            return
        told = {
            "item": data["item"], "location": data["location"], "owner": data["owner"], "available": available,
            "point": point.point,
        }  # fmt: skip
        event = Event(
            tenant=tenant,
            type="replenishment.threshold_breached" if breached else "replenishment.recovered",
            aggregate=f"replenishment/{'/'.join(key[1:])}",
            aggregate_version=row["version"],
            occurred_at=recorded.event.occurred_at,
            data=told,
            correlation_id=recorded.event.correlation_id,
            causation_id=str(recorded.position.event),
        )
        await log.append(connection, [event])


def available_of(figures: dict[str, Any]) -> Decimal:
    """What is not promised of a stock line, by its event."""
    held = sum((Decimal(figures[name]) for name in _HELD), Decimal(0))
    return Decimal(figures["sellable"]) - held


def is_breached(point: ReorderPoint, available: Decimal, *, was: bool) -> bool:
    """With hysteresis: at the point or below it is; in between it stays what it was."""
    if available <= point.point:
        return True
    recovers = point.point if point.recovers_above is None else point.recovers_above
    return was and available <= recovers
