"""Events in, figures to reckon and orders to tell of out: in the transaction that moves the consumer's position."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_telling: Final = queries_beside(__file__, "telling_queries.sql")
_TOGETHER: Final = 500
_CHANGES: Final = frozenset({"availability.changed", "availability.kit_changed"})
_NEWS: Final = frozenset(
    f"order.{name}"
    for name in (
        "accepted", "changed", "redated", "freight_booked", "shipment_confirmed", "shortened", "cancelled", "rejected",
    )
)  # fmt: skip


def subscriptions(channels: Sequence[str], marked: Callable[[], object] | None = None) -> list[Subscription]:
    """Who listens to the log for `channels`; nobody where none is published. `marked`: called when figures are due."""
    if not channels:
        return []
    names = list(channels)

    async def mark(connection: Connection, recorded: Recorded) -> None:
        await mark_all(connection, [recorded])

    async def mark_all(connection: Connection, events: Sequence[Recorded]) -> None:
        """One row for each item, however often it changed."""
        items: dict[str, dict[str, list[datetime]]] = defaultdict(lambda: defaultdict(list))
        for recorded in events:
            items[recorded.event.tenant][recorded.event.data["item"]].append(recorded.recorded_at)
        for tenant, changes in items.items():
            rows = [(item, len(at), min(at), max(at)) for item, at in sorted(changes.items())]
            await connection.execute(_sql.changed, tenant, names, *map(list, zip(*rows, strict=True)))

    return [
        Subscription(
            name="channel_publication",
            types=_CHANGES,
            handler=mark,
            together=mark_all,
            batch=_TOGETHER,
            ordered=False,
            afterwards=marked,
        )
    ]


def telling_subscriptions(channels: Sequence[str], marked: Callable[[], object] | None = None) -> list[Subscription]:
    """Who listens to the log for orders that `channels` sold and are told of; only what comes from now on is told."""
    if not channels:
        return []
    names = frozenset(channels)

    async def note(connection: Connection, recorded: Recorded) -> None:
        event = recorded.event
        if event.data["channel"] in names:
            await connection.execute(_telling.news, event.tenant, event.data["channel"], event.aggregate)

    return [
        Subscription(name="channel_telling", types=_NEWS, handler=note, ordered=False, from_now=True, afterwards=marked)
    ]
