"""What stands still of transfers, status changes and counts, in the queue of exceptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import OURS, Effect, Trouble, TroubleClass, Verb, decided_on, settled_meanwhile
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import NotFound
from gateway.store.audit import record_act
from process_apis.stock_operations.count_rules import needs_of_count
from process_apis.stock_operations.models import Need, Operation, StatusChange, Transfer
from process_apis.stock_operations.records import (
    change_of_text,
    count_of_text,
    load_change,
    load_count,
    load_transfer,
    lock,
    sql,
    transfer_of_text,
    wake,
)
from process_apis.stock_operations.restating import StatusChanges
from process_apis.stock_operations.rules import needs_of, needs_of_change
from process_apis.stock_operations.transferring import Transfers

_UNANSWERED: Final = "unanswered"
_REFUSED: Final = frozenset({"transfer.refused", "status.refused"})
_EFFECTS: Final = {
    "transfer.stray": Effect.MISBOOKS,
    "transfer.surplus": Effect.MISBOOKS,
    "transfer.overdue": Effect.HIDES_STOCK,
    "status.refused": Effect.HIDES_STOCK,
    "status.unanswered": Effect.HIDES_STOCK,
    "count.refused": Effect.MISBOOKS,
    "count.unanswered": Effect.MISBOOKS,
    "count.to_approve": Effect.MISBOOKS,
    "count.lot_unknown": Effect.MISBOOKS,
}


class OperationTroubles:
    """`key` is ``<operation>/<code of the need>``: what a person should look at of one that is not over.

    `retry` asks again what was refused or is not answered; ignoring a refused status change withdraws it. The rest is
    decided where it is shown, on the operation itself.
    """

    kind = "stock_operation"
    mended = "decide on the operation itself"

    def __init__(self, transfers: Transfers, changes: StatusChanges, clock: Clock, *, alert_after: int) -> None:
        self._transfers = transfers
        self._changes = changes
        self._clock = clock
        self._alert_after = alert_after

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """Of every operation that is not over what a person should look at."""
        found: list[Trouble] = []
        wanted = (tenant, None, None, True, None, limit)
        for row in await connection.fetch(sql.list_transfers, *wanted):
            found += self._of(transfer_of_text(row["body"]))
        for row in await connection.fetch(sql.list_changes, *wanted):
            found += self._of(change_of_text(row["body"]))
        for row in await connection.fetch(sql.list_counts, *wanted):
            found += self._of(count_of_text(row["body"]))
        return found[:limit]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Ask again at once."""
        subject, _, code = key.partition("/")
        operation = await self._open(connection, caller.tenant, subject, code)
        if code == "transfer.refused":
            await self._transfers.release_within(connection, caller, subject)
        elif code == "status.refused":
            await self._changes.retry_within(connection, caller, subject)
        elif code.endswith(_UNANSWERED):
            _, now = await lock(connection, subject, caller.tenant)
            await wake(connection, replace(operation.task, not_before=None), now)
            await record_act(connection, caller, "operation.retry", subject, str(operation.state), {"code": code})
        else:
            raise decided_on("operation")

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """Withdraw a status change that was refused."""
        subject, _, code = key.partition("/")
        await self._open(connection, caller.tenant, subject, code)
        if code != "status.refused":
            raise decided_on("operation")
        await self._changes.withdraw_within(connection, caller, subject, reason=reason)

    async def _open(self, connection: Connection, tenant: str, subject: str, code: str) -> Operation:
        try:
            kind, _ = await lock(connection, subject, tenant)
        except NotFound:
            raise settled_meanwhile() from None
        operation = await _load(connection, kind, subject, tenant)
        if all(need.code != code for need in self._needs(operation)):
            raise settled_meanwhile()
        return operation

    def _needs(self, operation: Operation) -> Sequence[Need]:
        return needs_of_operation(operation, self._clock.now().date(), self._alert_after)

    def _of(self, operation: Operation) -> Iterator[Trouble]:
        told: dict[str, list[str]] = {}
        for need in self._needs(operation):
            told.setdefault(need.code, []).append(need.detail)
        for code, details in told.items():
            yield _trouble(operation, code, details)


def needs_of_operation(operation: Operation, today: date, alert_after: int) -> Sequence[Need]:
    """What a person should do about one; a system that was asked `alert_after` times in vain is told of."""
    if isinstance(operation, Transfer):
        return needs_of(operation, today, alert_after)
    if isinstance(operation, StatusChange):
        return needs_of_change(operation, alert_after)
    return needs_of_count(operation, alert_after)


async def _load(connection: Connection, kind: str, subject: str, tenant: str) -> Operation:
    if kind == "transfer":
        return await load_transfer(connection, subject, tenant)
    if kind == "status":
        return await load_change(connection, subject, tenant)
    return await load_count(connection, subject, tenant)


def _trouble(operation: Operation, code: str, details: Sequence[str]) -> Trouble:
    task = operation.task
    unanswered = code.endswith(_UNANSWERED)
    asked = unanswered or code.endswith("refused")
    return Trouble(
        key=f"{task.subject}/{code}",
        error_class=TroubleClass.VENDOR_OUTAGE if unanswered else TroubleClass.BUSINESS,
        effect=_EFFECTS.get(code, Effect.DELAYS),
        fault_domain=(task.system if asked else None) or OURS,
        code=code,
        detail="; ".join(details),
        about=task.subject,
        count=len(details),
        raised_at=operation.changed_at,
        last_at=operation.changed_at,
        by_itself_at=task.not_before if unanswered else None,
        verbs=_verbs(code),
    )


def _verbs(code: str) -> tuple[Verb, ...]:
    if code == "status.refused":
        return (Verb.RETRY, Verb.IGNORE)
    return (Verb.RETRY,) if code in _REFUSED or code.endswith(_UNANSWERED) else ()
