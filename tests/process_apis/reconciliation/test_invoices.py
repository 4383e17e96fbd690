"""Invoices against shipments: each is billed once, in time, as it left, at the price of the order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gateway.canonical.invoice import InvoiceLine, InvoiceState, SystemInvoice
from gateway.canonical.reconciliation import BookedOrder, BookedShipment
from process_apis.reconciliation.invoice_rules import UNSHIPPED, wrong_invoices
from process_apis.reconciliation.models import Cause

LEFT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PRICE = Decimal("9.9513")


def booked(*postings):
    return BookedOrder(
        order="ord_1", system="erp", number="S1", gone=False, prices={1: PRICE},
        shipments=tuple(
            BookedShipment(posting=name, location="north", lines={1: Decimal(amount)}, shipped_at=LEFT)
            for name, amount in postings
        ),
    )  # fmt: skip


def invoice(posting, amount, *, identity="I1", state=InvoiceState.POSTED, price=PRICE, line=1):
    net = (Decimal(amount) * price).quantize(Decimal("0.01"))
    return SystemInvoice(
        identity=identity, number=identity, state=state, issued_on=None, currency="USD", net=net, tax=Decimal(0),
        total=net,
        lines=(
            InvoiceLine(line=line, code="S", amount=Decimal(amount), unit_price=price, net=net, posting=posting),
        ),
    )  # fmt: skip


def judged(order, *found, days=2):
    due = LEFT + timedelta(days=days - 1)
    return {
        posting: (cause, amount)
        for posting, (cause, _, amount) in wrong_invoices(
            order, found, due_before=due, tolerance=Decimal("0.01")
        ).items()
    }


def test_a_shipment_that_is_billed_once_as_it_left_is_right():
    assert judged(booked(("a", 3), ("b", 1)), invoice("a", 3), invoice("b", 1, identity="I2")) == {}


@pytest.mark.parametrize("state", [InvoiceState.DRAFT, InvoiceState.CANCELLED])
def test_what_is_not_posted_is_missing_once_its_time_has_passed(state):
    assert judged(booked(("a", 3)), invoice("a", 3, state=state), days=2) == {"a": (Cause.LOSS, -3)}
    assert judged(booked(("a", 3)), invoice("a", 3, state=state), days=1) == {}
    assert judged(booked(("a", 3))) == {"a": (Cause.LOSS, -3)}


def test_a_second_invoice_of_one_shipment_is_told_even_while_it_is_a_draft():
    second = invoice("a", 3, identity="I2", state=InvoiceState.DRAFT)
    told = wrong_invoices(booked(("a", 3)), [invoice("a", 3), second], due_before=LEFT, tolerance=Decimal(0))
    assert told["a"][0] is Cause.SOURCE_ONLY
    assert "I1, I2" in told["a"][1]
    assert told["a"][2] == 3


def test_other_quantities_and_prices_are_told_and_rounding_is_not():
    assert judged(booked(("a", 3)), invoice("a", 2)) == {"a": (Cause.SOURCE_ONLY, -1)}
    dear = invoice("a", 3, price=Decimal("9.96"))
    assert judged(booked(("a", 3)), dear)["a"][0] is Cause.SOURCE_ONLY
    assert judged(booked(("a", 3)), invoice("a", 3, price=Decimal("9.95"))) == {}


def test_a_credit_note_bills_nothing_and_takes_nothing_away():
    assert judged(booked(("a", 3)), invoice("a", 3), invoice(None, -2, identity="C1")) == {}


def test_an_invoice_before_its_shipment_is_told_where_the_erp_names_no_shipments():
    assert judged(booked(("a", 3)), invoice(None, 5)) == {UNSHIPPED: (Cause.SOURCE_ONLY, 2)}
    assert judged(booked(("a", 3)), invoice(None, 3)) == {}
