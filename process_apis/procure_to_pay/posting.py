"""The ERP's books: what came in and was accepted, and invoices that match, are told to it, each exactly once.

What is to be told follows from where the purchase stands and is written in the transaction of the fact that it follows
from, with its first turn. Of one purchase one thing is told at a time, in the order it was written: an invoice is
booked against receipts. What the ERP refuses goes to the queue of exceptions, and what comes after it goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import (
    BooksReceipts,
    BooksSupplierInvoices,
    Call,
    Connection,
    FindsPurchaseBooks,
)
from gateway.canonical.purchase import RECEIPT_PREFIX, GoodsReceipt, ReceivedLine, SupplierInvoice
from gateway.canonical.task import Task, TaskState
from gateway.durable.tasks import Tasks
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, CrossdockError, Misconfigured, NotFound
from gateway.kernel.ids import new_id
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.procure_to_pay.models import Facts, Need, Purchase, Standing
from process_apis.procure_to_pay.posting_rules import due
from process_apis.procure_to_pay.records import encoded, load, lock, save_told, sql

WORKFLOW: Final = "procure_to_pay.turn"
QUEUE: Final = "procure_to_pay"
_INVOICE_PREFIX: Final = "bil"
_ZERO: Final = Decimal(0)
_BUSY: Final = frozenset({TaskState.WAITING, TaskState.PENDING, TaskState.ASKED})
_BY_HAND: Final = "by hand"
tasks: Final = Tasks("procure_to_pay", kinds=("receipt", "invoice"), workflow=WORKFLOW, queue=QUEUE, space=20487)


class Posting(Struct, frozen=True, kw_only=True):
    """One thing that the ERP of a purchase is told: `lines` that came in on a day, or an `invoice`."""

    posting: str
    purchase: str
    tenant: str
    number: int
    kind: str
    created_at: datetime
    task: Task
    received_on: date | None = None
    lines: tuple[ReceivedLine, ...] = ()
    invoice: SupplierInvoice | None = None

    @property
    def told(self) -> dict[str, Any]:
        """As events and audit entries have it."""
        said = {"invoice": self.invoice.number} if self.invoice else {"receipt": self.posting}
        return {**said, "number": self.task.number, "lines": [{"line": e.line, "amount": e.amount} for e in self.lines]}


_of_text: Final = msgspec.json.Decoder(Posting).decode


async def postings_of(connection: Connection, purchase: str) -> Sequence[Posting]:
    """What was and is to be told of a purchase, in its order."""
    return [_of_text(row["body"]) for row in await connection.fetch(sql.postings, purchase)]


async def unfinished_postings(connection: Connection, purchases: Sequence[str]) -> Sequence[Posting]:
    """Of each purchase what its ERP has not taken yet, in its order."""
    return [_of_text(row["body"]) for row in await connection.fetch(sql.unfinished_postings, list(purchases))]


class Booking:
    """Writes down what the ERP is to be told. Of the ERPs in `booked` only: in others a person books."""

    def __init__(self, books: FindsPurchaseBooks, booked: Sequence[str]) -> None:
        self._books = books
        self._booked = frozenset(booked)

    async def write_due(
        self, connection: Connection, purchase: Purchase, standing: Standing, facts: Facts, now: datetime
    ) -> Sequence[Need]:
        """Write what is due of a locked purchase, with its first turn; what only a person can book is returned."""
        if purchase.test or purchase.source not in self._booked or purchase.approved_at is None:
            return ()
        known = await postings_of(connection, purchase.purchase)
        told: dict[int, Decimal] = defaultdict(Decimal)
        for line in (line for each in known for line in each.lines):
            told[line.line] += line.amount
        billed = frozenset(each.invoice.number for each in known if each.invoice is not None)
        found = due(purchase, standing, facts, told, billed)
        more: list[Posting] = []
        if found.lines and self._books.books_receipts(purchase.source) is not None:
            came = await connection.fetchval(sql.last_came, purchase.purchase)
            on = (came or now).date()
            more.append(_new(purchase, "receipt", RECEIPT_PREFIX, now, received_on=on, lines=found.lines))
        if self._books.books_supplier_invoices(purchase.source) is not None:
            more += [_new(purchase, "invoice", _INVOICE_PREFIX, now, invoice=each) for each in found.invoices]
        busy = any(each.task.state in _BUSY for each in known)
        for number, each in enumerate(more, start=len(known) + 1):
            await self._write(connection, replace(each, number=number), now, wait=busy)
            busy = True
        return found.needs

    async def _write(self, connection: Connection, posting: Posting, now: datetime, *, wait: bool) -> None:
        task = replace(posting.task, state=TaskState.WAITING if wait else TaskState.PENDING)
        await tasks.add(connection, task, f"{posting.purchase}/{posting.number}")
        await connection.execute(
            sql.insert_posting, posting.tenant, posting.posting, posting.purchase, posting.number, posting.kind,
            posting.received_on, encoded(posting.lines), encoded(posting.invoice),
        )  # fmt: skip
        if not wait:
            await tasks.wake(connection, task, now)


def _new(purchase: Purchase, kind: str, prefix: str, now: datetime, **content: Any) -> Posting:
    posting = new_id(prefix)
    task = Task(subject=posting, tenant=purchase.tenant, kind=kind, system=purchase.source)
    return Posting(
        posting=posting, purchase=purchase.purchase, tenant=purchase.tenant, number=0, kind=kind, created_at=now,
        task=task, **content,
    )  # fmt: skip


class PostingWork:
    """`Work` of postings."""

    def __init__(self, store: Store, *, books: FindsPurchaseBooks) -> None:
        self._store = store
        self._books = books

    async def prepare(self, subject: str) -> None:
        """Begin what waited, once the ERP has been told all that stands before it."""
        async with self._store.transaction() as connection:
            posting = await _known(connection, subject)
            if posting.task.state is not TaskState.WAITING:
                return
            await lock(connection, posting.purchase)
            if await _following(connection, posting.purchase) == subject:
                _, now = await tasks.lock(connection, subject)
                task = (await _known(connection, subject)).task
                await tasks.save(connection, replace(task, state=TaskState.PENDING), now)

    async def task(self, connection: Connection, subject: str) -> Task:
        """The posting's task."""
        return (await _known(connection, subject)).task

    async def begin(self, connection: Connection, subject: str) -> None:
        """Nothing has to hold."""

    async def ask(self, call: Call, subject: str, *, look: bool) -> str | None:
        """Have it booked, looked up first where it may have been; the ERP's number of it."""
        async with self._store.connection() as connection:
            posting = await _known(connection, subject)
            purchase = await load(connection, posting.purchase)
        if posting.invoice is not None:
            return await self._bill(call, purchase, posting.invoice, look=look)
        books = self._receipts(purchase.source)
        found = await books.find_receipt(call, receipt=subject) if look else None
        receipt = GoodsReceipt(
            receipt=subject,
            purchase=purchase.number,
            location=purchase.location or "",
            received_on=posting.received_on or posting.created_at.date(),
            lines=posting.lines,
        )
        return (found or await books.book_receipt(call, receipt=receipt)).number

    async def _bill(self, call: Call, purchase: Purchase, invoice: SupplierInvoice, *, look: bool) -> str:
        books = self._invoices(purchase.source)
        number = purchase.number
        found = await books.find_supplier_invoice(call, purchase=number, number=invoice.number) if look else None
        return (found or await books.book_supplier_invoice(call, purchase=number, invoice=invoice)).number

    async def undo(self, call: Call, subject: str, *, look: bool) -> None:  # noqa: ARG002 - as `Work` has it
        """Never asked for: what was booked wrongly is corrected in the ERP."""
        raise Conflict("what is booked is not undone: correct it in the ERP", code="purchase.booked")

    async def settled(self, connection: Connection, task: Task, now: datetime) -> None:
        """Booked, or refused and a person's; either way the next one of the purchase is told."""
        if task.state is TaskState.DONE:
            await conclude(connection, task.subject, now)
        elif task.state is TaskState.REFUSED:
            await conclude(connection, task.subject, now, error=task.error_code)

    def settle_of(self, task: Task) -> timedelta | None:
        """What the adapter declares."""
        try:
            declared = getattr(self._books.books_receipts(task.system or ""), "settle_time", None)
        except CrossdockError:
            return None
        return declared if isinstance(declared, timedelta) else None

    def _receipts(self, system: str) -> BooksReceipts:
        found = self._books.books_receipts(system)
        if found is None:
            raise Misconfigured(f"{system} books no receipts", code="purchase.no_books")
        return found

    def _invoices(self, system: str) -> BooksSupplierInvoices:
        found = self._books.books_supplier_invoices(system)
        if found is None:
            raise Misconfigured(f"{system} books no suppliers' invoices", code="purchase.no_books")
        return found


