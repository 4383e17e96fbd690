"""Messages that were given up, in the queue of exceptions: one trouble for each address, however many it missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "trouble_queries.sql")


class MessageTroubles:
    """`key` is the endpoint. A retry tells it all that it missed; what is let be can still be redelivered."""

    kind = "webhook"
    mended = "a message tells what happened: mend the endpoint, then retry"

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """By address, the one that was given up first at the head."""
        return [_trouble(row) for row in await connection.fetch(_sql.troubles, tenant, limit)]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Send all of it again, under its old ids."""
        await self._each(connection, caller, _sql.tell_again, key)

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:  # noqa: ARG002
        """Let the partner do without it."""
        await self._each(connection, caller, _sql.let_be, key)

    async def _each(self, connection: Connection, caller: Caller, query: str, key: str) -> None:
        if not await connection.fetch(query, caller.tenant, key):
            raise Conflict("nothing of this address waits any more: read the exception again", code="exceptions.over")


def _trouble(row: Any) -> Trouble:
    status = f"HTTP {row['last_status']}" if row["last_status"] else "no answer"
    return Trouble(
        key=row["endpoint"],
        error_class=TroubleClass.VENDOR_OUTAGE,
        effect=Effect.TELLS_LATE,
        fault_domain=row["partner"],
        code="webhook.given_up",
        detail=f"given up after {status}: {row['last_error'] or 'no reason told'}",
        about=row["endpoint"],
        count=row["messages"],
        raised_at=row["raised_at"],
        last_at=row["last_at"],
        verbs=(Verb.RETRY, Verb.IGNORE),
    )
