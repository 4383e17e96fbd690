"""Suppliers' invoices, booked in Tryton: the draft that it made of what came in, brought to what is billed, posted.

``invoice.reference`` holds the supplier's own number, which with the supplier is unique for ever. Tryton makes a draft
for each reception, and one for all that is not billed once those are deleted: so several become one before it is
claimed. What it says and the reference are written in one request. What is received and not billed by it Tryton puts
into a draft of its own again when the invoice is posted.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from gateway.canonical.purchase import SystemBill
from gateway.kernel.errors import Conflict, Unavailable
from system_apis.tryton import mapping, wire
from system_apis.tryton.receipts import LINE, bought

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.canonical.purchase import SupplierInvoice
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.orders import Orders

_BOOKED: Final = frozenset({"posted", "paid"})
Said = dict[int, tuple[Decimal, Decimal]]
"""Quantity and price per unit by line of the purchase."""


class Bills:
    """Part of the adapter: what `BooksSupplierInvoices` asks for."""

    def __init__(self, client: Client, directory: Directory, orders: Orders) -> None:
        self._client = client
        self._directory = directory
        self._orders = orders

    async def find(self, call: Call, purchase: str, number: str) -> SystemBill | None:
        """The posted one; None also while it is a draft, for then `book` finishes it."""
        known = await self._known(call, await bought(call, self._directory, purchase), number)
        return _as_booked(known) if known is not None and known.state in _BOOKED else None

    async def book(self, call: Call, purchase: str, invoice: SupplierInvoice) -> SystemBill:
        """A draft claimed, posted; goes on where an earlier call stopped."""
        wanted = _wanted(invoice)
        order = await bought(call, self._directory, purchase)
        known = await self._known(call, order, invoice.number)
        if known is None:
            await self._claim(call, order, invoice, wanted)
            known = await self._known(call, order, invoice.number)
        if known is None or _held(known) != wanted:
            raise Conflict(
                f"what Tryton has as invoice {invoice.number} of this supplier says something else: compare them",
                code="erp.invoice_differs",
            )
        if known.state not in _BOOKED:
            stamp = {f"{wire.Invoice.MODEL},{known.id}": known.timestamp}
            await self._orders.press(call, wire.Invoice.MODEL, "post", [known.id], _timestamp=stamp)
            known = await self._known(call, order, invoice.number)
        if known is None or known.state not in _BOOKED:
            raise Unavailable(f"Tryton has not posted invoice {invoice.number} yet", code="erp.not_processed")
        return _as_booked(known)

    async def _claim(self, call: Call, order: wire.Bought, invoice: SupplierInvoice, wanted: Said) -> None:
        drafts = await self._drafts(call, order)
        context = await self._directory.context(call)
        if len(drafts) > 1:
            await self._client.write(
                call, f"model.{wire.Invoice.MODEL}.delete", [row.id for row in drafts], context=context
            )
            drafts = await self._drafts(call, await bought(call, self._directory, order.number or ""))
        if not drafts:
            raise Conflict(
                f"Tryton has nothing of purchase {order.number} to bill: post what came in first",
                code="erp.nothing_to_bill",
            )
        draft = drafts[0]
        values = {
            "reference": invoice.number, "invoice_date": invoice.invoiced, "lines": _commands(draft, wanted, invoice)
        }  # fmt: skip
        stamped = {**context, "_timestamp": {f"{wire.Invoice.MODEL},{draft.id}": draft.timestamp}}
        await self._client.write(call, f"model.{wire.Invoice.MODEL}.write", [draft.id], values, context=stamped)

    async def _drafts(self, call: Call, order: wire.Bought) -> Sequence[wire.Invoice]:
        """Those that Tryton made of what came in, and nobody claimed."""
        if not order.invoices:
            return []
        domain = [("id", "in", sorted(order.invoices)), ("state", "=", "draft"), ("reference", "=", None)]
        return await self._directory.rows(call, wire.Invoice, domain)

    async def _known(self, call: Call, order: wire.Bought, number: str) -> wire.Invoice | None:
        domain = [
            ("type", "=", "in"), ("party", "=", order.party), ("reference", "=", number), ("state", "!=", "cancelled")
        ]  # fmt: skip
        found = await self._directory.rows(call, wire.Invoice, domain)
        if len(found) > 1:
            raise Conflict(f"Tryton has invoice {number} of this supplier twice: cancel one", code="erp.twin_invoices")
        return found[0] if found else None


def _commands(draft: wire.Invoice, wanted: Said, invoice: SupplierInvoice) -> list[tuple[Any, ...]]:
    """What makes the draft say what is billed, and nothing else."""
    by_line: dict[int, list[int]] = defaultdict(list)
    others: list[int] = []
    for row in draft.lines:
        line = _line_of(row.origin)
        if line in wanted:
            by_line[line].append(row.id)
        else:
            others.append(row.id)
    if missing := sorted(wanted.keys() - by_line.keys()):
        raise Conflict(
            f"invoice {invoice.number} bills lines of which nothing unbilled came in by Tryton's books: {missing}",
            code="erp.nothing_to_bill",
        )
    commands: list[tuple[Any, ...]] = []
    for line, (amount, price) in wanted.items():
        first, *more = by_line[line]
        others += more
        commands.append(("write", [first], {"quantity": mapping.to_float(amount), "unit_price": price}))
    return [*commands, ("delete", others)] if others else commands


def _wanted(invoice: SupplierInvoice) -> Said:
    found: Said = {}
    for line in invoice.lines:
        amount, price = found.get(line.line, (Decimal(0), line.unit_price))
        if price != line.unit_price:
            raise Conflict(
                f"invoice {invoice.number} bills line {line.line} at two prices: book it by hand",
                code="erp.invoice_two_prices",
            )
        found[line.line] = amount + line.amount, price
    return found


def _held(row: wire.Invoice) -> Mapping[int, tuple[Decimal | None, Decimal | None]]:
    return {_line_of(line.origin): (line.quantity, line.unit_price) for line in row.lines if line.type == "line"}


def _line_of(origin: str | None) -> int:
    model, _, number = (origin or "").partition(",")
    return int(number) if model == LINE else 0


def _as_booked(row: wire.Invoice) -> SystemBill:
    return SystemBill(number=row.number or str(row.id), total=row.total_amount or Decimal(0))
