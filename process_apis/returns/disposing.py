"""Dispositions: asked of who holds the goods, recorded by us where that is us; and what came to places of ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec.structs import replace

from gateway.canonical.capabilities import Call, Connection, FindsWarehouses, RecordsStock, Report
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import OWN_SOURCE, Bucket, MovementType, OrderKey, Outcome, ReportedMovement
from gateway.canonical.task import Task, TaskState
from gateway.canonical.warehouse import StatusOrder
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, CrossdockError, NotFound, Rejected
from gateway.kernel.quantity import plain
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.returns.models import DISPOSITION_PREFIX, Dispose, Disposition, DispositionState, Return, ReturnLine
from process_apis.returns.records import (
    load,
    lock,
    save,
    save_disposition,
    sql,
    tasks,
    with_disposition,
)

_MICRO: Final = 1_000_000
_ZERO: Final = Decimal(0)
_OPEN: Final = frozenset({DispositionState.REQUESTED, DispositionState.ASKED})


class Came(NamedTuple):
    """So much of a line came back, of one lot where goods lie by lot."""

    line: int
    amount: Decimal
    lot: str | None = None


class Dispositions:
    """Commands of people; each bears the caller's action id and may be repeated."""

    def __init__(
        self, store: Store, *, locations: LocationMap, warehouses: FindsWarehouses, records: RecordsStock
    ) -> None:
        self._store = store
        self._locations = locations
        self._warehouses = warehouses
        self._records = records

    async def ask(self, caller: Caller, return_id: str, command: Dispose, *, reason: str | None = None) -> Return:
        """Have so much of what came put where `target` says; the audit trail keeps a `reason`.

        Raises `Rejected` (``return.line_unknown``), `Conflict`: ``return.not_there`` for more than came and is not
        decided about, ``return.nobody_to_ask`` where the holder takes no such orders, ``operation.action_reused``.
        """
        async with self._store.transaction() as connection:
            before, now = await lock(connection, return_id, caller.tenant)
            line = line_of(before, command.line)
            system = self._asked(before, command)
            subject, fresh = await tasks.begin(
                connection, caller, kind="disposition", prefix=DISPOSITION_PREFIX, action=command.action,
                content=command, system=system, state=TaskState.PENDING,
            )  # fmt: skip
            if not fresh:
                return before
            under_way = sum(
                (each.amount for each in before.dispositions if each.line == line.line and each.state in _OPEN), _ZERO
            )
            left = line.received - line.dispositioned - under_way
            if command.amount > left:
                raise Conflict(
                    f"of line {line.line} {plain(max(left, _ZERO))} came and is not decided about",
                    code="return.not_there",
                )
            await connection.execute(
                sql.insert_disposition, subject, return_id, caller.tenant, line.line, line.item, line.sku, line.uom,
                command.lot, command.amount, command.target, before.location, caller.principal.subject,
                caller.correlation_id,
            )  # fmt: skip
            made = await load(connection, return_id)
            task = next(each.task for each in made.dispositions if each.disposition == subject)
            await tasks.wake(connection, task, now)
            detail = {"line": line.line, "amount": command.amount, "target": command.target, "disposition": subject}
            why = {} if reason is None else {"reason": reason}
            await record_act(connection, caller, "return.dispose", return_id, "asked", detail | why)
            told = ("return.disposition_requested", detail)
            return await save(connection, made, await load(connection, return_id), now, told)

    async def retry(self, caller: Caller, disposition: str) -> Return:
        """Ask again for what was refused; anything else is left as it is. Raises `NotFound`."""
        async with self._store.transaction() as connection:
            before, known, now = await locked(connection, disposition, caller.tenant)
            after = await retry_disposition(connection, before, known, now)
            await record_act(connection, caller, "return.retry_disposition", disposition, after.state, {})
        return after

    async def withdraw(self, caller: Caller, disposition: str, *, reason: str) -> Return:
        """Ask for it no more, while it was not made; repeating it changes nothing.

        Raises `Conflict` (``return.disposition_made``) once the holder may have made it.
        """
        async with self._store.transaction() as connection:
            before, known, now = await locked(connection, disposition, caller.tenant)
            if known.state is DispositionState.WITHDRAWN:
                return before
            if known.state is DispositionState.MADE or known.task.state is not TaskState.REFUSED:
                raise Conflict(
                    "it may be made already: once it is, ask for the next change of status",
                    code="return.disposition_made",
                )
            task = replace(known.task, state=TaskState.ABSENT, error_code=None, error_detail=None, not_before=None)
            await tasks.save(connection, task, None)
            gone = replace(known, state=DispositionState.WITHDRAWN, task=task)
            await save_disposition(connection, gone)
            told = ("return.disposition_withdrawn", {"disposition": disposition, "reason": reason})
            after = await save(connection, before, with_disposition(before, gone), now, told)
            await record_act(
                connection, caller, "return.withdraw_disposition", disposition, after.state, {"reason": reason}
            )
        return after

    async def receive(
        self, caller: Caller, return_id: str, *, action: str, at: datetime, lines: Sequence[Came]
    ) -> Return:
        """Record what came back to a location that we hold; its lines count it from the log.

        Raises `Rejected` (``return.line_unknown``), `Conflict`: ``return.not_ours`` where another holds the place,
        ``operation.action_reused``.
        """
        async with self._store.transaction() as connection:
            known = await load(connection, return_id, caller.tenant)
            found = self._locations.by_id(known.tenant, known.location)
            if found is None or found.holder != OWN_SOURCE:
                holder = "another" if found is None else found.holder
                raise Conflict(f"{holder} holds {known.location} and tells what comes there", code="return.not_ours")
            if len({each.line for each in lines}) != len(lines):
                raise Rejected("name a line once", code="return.line_unknown")
            movements = tuple(_receipt(known, line_of(known, each.line), each, caller, action, at) for each in lines)
            detail = {"action": action, "lines": [[each.line, str(each.amount), each.lot] for each in lines]}
            await record_act(connection, caller, "return.receive", return_id, "asked", detail)
        receipt = await self._records.record(caller.tenant, Report(movements=movements))
        for line in receipt.others:
            if line.outcome is Outcome.CONFLICT:
                raise Conflict(
                    f"action {action} was something else before: give every command its own action id",
                    code="operation.action_reused",
                )
            if line.outcome is Outcome.PARKED:
                raise Conflict(f"it waits for a person: {line.detail}", code="return.not_recorded")
        return known

    def _asked(self, known: Return, command: Dispose) -> str | None:
        found = self._locations.by_id(known.tenant, known.location)
        if found is not None and found.holder == OWN_SOURCE:
            return None
        system = self._warehouses.restating(known.tenant, known.location)
        if system is None or command.target == "out":
            what = "takes no such orders from us" if system is None else "is not told that goods leave"
            raise Conflict(
                f"who holds {known.location} {what}: do it there, its report will follow", code="return.nobody_to_ask"
            )
        return system


