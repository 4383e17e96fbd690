"""Events in, figures to reckon out: in the transaction that moves the consumer's position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)


def subscriptions(channels: Sequence[str]) -> list[Subscription]:
    """Who listens to the log for `channels`; nobody where none is published."""
    if not channels:
        return []
    names = list(channels)

    async def mark(connection: Connection, recorded: Recorded) -> None:
        event = recorded.event
        await connection.execute(_sql.changed, event.tenant, names, event.data["item"], recorded.recorded_at)

    return [
        Subscription(name="channel_publication", types=frozenset({"availability.changed"}), handler=mark, ordered=False)
    ]
