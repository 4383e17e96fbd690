"""Exceptions of orders in the queue of exceptions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import OURS, Effect, Trouble, TroubleClass, Verb
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.models import ExceptionClass
from process_apis.order_to_ship.records import sql

_sql: Final = queries_beside(__file__, "trouble_queries.sql")
_US: Final = frozenset({"crossdock", "internal", "us"})
_CLASSES: Final = {
    ExceptionClass.SYSTEM_DOWN: TroubleClass.VENDOR_OUTAGE,
    ExceptionClass.OUTCOME_UNKNOWN: TroubleClass.TRANSIENT,
    ExceptionClass.BROKEN_UPSTREAM: TroubleClass.VENDOR_OUTAGE,
    ExceptionClass.MISCONFIGURED: TroubleClass.MAPPING,
    ExceptionClass.NOT_FOUND: TroubleClass.MAPPING,
    ExceptionClass.CLASHED: TroubleClass.SEQUENCE,
}
_UNBOOKED: Final = frozenset({ExceptionClass.SHIPMENT_MISMATCH})

Retries = Callable[[Connection, Caller, str], Awaitable[object]]


class OrderTroubles:
    """`retry_within` resolves an exception, by its id, and tries again what it stopped."""

    kind = "order"
    mended = "change the order itself, then retry"

    def __init__(self, retry_within: Retries) -> None:
        self._retry = retry_within

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """Every open exception, with the money of its order."""
        return [_trouble(row) for row in await connection.fetch(_sql.troubles, tenant, limit)]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Resolve it and try again at once what it stopped."""
        await self._retry(connection, caller, (await self._open(connection, caller.tenant, key))["exception_id"])

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """Acknowledge what stops nothing. `Conflict` for what stops the order: it is retried, or cancelled."""
        row = await self._open(connection, caller.tenant, key)
        if row["blocking"]:
            raise Conflict("the order stands still by this: retry, or cancel the order", code="exceptions.blocking")
        subject = caller.principal.subject
        resolved = await connection.fetchval(
            sql.resolve_exception, row["exception_id"], caller.tenant, subject, f"ignored: {reason}"
        )
        if resolved is None:
            raise Conflict("the exception is resolved meanwhile: read it again", code="exceptions.over")

    async def _open(self, connection: Connection, tenant: str, key: str) -> Any:
        row = await connection.fetchrow(_sql.open_one, tenant, *key.split("/", 3))
        if row is None:
            raise Conflict("the exception is resolved meanwhile: read it again", code="exceptions.over")
        return row


def _trouble(row: Any) -> Trouble:
    final = row["class"] == ExceptionClass.SHIPMENT_MISMATCH
    effect = Effect.MISBOOKS if row["class"] in _UNBOOKED else Effect.STOPS_ORDER if row["blocking"] else Effect.DELAYS
    return Trouble(
        key="/".join((row["order_id"], row["class"], row["kind"], row["target"])),
        error_class=_CLASSES.get(row["class"], TroubleClass.BUSINESS),
        effect=effect,
        fault_domain=OURS if row["fault_domain"] in _US else row["fault_domain"],
        code=row["code"],
        detail=row["detail"],
        about=row["order_id"],
        count=1,
        raised_at=row["raised_at"],
        last_at=row["last_seen_at"],
        value=row["total"],
        currency=row["currency"],
        verbs=(*(() if final else (Verb.RETRY,)), *(() if row["blocking"] else (Verb.IGNORE,))),
    )