class DispositionWork:
    """`Work` of dispositions."""

    def __init__(self, store: Store, *, records: RecordsStock, warehouses: FindsWarehouses) -> None:
        self._store = store
        self._records = records
        self._warehouses = warehouses

    async def prepare(self, subject: str) -> None:
        """Nothing is told beforehand."""

    async def task(self, connection: Connection, subject: str) -> Task:
        """The disposition's task."""
        return (await _known(connection, subject))[1].task

    async def begin(self, connection: Connection, subject: str) -> None:
        """Nothing has to hold."""

    async def ask(self, call: Call, subject: str, *, look: bool) -> str | None:
        """Have the warehouse make it, or record it where we hold the goods: once, by its id."""
        async with self._store.connection() as connection:
            known, each = await _known(connection, subject)
        if each.state is DispositionState.MADE:
            return None
        if each.task.system is None:
            receipt = await self._records.record(each.tenant, Report(movements=(_movement(known, each),)))
            if bad := [line for line in receipt.others if line.outcome in (Outcome.PARKED, Outcome.CONFLICT)]:
                raise Conflict(f"it was not recorded: {bad[0].detail}", code="return.not_recorded")
            return None
        warehouse = self._warehouses.changes_status(each.task.system)
        found = await warehouse.find_status_change(call, reference=subject) if look else None
        return found or await warehouse.change_status(call, order=_order(each, known))

    async def undo(self, call: Call, subject: str, *, look: bool) -> None:  # noqa: ARG002 - as `Work` has it
        """Never asked for: what was made is changed by another change of status."""
        raise Conflict("a disposition is not undone: ask for a change of status", code="return.disposition_made")

    async def settled(self, connection: Connection, task: Task, now: datetime) -> None:
        """Made, so that its movement is on the way (or was here before the answer), or refused."""
        before, known, _ = await locked(connection, task.subject, None)
        if known.state is DispositionState.MADE:
            return
        if task.state is TaskState.DONE:
            after = replace(known, state=DispositionState.ASKED, task=task)
            await save_disposition(connection, after)
        elif task.state is TaskState.REFUSED:
            after = replace(known, state=DispositionState.REFUSED, task=task)
            await save_disposition(connection, after)
            told = ("return.disposition_refused", {"disposition": known.disposition, "error": task.error_code})
            await save(connection, before, with_disposition(before, after), now, told)

    def settle_of(self, task: Task) -> timedelta | None:
        """What the adapter declares."""
        try:
            warehouse = None if task.system is None else self._warehouses.changes_status(task.system)
        except CrossdockError:
            return None
        declared = getattr(warehouse, "settle_time", None)
        return declared if isinstance(declared, timedelta) else None


