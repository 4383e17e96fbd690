"""What ERPs are asked to bill, and what their invoices do to an order, inside its transaction."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from gateway.canonical.invoice import SystemInvoice
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.invoice_rules import InvoicingOptions, bills_due, differences, invoice_of, is_billed
from process_apis.order_to_ship.models import ExceptionClass, Finding, Task
from process_apis.order_to_ship.outcomes import Outcome, Verdict
from process_apis.order_to_ship.records import Change
from process_apis.order_to_ship.steps import with_task

_LONGEST: Final = 1_000


class InvoiceDesk:
    """Plans who is asked to bill what, and keeps what came of it."""

    def __init__(self, options: InvoicingOptions) -> None:
        self._options = options

    def plan(self, change: Change) -> None:
        """Have what was posted billed, where the ERP is one that is asked."""
        for task in bills_due(change.order, self._options.systems):
            change.set(tasks=with_task(change.order, task).tasks)

    def settle(self, change: Change, task: Task, outcome: Outcome, verdict: Verdict) -> Verdict:
        """Keep the invoice, each once; one that says otherwise than was shipped stops the order before its end."""
        found = outcome.answer
        if not isinstance(found, SystemInvoice):
            return verdict
        invoice = invoice_of(task, found)
        others = tuple(each for each in change.order.invoices if each.shipment != invoice.shipment)
        change.set(invoices=(*others, invoice), tasks=with_task(change.order, verdict.task).tasks)
        change.tell(
            "invoice.issued",
            shipment=invoice.shipment,
            system=invoice.system,
            number=invoice.number,
            issued_on=invoice.issued_on,
            currency=invoice.currency,
            net=plain(invoice.net),
            tax=plain(invoice.tax),
            total=plain(invoice.total),
        )
        if is_billed(change.order):
            change.tell("order.invoiced", numbers=sorted({each.number for each in change.order.invoices}))
        if told := differences(change.order, invoice, found, self._options.tolerance):
            return replace(verdict, finding=_differs(task, invoice.number, "; ".join(told)))
        return verdict


def _differs(task: Task, number: str, what: str) -> Finding:
    detail = f"invoice {number} of {task.system} differs: {what}. Correct or accept it there; retry lets the order end"
    return Finding(
        exception=ExceptionClass.CLASHED,
        fault_domain=task.system,
        code="invoice.differs",
        detail=detail[:_LONGEST],
        blocking=True,
        kind=task.kind,
        target=task.target,
    )
