"""The ERP's own word on suppliers' invoices: told beside ours, and a person's where the two differ."""

from decimal import Decimal

import pytest

from gateway.canonical.purchase import BillPage, BillState, ReportedBill
from process_apis.procure_to_pay.booked_bills import beside_the_books
from process_apis.procure_to_pay.models import Decision, Facts, InvoiceStanding
from process_apis.procure_to_pay.posting import postings_of
from tests.process_apis.procure_to_pay.drawing import bill, stood


def word(state, net="36", *, sequence=1, number="I-1", purchases=("PO-1",), currency="USD"):
    return ReportedBill(
        number=number, purchases=purchases, state=BillState(state), net=Decimal(net), currency=currency,
        sequence=sequence,
    )  # fmt: skip


def _beside(verdict, *bills, decisions=None):
    standings = [InvoiceStanding(number="I-1", verdict=verdict)]
    invoices = [bill("I-1", (1, 1, 24), (2, "3.428", "3.5"))]
    [standing], needs = beside_the_books(standings, invoices, bills, decisions or {})
    return standing.erp, [need.code for need in needs]


@pytest.mark.parametrize(
    ("verdict", "state", "net", "code"),
    [
        ("matched", "draft", "1", None),
        ("matched", "validated", "1", None),
        ("matched", "posted", "36", None),
        ("matched", "paid", "36.01", None),
        ("matched", "paid", "36.10", "invoice.erp_differs"),
        ("matched", "cancelled", "36", "invoice.erp_cancelled"),
        ("blocked", "cancelled", "36", None),
        ("blocked", "posted", "36", "invoice.erp_booked"),
        ("refused", "paid", "36", "invoice.erp_booked"),
        ("pending", "posted", "36", "invoice.erp_booked"),
        ("pending", "draft", "36", None),
    ],
)
def test_where_the_erp_says_otherwise_than_we_do_a_person_looks(verdict, state, net, code):
    assert _beside(verdict, word(state, net)) == (state, [code] if code else [])


def test_of_what_the_erp_said_the_newest_counts_in_whatever_order_it_came():
    for words in ((word("posted"), word("cancelled", sequence=2)), (word("cancelled", sequence=2), word("posted"))):
        assert _beside("matched", *words) == ("cancelled", ["invoice.erp_cancelled"])


def test_what_a_person_looked_at_is_told_no_more_until_the_erp_says_something_else():
    decisions = {"erp/I-1/cancelled": True}
    assert _beside("matched", word("cancelled"), decisions=decisions) == ("cancelled", [])
    assert _beside("matched", word("paid", "40", sequence=2), decisions=decisions)[1] == ["invoice.erp_differs"]


def test_an_invoice_over_several_purchases_is_not_compared_with_one_of_them():
    assert _beside("matched", word("posted", "99", purchases=("PO-1", "PO-2"))) == ("posted", [])
    assert _beside("matched", word("posted", currency="EUR"))[1] == ["invoice.erp_differs"]


def test_the_erps_word_before_the_invoice_waits_for_it():
    standing = stood(Facts(bills=(word("posted"),)))
    assert (standing.invoices, standing.needs) == ((), ())


class Ledger:
    """An ERP's invoices, told in pages of one."""

    def __init__(self, *words):
        self.words = list(words)

    async def read_supplier_invoices(self, call, *, cursor=None, limit=100):
        place = int(cursor or 0)
        found = tuple(self.words[place : place + 1])
        resume = str(place + len(found))
        return BillPage(found, resume, resume)


async def _matched(booked):
    made = await booked.approve("PO-1", 10)
    await booked.receive("PO-1", 120)
    await booked.purchases.dialogue.bill(booked.caller, made.purchase, bill("I-1", (1, 10, 24)))
    await booked.work()
    return made.purchase


async def _read(booked, ledger):
    return await booked.purchases.read_bills(booked.call(), "erp", ledger)


@pytest.mark.integration
async def test_what_becomes_of_a_booked_invoice_is_told_once_each(booked):
    made = await _matched(booked)
    ledger = Ledger(word("posted", "240"), word("posted", "240", sequence=2), word("paid", "240", sequence=3))
    assert await _read(booked, ledger) == 2
    assert await _read(booked, ledger) == 0
    assert await booked.purchases.bookkeeping.take(booked.tenant, "erp", ledger.words, "again") == 0
    known = await booked.purchases.dialogue.get(booked.tenant, made)
    assert [(each.verdict, each.erp) for each in known.standing.invoices] == [("matched", "paid")]
    assert (await booked.events()).count("invoice.state_reported") == 2
    assert await booked.troubles() == {}
    async with booked.store.connection() as connection:
        assert len(await postings_of(connection, made)) == 2


@pytest.mark.integration
async def test_an_invoice_that_the_erp_cancelled_is_an_exception_until_a_person_looked(booked):
    made = await _matched(booked)
    await _read(booked, Ledger(word("cancelled", "240")))
    told = (await booked.troubles())["invoice.erp_cancelled"]
    assert (told.effect, told.value) == ("misbooks", 240)
    looked = Decision(subject="erp/I-1/cancelled", accept=True, reason="it was billed twice")
    await booked.purchases.deciding.decide(booked.caller, made, looked)
    assert await booked.troubles() == {}


@pytest.mark.integration
async def test_what_is_told_of_purchases_that_nobody_knows_or_that_are_unmapped_does_no_harm(booked):
    lost = await booked.approve("PO-1", 1, supplier="SUP9")
    ledger = Ledger(word("posted", "24", purchases=("PO-7",)), word("posted", "24"))
    assert await _read(booked, ledger) == 1
    assert (await booked.purchases.dialogue.get(booked.tenant, lost.purchase)).state == "unmapped"
    await booked.onboard("SUP9")
    await booked.purchases.intake.mend(booked.tenant, lost.purchase, "c")
    await booked.receive("PO-1", 12)
    found = await booked.purchases.dialogue.bill(booked.caller, lost.purchase, bill("I-1", (1, 1, 24)))
    assert [(each.verdict, each.erp) for each in found.standing.invoices] == [("matched", "posted")]
