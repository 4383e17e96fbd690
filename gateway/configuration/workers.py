"""Which processes live, which version each holds, and what each refused."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.configuration.snapshots import sql

# Five missed heartbeats: a process that is only slow is still waited for, a dead one soon no longer.
LIVES_SECONDS: Final = 5.0


class Worker(Struct, frozen=True, kw_only=True):
    """One process. `version` is what it holds (0: what its settings say), `refusal` why it did not take another."""

    worker_id: str
    role: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    version: int
    refused_version: int | None
    refusal: str | None

    @property
    def called(self) -> str:
        """As people know it."""
        return f"{self.role} {self.host}/{self.pid}"

    def holds(self, version: int) -> bool:
        """Whether it has acknowledged `version`, or a later one."""
        return self.version >= version


async def living(connection: Connection) -> list[Worker]:
    """Everybody who was seen in the last five seconds."""
    return [Worker(**dict(row)) for row in await connection.fetch(sql.living, LIVES_SECONDS)]
