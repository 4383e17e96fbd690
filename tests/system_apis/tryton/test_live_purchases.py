"""What came in and what was billed, booked in the real Tryton of this session. Each test has purchases of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.canonical.purchase import BilledLine, GoodsReceipt, ReceivedLine, SupplierInvoice
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, OutcomeUnknown, Rejected, Unavailable
from gateway.kernel.ids import new_id
from system_apis.tryton.adapter import Adapter
from tests.system_apis.tryton.buying import Buyer
from tests.system_apis.tryton.scenarios import call
from tests.system_apis.tryton.test_live import Lossy

pytestmark = [pytest.mark.integration, pytest.mark.long]
TODAY = datetime.now(UTC).date()


@pytest.fixture
def buyer(tryton, session):
    return Buyer(tryton, session)


def receipt(number, *lines, location="WH-N", uom="CS"):
    said = tuple(ReceivedLine(line=line, amount=Decimal(amount), uom=uom) for line, amount in lines)
    return GoodsReceipt(receipt=new_id("rcv"), purchase=number, location=location, received_on=TODAY, lines=said)


def invoice(*lines):
    """Of (line, amount, price)."""
    said = tuple(BilledLine(line=n, amount=Decimal(amount), unit_price=Decimal(price)) for n, amount, price in lines)
    return SupplierInvoice(number=new_id("INV"), invoiced=TODAY, currency="USD", lines=said)


async def stock_of(adapter, sku):
    snapshot = await adapter.read_stock(call(), locations=["WH-N"])
    return sum(figure.amount for figure in snapshot.figures if figure.source_item == sku)


async def test_what_came_in_is_booked_once_and_the_rest_stays_open(adapter, buyer):
    number, [line] = await buyer.buy(("SKU-0130", "cs12", "5", "57"))
    before = await stock_of(adapter, "SKU-0130")
    first = receipt(number, (line, 2))
    assert await adapter.find_receipt(call(), receipt=first.receipt) is None
    booked = await adapter.book_receipt(call(), receipt=first)
    assert await adapter.book_receipt(call(), receipt=first) == booked
    assert await adapter.find_receipt(call(), receipt=first.receipt) == booked
    assert await stock_of(adapter, "SKU-0130") == before + 24
    rest = receipt(number, (line, 3))
    await adapter.book_receipt(call(), receipt=rest)
    assert await stock_of(adapter, "SKU-0130") == before + 60
    assert sorted(await buyer.receptions(number)) == sorted([(first.receipt, "done"), (rest.receipt, "done")])
    assert (await buyer.state(number))[1] == "received"


async def test_more_than_is_open_is_booked_when_somebody_accepted_it(adapter, buyer):
    number, [line] = await buyer.buy(("SKU-0131", "cs12", "2", "57"))
    before = await stock_of(adapter, "SKU-0131")
    await adapter.book_receipt(call(), receipt=receipt(number, (line, 3)))
    await adapter.book_receipt(call(), receipt=receipt(number, (line, 1)))
    assert await stock_of(adapter, "SKU-0131") == before + 48


@pytest.mark.parametrize(
    ("lose", "sent"),
    [(1, True), *((n, s) for n, s in ((1, False), (2, True), (3, True)))],
)
async def test_a_receipt_cut_off_at_any_step_is_booked_once(tryton, session, adapter, buyer, lose, sent):
    number, [line] = await buyer.buy(("SKU-0132", "cs12", "2", "57"))
    before = await stock_of(adapter, "SKU-0132")
    asked = receipt(number, (line, 2))
    lossy = Lossy(session, lose=lose, sent=sent)
    other = Adapter("erp", tryton.settings(), lossy, SystemClock())
    with pytest.raises(OutcomeUnknown if sent else Unavailable):
        await other.book_receipt(call(), receipt=asked)
    if await adapter.find_receipt(call(), receipt=asked.receipt) is None:
        await adapter.book_receipt(call(), receipt=asked)
    assert await buyer.receptions(number) == [(asked.receipt, "done")]
    assert await stock_of(adapter, "SKU-0132") == before + 24


async def test_a_receipt_that_says_something_else_or_is_for_another_place_is_refused(adapter, buyer):
    number, [line] = await buyer.buy(("SKU-0133", "cs12", "4", "57"))
    asked = receipt(number, (line, 1))
    await adapter.book_receipt(call(), receipt=asked)
    differs = GoodsReceipt(
        receipt=asked.receipt, purchase=number, location="WH-N", received_on=TODAY,
        lines=(ReceivedLine(line=line, amount=Decimal(2), uom="CS"),),
    )  # fmt: skip
    with pytest.raises(Conflict) as told:
        await adapter.book_receipt(call(), receipt=differs)
    assert told.value.code == "erp.receipt_differs"
    for wrong, code in (
        (receipt(number, (line, 1), location="WH-W"), "erp.receipt_location"),
        (receipt(number, (line, 1), uom="EA"), "erp.unit_mismatch"),
        (receipt(number, (line + 100_000, 1)), "erp.receipt_line"),
        (receipt("no such", (line, 1)), "erp.purchase_not_found"),
    ):
        with pytest.raises(Rejected) as refused:
            await adapter.book_receipt(call(), receipt=wrong)
        assert refused.value.code == code


async def test_an_invoice_over_two_receptions_is_posted_once_as_it_is_billed(adapter, buyer):
    number, [cases, kilos] = await buyer.buy(("SKU-0134", "cs12", "5", "57"), ("SKU-0183", "kg", "2.5", "9.5"))
    await adapter.book_receipt(call(), receipt=receipt(number, (cases, 2)))
    await adapter.book_receipt(call(), receipt=receipt(number, (cases, 3)))
    await adapter.book_receipt(call(), receipt=receipt(number, (kilos, "2.5"), uom="KGM"))
    asked = invoice((cases, 4, "57.50"))
    assert await adapter.find_supplier_invoice(call(), purchase=number, number=asked.number) is None
    booked = await adapter.book_supplier_invoice(call(), purchase=number, invoice=asked)
    assert await adapter.book_supplier_invoice(call(), purchase=number, invoice=asked) == booked
    assert await adapter.find_supplier_invoice(call(), purchase=number, number=asked.number) == booked
    left = invoice((cases, 1, "57"), (kilos, "2.5", "9.5"))
    await adapter.book_supplier_invoice(call(), purchase=number, invoice=left)
    assert sorted(await buyer.invoices(number), key=str) == sorted(
        [(asked.number, "posted", Decimal("230.00")), (left.number, "posted", Decimal("80.75"))], key=str
    )


async def test_nothing_is_billed_that_tryton_did_not_see_come_in(adapter, buyer):
    number, [line] = await buyer.buy(("SKU-0135", "cs12", "5", "57"))
    with pytest.raises(Conflict) as refused:
        await adapter.book_supplier_invoice(call(), purchase=number, invoice=invoice((line, 1, "57")))
    assert refused.value.code == "erp.nothing_to_bill"


@pytest.mark.parametrize(
    ("lose", "sent"),
    [(2, True), *((n, s) for n, s in ((1, True), (2, False), (3, True)))],
)
async def test_an_invoice_cut_off_at_any_step_is_posted_once(tryton, session, adapter, buyer, lose, sent):
    number, [line] = await buyer.buy(("SKU-0136", "cs12", "4", "57"))
    for _ in range(2):
        await adapter.book_receipt(call(), receipt=receipt(number, (line, 2)))
    asked = invoice((line, 4, "57"))
    other = Adapter("erp", tryton.settings(), Lossy(session, lose=lose, sent=sent), SystemClock())
    with pytest.raises(OutcomeUnknown if sent else Unavailable):
        await other.book_supplier_invoice(call(), purchase=number, invoice=asked)
    if await adapter.find_supplier_invoice(call(), purchase=number, number=asked.number) is None:
        await adapter.book_supplier_invoice(call(), purchase=number, invoice=asked)
    assert await buyer.invoices(number) == [(asked.number, "posted", Decimal("228.00"))]
    assert await buyer.state(number) == ("processing", "received", "awaiting payment")
