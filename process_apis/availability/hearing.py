"""When each source was last heard: what the age of a figure is measured from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.canonical.capabilities import Connection
from gateway.kernel.clock import Clock
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)


async def hear(connection: Connection, tenant: str, sources: Sequence[str], clock: Clock) -> None:
    """Note that these sources were heard now."""
    if sources:
        await connection.execute(_sql.hear, tenant, list(sources), clock.now())