async def retry_disposition(connection: Connection, before: Return, known: Disposition, now: datetime) -> Return:
    """Ask for a locked disposition again, where it was refused and not made all the same."""
    if known.task.state is not TaskState.REFUSED or known.state is DispositionState.MADE:
        return before
    task = replace(known.task, state=TaskState.PENDING, look=True, attempts=0, error_code=None, error_detail=None)
    asked = replace(known, state=DispositionState.REQUESTED, task=await tasks.wake(connection, task, now))
    await save_disposition(connection, asked)
    return await save(connection, before, with_disposition(before, asked), now)


async def locked(connection: Connection, disposition: str, tenant: str | None) -> tuple[Return, Disposition, datetime]:
    """The return of a disposition, and it, under the locks of the task and the return, in this order."""
    return_id = await connection.fetchval(sql.return_of_disposition, disposition, tenant)
    if return_id is None:
        raise NotFound(f"there is no disposition {disposition[:40]!r}", code="return.disposition_not_found")
    await tasks.lock(connection, disposition)
    known, now = await lock(connection, return_id)
    return known, next(each for each in known.dispositions if each.disposition == disposition), now


def line_of(known: Return, number: int) -> ReturnLine:
    """One line; raises `Rejected` (``return.line_unknown``)."""
    for line in known.lines:
        if line.line == number:
            return line
    raise Rejected(f"the return has no line {number}", code="return.line_unknown")


async def _known(connection: Connection, subject: str) -> tuple[Return, Disposition]:
    return_id = await connection.fetchval(sql.return_of_disposition, subject, None)
    if return_id is None:
        raise NotFound(f"there is no disposition {subject[:40]!r}", code="return.disposition_not_found")
    known = await load(connection, return_id)
    return known, next(each for each in known.dispositions if each.disposition == subject)


def _order(each: Disposition, known: Return) -> StatusOrder:
    return StatusOrder(
        change=each.disposition,
        location=each.location,
        item=each.item,
        sku=each.sku,
        amount=each.amount,
        uom=each.uom,
        from_bucket=Bucket.RETURNED,
        to_bucket=Bucket(each.target),
        lot=each.lot,
        reason=known.return_id,
    )


def _movement(known: Return, each: Disposition) -> ReportedMovement:
    return ReportedMovement(
        source=OWN_SOURCE,
        event_id=each.disposition,
        line=each.line,
        order_key=OrderKey(0, int(each.created_at.timestamp() * _MICRO)),
        type=MovementType.RETURN_DISPOSITIONED,
        occurred_at=each.created_at,
        source_item=each.item,
        source_location=each.location,
        amount=each.amount,
        uom=each.uom,
        to_bucket=None if each.target == "out" else Bucket(each.target),
        lot=each.lot,
        document=each.disposition,
        reason=known.return_id,
        correlation_id=known.correlation_id,
    )


def _receipt(
    known: Return, line: ReturnLine, came: Came, caller: Caller, action: str, at: datetime
) -> ReportedMovement:
    return ReportedMovement(
        source=OWN_SOURCE,
        event_id=f"{known.return_id}/receipt/{caller.principal.subject}/{action}",
        line=line.line,
        order_key=OrderKey(0, int(at.astimezone(UTC).timestamp() * _MICRO)),
        type=MovementType.RETURN_RECEIVED,
        occurred_at=at,
        source_item=line.item,
        source_location=known.location,
        amount=came.amount,
        uom=line.uom,
        lot=came.lot,
        document=known.return_id,
        correlation_id=known.correlation_id,
    )
