"""Credit notes for what came back: a sale of less than nothing that gives back lines of the order, and its invoice.

``sale.reference`` holds our credit id and ``origin`` the sale that is given back, as Tryton's own wizard for returns
makes it. Processing makes the draft of a credit note and the return shipment. Nothing has an effect before that: of
several drafts under one reference (an answer was lost) the eldest goes on and the others are cancelled. The goods are
booked in, what did not stay is booked out to lost and found, and the credit note is posted last: a posted one says
that all of it is done.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from gateway.canonical.order import SalesLine
from gateway.kernel.errors import Conflict, NotFound, Rejected, Unavailable
from system_apis.tryton import mapping, wire
from system_apis.tryton.invoices import added_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.canonical.invoice import CreditLine, CreditOrder, SystemInvoice
    from system_apis.tryton.adjustments import Adjustments
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory
    from system_apis.tryton.invoices import Invoices
    from system_apis.tryton.orders import Orders

_BUTTONS: Final = {"draft": "quote", "quotation": "confirm", "confirmed": "process"}
_MADE: Final = frozenset({"processing", "done"})
_RETURN: Final = {"draft": "receive", "received": "do"}
_FEE: Final = "Restocking fee"
_MOST_STEPS: Final = 8


class Credits:
    """Part of the adapter: what `IssuesCredits` asks for. `units` leads from Tryton's unit symbols to ours."""

    def __init__(
        self,
        client: Client,
        directory: Directory,
        orders: Orders,
        adjustments: Adjustments,
        invoices: Invoices,
        units: Mapping[str, str],
    ) -> None:
        self._client = client
        self._directory = directory
        self._orders = orders
        self._adjustments = adjustments
        self._invoices = invoices
        self._units = units

    async def find(self, call: Call, credit: str) -> SystemInvoice | None:
        """The posted credit note; None also while it is under way, for then `issue` finishes it."""
        known = await self._known(call, credit)
        return None if known is None else await self._posted(call, known)

    async def issue(self, call: Call, order: CreditOrder) -> SystemInvoice:
        """Made, processed, goods booked, posted; goes on where an earlier call stopped."""
        known = await self._known(call, order.credit)
        if known is None:
            await self._create(call, order)
            known = await self._known(call, order.credit)
        if known is None:
            raise Conflict(f"somebody took credit {order.credit} away in Tryton", code="erp.changed_meanwhile")
        if not _holds(known, order):
            raise Conflict(
                f"sale {known.number or known.id} in Tryton bears {order.credit} but says something else: compare them",
                code="erp.credit_differs",
            )
        known = await self._processed(call, known)
        if (posted := await self._posted(call, known)) is not None:
            return posted
        await self._book_in(call, known)
        for line in order.lines:
            if gone := line.amount - line.restocked:
                posting = f"{order.credit}.{line.line}"
                await self._adjustments.post(call, posting, order.location, line.sku, -gone, line.uom)
        for number in known.invoices:
            await self._invoices.post(call, number)
        posted = await self._posted(call, known)
        if posted is None:
            raise Unavailable(f"Tryton has not posted credit {order.credit} yet", code="erp.not_processed")
        return posted

    async def _known(self, call: Call, credit: str) -> wire.BilledSale | None:
        """The sale of a credit: the furthest on, of equals the eldest; drafts beside it are cancelled."""
        domain = [("reference", "=", credit), ("state", "!=", "cancelled")]
        found = await self._directory.rows(call, wire.BilledSale, domain)
        made = [sale for sale in found if sale.state in _MADE]
        if len(made) > 1:
            numbers = ", ".join(sale.number or str(sale.id) for sale in made)
            raise Conflict(f"Tryton credits {credit} more than once: {numbers}", code="erp.twin_credits")
        if not found:
            return None
        kept = (made or found)[0]
        for sale in found:
            if sale.id != kept.id:
                if sale.state == "confirmed":
                    await self._orders.press(call, wire.Sale.MODEL, "draft", [sale.id])
                await self._orders.press(call, wire.Sale.MODEL, "cancel", [sale.id])
        return kept

    async def _create(self, call: Call, order: CreditOrder) -> None:
        prefix = f"{order.order}."
        domain = ["OR", ("reference", "=", order.order), ("reference", "like", prefix.replace("_", "\\_") + "%")]
        sold = await self._directory.rows(call, wire.BilledSale, domain)
        origin = next((sale for sale in sold if sale.state in _MADE), None)
        if origin is None:
            raise NotFound(f"Tryton has no order {order.order} to credit", code="erp.order_not_found")
        products = await self._directory.products(call, {line.sku for line in order.lines})
        lines = [self._line(line, products[line.sku]) for line in order.lines]
        if order.fee:
            fee: dict[str, Any] = {"type": "line", "description": _FEE, "quantity": 1.0, "unit_price": order.fee}
            lines.append(fee)
        head = await self._head(call, order)
        record = {**head, "origin": f"{wire.Sale.MODEL},{origin.id}", "lines": [("create", lines)]}
        context = await self._directory.context(call)
        await self._client.write(call, f"model.{wire.Sale.MODEL}.create", [record], context=context)

    def _line(self, line: CreditLine, product: wire.Product) -> dict[str, Any]:
        sold = SalesLine(
            line=line.line, item=line.item, sku=line.sku, amount=line.amount, uom=line.uom, unit_price=line.unit_price
        )
        made = mapping.sale_line(sold, product, self._units)
        return {**made, "quantity": mapping.to_float(-line.amount)}

    async def _head(self, call: Call, order: CreditOrder) -> dict[str, Any]:
        try:
            party = await self._directory.party(call, order.sold_to)
        except NotFound as error:
            raise Rejected(error.detail, code=error.code) from None
        if not party.addresses:
            raise Rejected(f"customer {order.sold_to} has no address in Tryton: add one", code="erp.no_address")
        bills = [row for row in party.addresses if row.invoice] or party.addresses
        return {
            **await self._directory.context(call),
            "party": party.id,
            "reference": order.credit,
            "description": f"Return: {order.reason}" if order.reason else "Return",
            "currency": await self._directory.currency(call, order.currency),
            "invoice_address": bills[0].id,
            "shipment_address": party.addresses[0].id,
            "payment_term": party.payment_term.id if party.payment_term else None,
            "warehouse": (await self._directory.warehouse(call, order.location)).id,
            "invoice_method": "order",
            "shipment_method": "order",
        }

    async def _processed(self, call: Call, sale: wire.BilledSale) -> wire.BilledSale:
        for _ in range(_MOST_STEPS):
            if sale.state in _MADE:
                return sale
            await self._orders.press(call, wire.Sale.MODEL, _BUTTONS[sale.state], [sale.id])
            [after] = await self._directory.rows(call, wire.BilledSale, [("id", "=", sale.id)]) or [sale]
            if after.state == sale.state:
                break
            sale = after
        raise Unavailable(
            f"Tryton has not moved credit {sale.reference} on from {sale.state} yet: its queue may be behind",
            code="erp.not_processed",
            retry_after=5.0,
        )

    async def _book_in(self, call: Call, sale: wire.BilledSale) -> None:
        for number in sale.shipment_returns:
            for _ in range(_MOST_STEPS):
                [row] = await self._directory.rows(call, wire.Returned, [("id", "=", number)])
                if row.state not in _RETURN:
                    break
                stamp = {f"{wire.Returned.MODEL},{row.id}": row.timestamp}
                await self._orders.press(call, wire.Returned.MODEL, _RETURN[row.state], [row.id], _timestamp=stamp)
            if row.state != "done":
                raise Conflict(
                    f"return shipment {row.number} of {sale.reference} is {row.state} in Tryton: finish it there",
                    code="erp.return_state",
                )

    async def _posted(self, call: Call, sale: wire.BilledSale) -> SystemInvoice | None:
        """The credit note of a sale, once all that it has are posted; several are added up under their numbers."""
        found: Sequence[SystemInvoice] = await self._invoices.of(call, [sale])
        return added_up([each for each in found if each.state != "cancelled"])


def _holds(sale: wire.BilledSale, order: CreditOrder) -> bool:
    """Whether the sale gives back what the credit says, line by line, and keeps the fee."""
    there = {(line.sequence, line.product.code, line.quantity, line.unit_price) for line in sale.lines if line.product}
    kept = sum((line.unit_price or Decimal(0) for line in sale.lines if not line.product), Decimal(0))
    asked = {(line.line, line.sku, -line.amount, line.unit_price.amount) for line in order.lines}
    return there == asked and kept == order.fee
