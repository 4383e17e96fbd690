"""Credits: written down with what they say when all that came is decided about, then asked of the ERP in turns."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Call, Connection, FindsCreditors
from gateway.canonical.invoice import CREDIT_PREFIX, SystemInvoice
from gateway.canonical.task import Task, TaskState
from gateway.kernel.context import Caller
from gateway.kernel.errors import BrokenUpstream, Conflict, CrossdockError, Misconfigured, NotFound
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.returns.models import Credit, CreditState, Return
from process_apis.returns.records import (
    encode,
    load,
    lock,
    save,
    save_credit,
    sql,
    tasks,
    with_credit,
)
from process_apis.returns.rules import credit_order, is_disposed, may_be_credited, next_credit

_ZERO: Final = Decimal(0)


async def credit_if_due(connection: Connection, known: Return, now: datetime) -> Return:
    """Write down the credit that a locked return has come to, with the first turn that asks for it."""
    if not may_be_credited(known) or not is_disposed(known):
        return known
    lines, net, fee = next_credit(known)
    if not lines:
        return known
    subject, first = new_id(CREDIT_PREFIX), len(known.credits) + 1
    system = known.system
    state = TaskState.PENDING if system is not None else TaskState.WAITING
    task = Task(subject=subject, tenant=known.tenant, kind="credit", system=system, state=state)
    await tasks.add(connection, task, f"{known.return_id}/credit/{first}")
    stands = CreditState.REQUESTED if system is not None else CreditState.BY_HAND
    await connection.execute(
        sql.insert_credit, subject, known.return_id, known.tenant, system, encode(lines).decode(), net, fee, stands
    )
    if system is not None:
        task = await tasks.wake(connection, task, now)
    credit = Credit(
        credit=subject, return_id=known.return_id, tenant=known.tenant, system=system, lines=lines, net=net, fee=fee,
        created_at=now, task=task, state=stands,
    )  # fmt: skip
    more = {each.line: each.amount for each in lines}
    credited = tuple(replace(line, credited=line.credited + more.get(line.line, _ZERO)) for line in known.lines)
    after = replace(known, lines=credited, credits=(*known.credits, credit))
    return await save(connection, known, after, now, ("return.credit_requested", _told(credit)))


class Credits:
    """Commands of people about credits."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def retry(self, caller: Caller, credit: str) -> Return:
        """Ask the ERP again for what it refused; anything else is left as it is. Raises `NotFound`."""
        async with self._store.transaction() as connection:
            before, known, now = await _locked(connection, credit, caller.tenant)
            after = await retry_credit(connection, before, known, now)
            await record_act(connection, caller, "return.retry_credit", credit, after.state, {})
        return after

    async def settle(self, caller: Caller, credit: str, *, number: str, reason: str | None = None) -> Return:
        """Say that a person issued the credit note, under which `number`; the same again changes nothing.

        The audit trail keeps a `reason`.

        Raises `Conflict` (``return.credit_settled`` where it was issued under another, ``return.credit_under_way``
        while a system is asked for it).
        """
        async with self._store.transaction() as connection:
            before, known, now = await _locked(connection, credit, caller.tenant)
            if known.state is CreditState.ISSUED:
                if known.number == number:
                    return before
                raise Conflict(f"it was issued as {known.number}", code="return.credit_settled")
            if known.state is CreditState.REQUESTED:
                raise Conflict(f"{known.system} is asked for it: wait for its answer", code="return.credit_under_way")
            task = replace(known.task, state=TaskState.DONE, number=number, error_code=None, error_detail=None)
            await tasks.save(connection, task, None)
            issued = replace(known, state=CreditState.ISSUED, number=number, issued_on=now.date(), task=task)
            await save_credit(connection, issued)
            told = ("return.credited", {**_told(issued), "by_hand": True})
            after = await save(connection, before, with_credit(before, issued), now, told)
            detail = {"number": number, "net": plain(issued.net), "fee": plain(issued.fee)}
            detail |= {} if reason is None else {"reason": reason}
            await record_act(connection, caller, "return.settle_credit", credit, after.state, detail)
        return after


async def retry_credit(connection: Connection, before: Return, known: Credit, now: datetime) -> Return:
    """Ask for a locked credit again, where it was refused."""
    if known.state is not CreditState.REFUSED:
        return before
    # What was refused may have been done all the same by an attempt before it: it is looked up first.
    task = replace(
        known.task, state=TaskState.PENDING, look=True, attempts=0, error_code=None, error_detail=None, not_before=None
    )
    asked = replace(known, state=CreditState.REQUESTED, task=await tasks.wake(connection, task, now))
    await save_credit(connection, asked)
    return await save(connection, before, with_credit(before, asked), now)