async def conclude(connection: Connection, subject: str, now: datetime, *, error: str | None = None) -> None:
    """Tell what became of a posting whose task is locked and written, and have the next one of its purchase begin."""
    posting = await _known(connection, subject)
    await lock(connection, posting.purchase)
    before = await load(connection, posting.purchase)
    name = "invoice.booked" if posting.invoice is not None else "goods.booked"
    told: tuple[str, dict[str, Any]] = (name, posting.told)
    if error is not None:
        told = ("purchase_order.booking_refused", {**posting.told, "error": error})
    await save_told(connection, before, [told], now, subject)
    following = await _following(connection, posting.purchase)
    if following is not None:
        # It may be of another release than ours: its own turn begins it.
        await tasks.rouse(connection, following)


async def _following(connection: Connection, purchase: str) -> str | None:
    """The posting of a locked purchase whose turn it is to be told: none while another one is."""
    known = await postings_of(connection, purchase)
    if any(each.task.state in (TaskState.PENDING, TaskState.ASKED) for each in known):
        return None
    return next((each.posting for each in known if each.task.state is TaskState.WAITING), None)


class Postings:
    """What people do about what the ERP refused, each in the caller's transaction."""

    async def retry(self, connection: Connection, caller: Caller, posting: str) -> None:
        """Ask again; what was refused may have been done by an attempt before it, so it is looked up first."""
        task, now = await self._refused(connection, caller, posting)
        asked = replace(
            task, state=TaskState.PENDING, look=True, attempts=0, not_before=None, error_code=None, error_detail=None
        )
        await tasks.wake(connection, asked, now)
        await record_act(connection, caller, "purchase.retry_booking", posting, asked.state, {})

    async def booked_by_hand(self, connection: Connection, caller: Caller, posting: str, reason: str) -> None:
        """A person has booked it in the ERP, or says why it is not to be."""
        task, now = await self._refused(connection, caller, posting)
        done = replace(task, state=TaskState.DONE, number=_BY_HAND, error_code=None, error_detail=None)
        await tasks.save(connection, done, None)
        await conclude(connection, posting, now)
        await record_act(connection, caller, "purchase.booked_by_hand", posting, done.state, {"reason": reason})

    async def _refused(self, connection: Connection, caller: Caller, posting: str) -> tuple[Task, datetime]:
        _, now = await tasks.lock(connection, posting, caller.tenant)
        task = (await _known(connection, posting)).task
        if task.state is not TaskState.REFUSED:
            raise Conflict(f"{posting} is {task.state}: wait for its answer", code="purchase.booking_under_way")
        return task, now


async def _known(connection: Connection, subject: str) -> Posting:
    text = await connection.fetchval(sql.posting, subject)
    if text is None:
        raise NotFound(f"there is no posting {subject[:40]!r}", code="purchase.posting_not_found")
    return _of_text(text)
