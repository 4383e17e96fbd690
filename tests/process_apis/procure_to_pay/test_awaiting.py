"""Whom a purchase waits for: its supplier's answer, goods, an invoice, or nobody."""

from datetime import date, timedelta
from decimal import Decimal

from msgspec.structs import replace

from gateway.canonical.purchase import PurchaseStatus
from process_apis.procure_to_pay.awaiting import awaited
from process_apis.procure_to_pay.models import Facts
from tests.process_apis.procure_to_pay.drawing import ASKED, LATER, ack, bill, notice, purchase, stood

_BEFORE = ASKED - timedelta(days=1)


def _awaited(today=_BEFORE, of=None, **facts):
    of = of or purchase()
    standing = stood(Facts(**facts), of)
    found = awaited(replace(of, standing=standing, state=standing.state), today)
    return None if found is None else (found.code, found.late)


_ANSWERED = (ack("A-1", (1, "IA", 10), (2, "IA", 4)),)
_CAME = {"itm_1": Decimal(120), "itm_2": Decimal(4)}


def test_what_its_supplier_did_not_answer_waits_for_that():
    assert _awaited() == ("purchase.unanswered", False)
    assert _awaited(acknowledgements=(ack("A-1", (1, "IA", 10)),)) == ("purchase.unanswered", False)


def test_what_was_answered_waits_for_goods_and_is_late_after_its_day():
    assert _awaited(acknowledgements=_ANSWERED) == ("purchase.goods", False)
    assert _awaited(date(2026, 12, 2), acknowledgements=_ANSWERED) == ("purchase.goods", True)
    advised = {"acknowledgements": _ANSWERED, "notices": (notice("N-1", (1, 10), (2, 4)),)}
    assert _awaited(LATER, **advised) == ("purchase.goods", False)
    assert _awaited(LATER + timedelta(days=1), **advised) == ("purchase.goods", True)


def test_what_nobody_knows_a_day_for_is_told_as_late():
    undated = (ack("A-1", (1, "IB", 10), (2, "IB", 4)),)
    assert _awaited(acknowledgements=undated) == ("purchase.undated", True)


def test_what_came_waits_for_its_bill_and_what_is_billed_for_nobody():
    assert _awaited(acknowledgements=_ANSWERED, received=_CAME) == ("purchase.unbilled", False)
    billed = (bill("I-1", (1, 10, 24), (2, 4, "3.5")),)
    assert _awaited(acknowledgements=_ANSWERED, received=_CAME, invoices=billed) is None


def test_what_is_cancelled_or_cannot_be_mapped_waits_for_nobody():
    assert _awaited(of=purchase(status=PurchaseStatus.CANCELLED)) is None
    assert awaited(replace(purchase(), cause="purchase.item_unknown"), ASKED) is None


def test_of_many_lines_the_first_are_named():
    of = purchase((10, 4))
    lines = tuple(replace(of.lines[1], line=number, item=f"itm_{number}") for number in range(1, 8))
    of = replace(of, lines=lines)
    standing = stood(Facts(), of)
    found = awaited(replace(of, standing=standing, state=standing.state), ASKED)
    assert found is not None
    assert "lines 1, 2, 3, 4, 5 and 2 more" in found.detail
