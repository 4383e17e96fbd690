"""Disagreements: what a channel showed that nothing explains, kept, told to the log and resolved."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from gateway.canonical.events import Event
from gateway.kernel.clock import Clock
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.channel_publication.models import Disagreement

_sql: Final = queries_beside(__file__)
_MOST_SAID: Final = 500
_log: Final = logging.getLogger(__name__)


class Disagreements:
    """Those of one channel; one is open per item at a time."""

    def __init__(self, store: Store, clock: Clock, tenant: str, channel: str) -> None:
        self._store = store
        self._clock = clock
        self._key = (tenant, channel)

    async def tell(self, found: Disagreement, *, why: str = "") -> None:
        """Keep it, and tell the log unless one about the same item is open; `why` is what the channel said of it."""
        tenant, channel = self._key
        async with self._store.transaction() as connection:
            number = await connection.fetchval(
                _sql.raise_disagreement,
                *self._key,
                found.item,
                found.sku,
                found.cause,
                found.expected,
                found.found,
                why[:_MOST_SAID],
            )
            if number is None:
                return
            data = {
                "channel": channel,
                "item": found.item,
                "sku": found.sku,
                "cause": found.cause,
                "expected": found.expected,
                "found": found.found,
            }
            event = Event(
                tenant=tenant,
                type="channel.disagreed",
                aggregate=f"channel_figure/{channel}/{found.item}",
                aggregate_version=number,
                occurred_at=self._clock.now(),
                data=data,
                correlation_id=f"{channel}/{found.sku}",
            )
            await log.append(connection, [event])
        _log.warning(
            "%s disagrees about %s: %s, expected %s, found %s %s",
            channel,
            found.sku,
            found.cause,
            found.expected,
            found.found,
            why,
        )

    async def still(self, items: Sequence[str]) -> None:
        """What was looked at again and is as far apart as before."""
        await self._store.execute(_sql.still_apart, *self._key, list(items))

    async def resolve(self, items: Sequence[str]) -> None:
        """What is published again, or as it should be, is resolved."""
        await self._store.execute(_sql.resolve, *self._key, list(items))
