"""Invoices and credit notes in the real Tryton of this session. Each test has items and references of its own."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from gateway.canonical.invoice import CreditLine, CreditOrder, InvoiceState
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, OutcomeUnknown, Unavailable
from gateway.kernel.ids import new_id
from gateway.kernel.money import Money
from system_apis.tryton.adapter import Adapter
from tests.system_apis.tryton.scenarios import call, order, shipped
from tests.system_apis.tryton.test_live import Lossy

pytestmark = pytest.mark.integration
PRICE = Decimal("9.9513")


async def sell(adapter, *lines):
    """Our order in Tryton, all of it shipped; its id and the posting's."""
    reference, posting = new_id("ord"), new_id("pst")
    await adapter.submit_order(call(), order=order(reference, *lines))
    told = shipped(*[(number, amount) for number, (_, amount, _) in enumerate(lines, start=1)])
    await adapter.post_shipment(call(), reference=reference, posting=posting, location="WH-N", lines=told)
    return reference, posting


def credit_of(reference, sku, amount, *, restocked, fee="0"):
    line = CreditLine(
        line=1, item="itm_1", sku=sku, amount=Decimal(amount), uom="EA", unit_price=Money(PRICE, "USD"),
        restocked=Decimal(restocked),
    )  # fmt: skip
    return CreditOrder(
        credit=new_id("crd"), order=reference, sold_to="CUST1", currency="USD", location="WH-N", lines=(line,),
        fee=Decimal(fee), reason="damaged",
    )  # fmt: skip


async def stock_of(adapter, sku):
    snapshot = await adapter.read_stock(call(), locations=["WH-N"])
    return sum(figure.amount for figure in snapshot.figures if figure.source_item == sku)


async def test_invoices_are_per_shipment_and_name_the_posting_and_line_they_bill(adapter):
    reference, posting = await sell(adapter, ("SKU-0120", "3", "WH-N"), ("SKU-0121", "1", "WH-N"))
    [invoice] = await adapter.read_invoices(call(), reference=reference)
    assert (invoice.state, invoice.number, invoice.currency) == (InvoiceState.DRAFT, None, "USD")
    assert [(line.line, line.code, line.amount, line.unit_price, line.posting) for line in invoice.lines] == [
        (1, "SKU-0120", 3, PRICE, posting),
        (2, "SKU-0121", 1, PRICE, posting),
    ]
    assert (invoice.reference, invoice.net, invoice.owed) == (reference, Decimal("39.80"), False)
    assert await adapter.read_invoices(call(), reference=new_id("ord")) == []


async def test_a_credit_note_is_posted_once_books_goods_in_and_scrap_out_and_keeps_the_fee(adapter):
    reference, _ = await sell(adapter, ("SKU-0122", "5", "WH-N"))
    before = await stock_of(adapter, "SKU-0122")
    asked = credit_of(reference, "SKU-0122", "3", restocked="2", fee="1.50")
    assert await adapter.find_credit(call(), credit=asked.credit) is None
    issued = await adapter.issue_credit(call(), order=asked)
    assert (issued.state, issued.is_credit, issued.total) == (InvoiceState.POSTED, True, Decimal("-28.35"))
    assert issued.number
    assert issued.reference == asked.credit
    assert await adapter.issue_credit(call(), order=asked) == issued
    assert await adapter.find_credit(call(), credit=asked.credit) == issued
    assert await stock_of(adapter, "SKU-0122") == before + 2
    found = await adapter.read_invoices(call(), reference=reference)
    assert [(each.is_credit, each.reference) for each in found] == [(False, reference), (True, asked.credit)]
    with pytest.raises(Conflict) as differs:
        await adapter.issue_credit(call(), order=replace(asked, fee=Decimal(2)))
    assert differs.value.code == "erp.credit_differs"


@pytest.mark.parametrize(
    ("lose", "sent"),
    [
        (4, True),
        *(pytest.param(lose, True, marks=pytest.mark.long) for lose in (1, 2, 3, 5, 6, 7, 8)),
        *(pytest.param(lose, False, marks=pytest.mark.long) for lose in (1, 4, 8)),
    ],
)
async def test_a_credit_cut_off_at_any_step_is_issued_once(tryton, session, adapter, lose, sent):
    reference, _ = await sell(adapter, ("SKU-0123", "2", "WH-N"))
    before = await stock_of(adapter, "SKU-0123")
    asked = credit_of(reference, "SKU-0123", "2", restocked="1")
    line = Lossy(session, lose=lose, sent=sent)
    with pytest.raises(OutcomeUnknown if sent else Unavailable):
        await Adapter("erp", tryton.settings(), line, SystemClock()).issue_credit(call(), order=asked)
    issued = await adapter.find_credit(call(), credit=asked.credit)
    issued = issued or await adapter.issue_credit(call(), order=asked)
    assert issued.state is InvoiceState.POSTED
    assert await stock_of(adapter, "SKU-0123") == before + 1
    found = await adapter.read_invoices(call(), reference=reference)
    assert [each.total for each in found if each.is_credit and each.owed] == [issued.total]
