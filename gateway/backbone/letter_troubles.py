"""Dead letters in the queue of exceptions: one trouble for each line, of which the first letter stands still.

A line is what one consumer has of one aggregate; the letters behind the first follow once it is resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.backbone.dead_letters import request_replay, resolve_dead_letter
from gateway.backbone.failures import ErrorClass
from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import OURS, Effect, Trouble, TroubleClass, Verb
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "letter_queries.sql")
_US: Final = frozenset({"internal", "log", "store", "cache", "crossdock", "backbone"})
_CLASSES: Final = {
    ErrorClass.THROTTLED: TroubleClass.THROTTLED,
    ErrorClass.OUTCOME_UNKNOWN: TroubleClass.TRANSIENT,
    ErrorClass.SEQUENCE: TroubleClass.SEQUENCE,
    ErrorClass.MAPPING: TroubleClass.MAPPING,
    ErrorClass.VALIDATION: TroubleClass.VALIDATION,
    ErrorClass.UPSTREAM: TroubleClass.VENDOR_OUTAGE,
}


class LetterTroubles:
    """`effect` says what it does to the business that a consumer, by name, set an event aside."""

    kind = "dead_letter"

    def __init__(self, effect: Callable[[str], Effect]) -> None:
        self._effect = effect

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """Every line that is held up."""
        return [self._trouble(row) for row in await connection.fetch(_sql.troubles, tenant, limit)]

    async def payload(self, connection: Connection, tenant: str, key: str) -> Mapping[str, Any] | None:
        """The data of the first event, edited or as it is in the log; None once it was pruned."""
        row = await connection.fetchrow(_sql.head, tenant, *_line(key))
        text = None if row is None else await connection.fetchval(_sql.payload, row["id"])
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Have the consumer try the first letter at once."""
        row = await self._head(connection, caller.tenant, key)
        await request_replay(connection, row["id"], actor=caller.principal.subject)

    async def edit(
        self, connection: Connection, caller: Caller, key: str, payload: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Have the consumer try the first letter with other data; the log and other consumers keep the event's own."""
        row = await self._head(connection, caller.tenant, key)
        before = msgspec.json.decode(await connection.fetchval(_sql.payload, row["id"]) or "{}", type=dict[str, Any])
        await connection.execute(_sql.edit, row["id"], msgspec.json.encode(payload).decode())
        await request_replay(connection, row["id"], actor=caller.principal.subject)
        return before

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """Close the first letter; what waits behind it follows."""
        row = await self._head(connection, caller.tenant, key)
        await resolve_dead_letter(connection, row["id"], reason=reason, actor=caller.principal.subject)

    async def _head(self, connection: Connection, tenant: str, key: str) -> Any:
        row = await connection.fetchrow(_sql.head, tenant, *_line(key))
        if row is None:
            raise Conflict("the dead letter is resolved meanwhile: read the exception again", code="exceptions.over")
        return row

    def _trouble(self, row: Any) -> Trouble:
        blamed = row["fault_domain"]
        ours = blamed in _US
        otherwise = TroubleClass.TRANSIENT if ours else TroubleClass.VENDOR_OUTAGE
        if row["error_class"] == ErrorClass.UNEXPECTED:
            otherwise = TroubleClass.DEFECT
        return Trouble(
            key=f"{row['consumer']}/{row['aggregate']}",
            error_class=_CLASSES.get(row["error_class"], otherwise),
            effect=self._effect(row["consumer"]),
            fault_domain=OURS if ours else blamed,
            code=row["error_code"],
            detail=f"{row['consumer']} set {row['type'] or 'a pruned event'} aside: {row['detail']}",
            about=row["aggregate"],
            count=row["letters"],
            raised_at=row["raised_at"],
            last_at=row["last_at"],
            by_itself_at=row["next_attempt_at"],
            verbs=(Verb.RETRY, Verb.EDIT, Verb.IGNORE),
        )


def _line(key: str) -> tuple[str, str]:
    consumer, _, aggregate = key.partition("/")
    return consumer, aggregate
