"""What came back, for whoever shows the order."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.canonical.capabilities import Connection
from gateway.canonical.order import ReturnedLine
from process_apis.returns.records import sql


class Returned:
    """Implements `TellsReturned`."""

    async def returned(self, connection: Connection, *, order: str) -> Sequence[ReturnedLine]:
        """See `TellsReturned`."""
        return [ReturnedLine(**dict(row)) for row in await connection.fetch(sql.returned, order)]