class CreditWork:
    """`Work` of credits."""

    def __init__(self, store: Store, *, creditors: FindsCreditors) -> None:
        self._store = store
        self._creditors = creditors

    async def prepare(self, subject: str) -> None:
        """Leave to a person what the order's ERP issues no credit notes for, while nothing was asked of it."""
        async with self._store.connection() as connection:
            _, credit = await self._known(connection, subject)
        if credit.task.state is not TaskState.PENDING or credit.task.look:
            return
        if self._creditors.issues_credits(credit.system or "") is not None:
            return
        async with self._store.transaction() as connection:
            known, credit, now = await _locked(connection, subject, None)
            if credit.task.state is TaskState.PENDING and not credit.task.look:
                task = replace(credit.task, state=TaskState.WAITING, error_code=None, error_detail=None)
                await tasks.save(connection, task, None)
                by_hand = replace(credit, state=CreditState.BY_HAND, task=task)
                await save_credit(connection, by_hand)
                await save(connection, known, with_credit(known, by_hand), now)

    async def task(self, connection: Connection, subject: str) -> Task:
        """The credit's task."""
        return (await self._known(connection, subject))[1].task

    async def begin(self, connection: Connection, subject: str) -> None:
        """Nothing has to hold."""

    async def ask(self, call: Call, subject: str, *, look: bool) -> str | None:
        """Have the credit note issued, looked up first where it may have been; its number."""
        async with self._store.connection() as connection:
            known, credit = await self._known(connection, subject)
        erp = self._creditors.issues_credits(credit.system or "")
        if erp is None:
            raise Misconfigured(f"{credit.system} issues no credit notes", code="return.no_creditor")
        found = await erp.find_credit(call, credit=subject) if look else None
        issued = found or await erp.issue_credit(call, order=credit_order(known, credit))
        await self._note(subject, issued)
        return issued.number

    async def undo(self, call: Call, subject: str, *, look: bool) -> None:  # noqa: ARG002 - as `Work` has it
        """Never asked for: what was credited wrongly is billed again."""
        raise Conflict("a credit note is not undone: bill the difference", code="return.credit_settled")

    async def settled(self, connection: Connection, task: Task, now: datetime) -> None:
        """Issued, or refused and a person's."""
        before, credit, _ = await _locked(connection, task.subject, None)
        if credit.state is CreditState.ISSUED:
            return
        if task.state is TaskState.DONE:
            issued = replace(credit, state=CreditState.ISSUED, number=task.number or credit.number, task=task)
            await save_credit(connection, issued)
            told = ("return.credited", _told(issued))
            await save(connection, before, with_credit(before, issued), now, told)
        elif task.state is TaskState.REFUSED:
            refused = replace(credit, state=CreditState.REFUSED, task=task)
            await save_credit(connection, refused)
            told = ("return.credit_refused", _told(refused) | {"error": task.error_code})
            await save(connection, before, with_credit(before, refused), now, told)

    def settle_of(self, task: Task) -> timedelta | None:
        """What the adapter declares."""
        try:
            erp = self._creditors.issues_credits(task.system or "")
        except CrossdockError:
            return None
        declared = getattr(erp, "settle_time", None)
        return declared if isinstance(declared, timedelta) else None

    async def _known(self, connection: Connection, subject: str) -> tuple[Return, Credit]:
        return_id = await connection.fetchval(sql.return_of_credit, subject, None)
        if return_id is None:
            raise NotFound(f"there is no credit {subject[:40]!r}", code="return.credit_not_found")
        known = await load(connection, return_id)
        return known, next(each for each in known.credits if each.credit == subject)

    async def _note(self, subject: str, issued: SystemInvoice) -> None:
        """Keep what the ERP issued before the turn is concluded: totals with tax are the ERP's."""
        if not issued.owed or issued.number is None:
            raise BrokenUpstream(
                f"the credit note for {subject} is {issued.state}, without a number", code="return.credit_unfinished"
            )
        async with self._store.transaction() as connection:
            _, credit, _ = await _locked(connection, subject, None)
            await save_credit(
                connection,
                replace(credit, number=issued.number, issued_on=issued.issued_on, total=abs(issued.total)),
            )


async def _locked(connection: Connection, credit: str, tenant: str | None) -> tuple[Return, Credit, datetime]:
    """The return of a credit, and the credit, under the locks of the task and the return, in this order."""
    return_id = await connection.fetchval(sql.return_of_credit, credit, tenant)
    if return_id is None:
        raise NotFound(f"there is no credit {credit[:40]!r}", code="return.credit_not_found")
    await tasks.lock(connection, credit)
    known, now = await lock(connection, return_id)
    return known, next(each for each in known.credits if each.credit == credit), now


def _told(credit: Credit) -> dict[str, Any]:
    return {
        "credit": credit.credit,
        "system": credit.system,
        "net": credit.net,
        "fee": credit.fee,
        "number": credit.number,
        "total": credit.total,
    }
