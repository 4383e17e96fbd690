"""What is to be billed, and whether an invoice says what was shipped and sold. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.invoice import SystemInvoice
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.models import Invoice, InvoicedLine, Order, Shipment, Task, TaskKind, TaskState

_ZERO: Final = Decimal(0)


class InvoicingOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ERPs that are asked to bill each shipment that was posted to them; others bill by themselves, or not here.

    An invoice that is off by more than `tolerance`, in its currency, for a line or in its sums goes to a person.
    """

    systems: tuple[str, ...] = ()
    tolerance: Decimal = Decimal("0.02")


def bills_due(order: Order, systems: tuple[str, ...]) -> tuple[Task, ...]:
    """What is to be billed and not planned yet: every shipment that was posted to one of `systems`."""
    lines = {shipment.shipment_id for shipment in order.shipments if shipment.lines}
    return tuple(
        Task(kind=TaskKind.INVOICE, target=posting.target, system=posting.system)
        for posting in order.of_kind(TaskKind.SHIPMENT_POSTING)
        if posting.state is TaskState.DONE
        and posting.number is not None
        and posting.system in systems
        and posting.target in lines
        and order.task(TaskKind.INVOICE, posting.target) is None
    )


def invoice_of(task: Task, found: SystemInvoice) -> Invoice:
    """What is kept of the invoice of a shipment."""
    return Invoice(
        shipment=task.target,
        system=task.system,
        number=found.number or found.identity,
        issued_on=found.issued_on,
        currency=found.currency,
        net=found.net,
        tax=found.tax,
        total=found.total,
        lines=tuple(
            InvoicedLine(line=each.line, amount=each.amount, unit_price=each.unit_price, net=each.net, tax=each.tax)
            for each in found.lines
            if each.posting == task.target and each.line is not None
        ),
    )


def is_billed(order: Order) -> bool:
    """Whether every invoice that is asked for is there, and every shipment was told."""
    asked = (*order.of_kind(TaskKind.SHIPMENT_POSTING), *order.of_kind(TaskKind.INVOICE))
    return bool(order.invoices) and all(task.state is TaskState.DONE for task in asked)


def differences(order: Order, invoice: Invoice, found: SystemInvoice, tolerance: Decimal) -> tuple[str, ...]:
    """In what an invoice departs from what was shipped, at the order's prices; and in its own sums, tax included."""
    shipment = next(each for each in order.shipments if each.shipment_id == invoice.shipment)
    told = [*_of_lines(order, shipment, invoice, tolerance), *_of_sums(found, tolerance)]
    if invoice.currency != order.currency:
        told.insert(0, f"it is in {invoice.currency}, the order in {order.currency}")
    return tuple(told)


def _of_lines(order: Order, shipment: Shipment, invoice: Invoice, tolerance: Decimal) -> Iterator[str]:
    shipped: dict[int, Decimal] = defaultdict(Decimal)
    for part in shipment.lines:
        shipped[part.line] += part.amount
    billed: dict[int, Decimal] = defaultdict(Decimal)
    net: dict[int, Decimal] = defaultdict(Decimal)
    for line in invoice.lines:
        billed[line.line] += line.amount
        net[line.line] += line.net
    prices = {line.line: line.unit_price for line in order.lines}
    for number in sorted({*shipped, *billed}):
        if shipped[number] != billed[number]:
            yield f"line {number}: {plain(shipped[number])} were shipped, {plain(billed[number])} are billed"
        elif abs(net[number] - (due := billed[number] * prices.get(number, _ZERO))) > tolerance:
            yield f"line {number}: {plain(net[number])} net is billed, {plain(due)} was agreed"


def _of_sums(found: SystemInvoice, tolerance: Decimal) -> Iterator[str]:
    net = sum((line.net for line in found.lines), _ZERO)
    if abs(net - found.net) > tolerance:
        yield f"its lines come to {plain(net)} net, it says {plain(found.net)}"
    if abs(found.net + found.tax - found.total) > tolerance:
        yield f"net {plain(found.net)} and tax {plain(found.tax)} do not come to its total {plain(found.total)}"
    taxes = [line.tax for line in found.lines if line.tax is not None]
    if len(taxes) == len(found.lines) and abs(sum(taxes, _ZERO) - found.tax) > tolerance:
        yield f"tax of its lines comes to {plain(sum(taxes, _ZERO))}, it says {plain(found.tax)}"
