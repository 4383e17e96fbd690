from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.purchase import AckCode, PurchaseStatus
from process_apis.procure_to_pay.models import Decision, Facts, LineClosure, PurchaseState, SentBack
from tests.process_apis.procure_to_pay.drawing import ASKED, LATER, ack, bill, first, notice, purchase, stood

KEY = "ack/A/1/1"


def dates(facts, **tolerances):
    return [(part.amount, part.on) for part in stood(facts, **tolerances).supply if part.line == 1]


def needs(facts, **tolerances):
    return [need.code for need in stood(facts, **tolerances).needs]


def decided(accept, key=KEY):
    return (Decision(subject=key, accept=accept, reason="because"),)


def test_without_an_answer_a_line_is_supply_on_the_day_that_was_asked_for():
    assert dates(Facts()) == [(120, ASKED)]
    assert stood(Facts()).state is PurchaseState.APPROVED


def test_an_accepted_line_is_acknowledged_in_base_units():
    facts = Facts(acknowledgements=(ack("A", (1, "IA", 10)),))
    assert first(facts).acknowledged == 120
    assert not needs(facts)


@pytest.mark.parametrize("code", ["IR", "ID", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8"])
def test_a_rejected_quantity_leaves_supply_and_is_a_buyers_to_see(code):
    facts = Facts(acknowledgements=(ack("A", (1, "IA", 6), (1, code, 4)),))
    assert first(facts).rejected == 48
    assert dates(facts) == [(72, ASKED)]
    assert needs(facts) == ["purchase.line_rejected"]


@pytest.mark.parametrize("code", ["IB", "SP"])
def test_a_backorder_without_a_date_counts_as_no_supply(code):
    facts = Facts(acknowledgements=(ack("A", (1, "IA", 6), (1, code, 4)),))
    assert dates(facts) == [(72, ASKED), (48, None)]
    assert first(facts).open == 120


def test_a_backorder_with_a_date_counts_then():
    facts = Facts(acknowledgements=(ack("A", (1, "IB", 10), on=LATER),))
    assert dates(facts) == [(120, LATER)]


def test_an_unknown_code_is_an_exception_and_never_an_acceptance():
    facts = Facts(acknowledgements=(ack("A", (1, "ZZ", 10)),))
    assert (first(facts).acknowledged, first(facts).answered) == (0, False)
    assert needs(facts) == ["purchase.ack_code_unknown"]


def test_every_code_of_the_element_is_known():
    for code in AckCode:
        facts = Facts(acknowledgements=(ack("A", (1, code.value, 10)),))
        assert "purchase.ack_code_unknown" not in needs(facts)
        assert sum(part.amount for part in stood(facts).supply if part.line == 1) + first(facts).rejected == 120


@pytest.mark.parametrize("code", ["IH", "IF", "IW"])
def test_a_line_on_hold_is_no_supply_and_no_acceptance(code):
    facts = Facts(acknowledgements=(ack("A", (1, code, 10)),))
    assert (first(facts).acknowledged, dates(facts)) == (0, [(120, None)])
    assert needs(facts) == ["purchase.line_on_hold"]


def test_another_date_moves_supply_and_beyond_tolerance_a_buyer_decides():
    facts = Facts(acknowledgements=(ack("A", (1, "DR", 10), on=LATER),))
    assert dates(facts) == [(120, LATER)]
    assert needs(facts) == ["purchase.rescheduled"]
    assert needs(facts, ack_days=8) == []


def test_a_price_within_tolerance_is_accepted_and_beyond_it_is_decided():
    facts = Facts(acknowledgements=(ack("A", (1, "IP", 10), unit_price=Decimal(25)),))
    assert needs(facts) == ["purchase.price_changed"]
    assert needs(facts, ack_price_percent=Decimal(5)) == []


def test_less_within_tolerance_is_not_waited_for_and_beyond_it_is_decided():
    facts = Facts(acknowledgements=(ack("A", (1, "IQ", 9)),))
    assert (needs(facts), dates(facts)) == (["purchase.quantity_changed"], [(108, ASKED), (12, None)])
    within = first(facts, ack_quantity_percent=Decimal(10))
    assert (within.rejected, within.open) == (12, 108)


def test_a_substitute_is_no_supply_of_the_item():
    facts = Facts(acknowledgements=(ack("A", (1, "IS", 10), substitute="V-9"),))
    assert (dates(facts), needs(facts)) == ([(120, None)], ["purchase.substituted"])


def test_a_departure_that_the_buyer_refuses_leaves_supply():
    facts = Facts(acknowledgements=(ack("A", (1, "DR", 10), on=LATER),), decisions=decided(False))
    assert (first(facts).rejected, needs(facts)) == (120, [])


def test_a_departure_that_the_buyer_takes_stays():
    facts = Facts(acknowledgements=(ack("A", (1, "DR", 10), on=LATER),), decisions=decided(True))
    assert (dates(facts), needs(facts)) == ([(120, LATER)], [])


def test_never_more_is_acknowledged_than_was_ordered():
    facts = Facts(acknowledgements=(ack("A", (1, "IA", 12)),))
    assert first(facts).acknowledged == 120
    assert needs(facts) == ["purchase.over_acknowledged"]


def test_of_two_answers_the_one_with_the_higher_sequence_holds():
    early, late = ack("A", (1, "IR", 10)), ack("B", (1, "IA", 10), sequence=2)
    for answers in ((early, late), (late, early)):
        assert first(Facts(acknowledgements=answers)).rejected == 0


def test_what_is_advised_comes_when_the_notice_says_and_the_rest_as_acknowledged():
    facts = Facts(acknowledgements=(ack("A", (1, "IA", 10)),), notices=(notice("N", (1, 4)),))
    assert dates(facts) == [(48, LATER), (72, ASKED)]
    assert stood(facts).state is PurchaseState.ON_ITS_WAY


def test_a_later_version_of_a_notice_takes_the_place_of_the_earlier():
    versions = (notice("N", (1, 4)), notice("N", sequence=2))
    for notices in (versions, versions[::-1]):
        assert dates(Facts(notices=notices)) == [(120, ASKED)]


def test_more_than_was_ordered_is_taken_within_tolerance_else_decided():
    facts = Facts(received={"itm_1": Decimal(126)})
    over = first(facts)
    assert (over.open, over.over, over.accepted) == (0, 6, 120)
    assert needs(facts) == ["purchase.over_received"]
    assert first(facts, over_receipt_percent=Decimal(5)).accepted == 126
    assert first(Facts(received=facts.received, decisions=decided(True, "over/1"))).accepted == 126


def test_what_lacks_within_tolerance_is_waited_for_no_more():
    facts = Facts(received={"itm_1": Decimal(118)})
    assert (first(facts).open, first(facts).cancelled) == (2, 0)
    short = first(facts, under_receipt_percent=Decimal(2))
    assert (short.open, short.cancelled) == (0, 2)


def test_a_closed_line_has_nothing_open_and_counts_what_comes_all_the_same():
    facts = Facts(received={"itm_1": Decimal(60)}, closures=(LineClosure(line=1, reason="enough"),))
    assert (first(facts).cancelled, first(facts).open) == (60, 0)
    more = Facts(received={"itm_1": Decimal(120)}, closures=facts.closures)
    assert (first(more).cancelled, first(more).received, first(more).over) == (0, 120, 0)


def test_goods_of_an_item_that_was_not_ordered_are_told():
    assert needs(Facts(received={"itm_9": Decimal(1)})) == ["purchase.line_unknown"]


def verdicts(facts, **tolerances):
    return [(each.number, each.verdict, each.reasons) for each in stood(facts, **tolerances).invoices]


def test_an_invoice_before_its_receipt_is_pending_and_matches_once_it_came():
    invoices = (bill("I", (1, 10, 24)),)
    assert verdicts(Facts(invoices=invoices)) == [("I", "pending", ())]
    assert verdicts(Facts(invoices=invoices, received={"itm_1": Decimal(120)})) == [("I", "matched", ())]


def test_invoices_of_a_line_are_weighed_together():
    facts = Facts(invoices=(bill("I", (1, 6, 24)), bill("J", (1, 5, 24), day=2)), received={"itm_1": Decimal(120)})
    assert verdicts(facts) == [("I", "matched", ()), ("J", "blocked", ("invoice.quantity",))]
    refused = Facts(invoices=facts.invoices, received=facts.received, decisions=decided(False, "invoice/I"))
    assert verdicts(refused) == [("I", "refused", ()), ("J", "matched", ())]


def test_a_price_has_to_pass_both_tolerances():
    facts = Facts(invoices=(bill("I", (1, 10, "24.5")),), received={"itm_1": Decimal(120)})
    blocked = [("I", "blocked", ("invoice.price",))]
    assert verdicts(facts, invoice_percent=Decimal(5)) == blocked
    assert verdicts(facts, invoice_absolute=Decimal(10)) == blocked
    both = {"invoice_percent": Decimal(5), "invoice_absolute": Decimal(5)}
    assert verdicts(facts, **both) == [("I", "matched", ())]


def test_a_price_that_was_accepted_is_one_to_bill_at():
    acknowledged = (ack("A", (1, "IP", 10), unit_price=Decimal(25)),)
    received = {"itm_1": Decimal(120)}

    def billed_at(price, *decisions, **tolerances):
        invoices = (bill("I", (1, 10, price)),)
        facts = Facts(acknowledgements=acknowledged, invoices=invoices, received=received, decisions=decisions)
        return verdicts(facts, **tolerances)

    blocked, matched = [("I", "blocked", ("invoice.price",))], [("I", "matched", ())]
    assert billed_at(25) == blocked
    assert billed_at(25, *decided(True)) == matched
    assert billed_at(24, *decided(True)) == matched
    assert billed_at("25.5", *decided(True)) == blocked
    assert billed_at(25, ack_price_percent=Decimal(5)) == matched
    assert billed_at("24.5", ack_price_percent=Decimal(5)) == blocked


def test_goods_that_went_back_are_not_to_be_billed():
    back = (SentBack(number="R", line=1, amount=Decimal(1), reason="broken"),)
    facts = Facts(invoices=(bill("I", (1, 10, 24)),), received={"itm_1": Decimal(120)}, sent_back=back)
    assert verdicts(facts) == [("I", "blocked", ("invoice.quantity",))]


def test_another_currency_or_a_line_that_is_not_there_blocks():
    received = {"itm_1": Decimal(120)}
    assert verdicts(Facts(invoices=(bill("I", (1, 1, 24), currency="EUR"),), received=received))[0][2] == (
        "invoice.currency",
    )
    assert verdicts(Facts(invoices=(bill("I", (7, 1, 24)),), received=received))[0][2] == ("invoice.line_unknown",)


def test_all_received_and_billed_is_matched_and_cancelled_is_cancelled():
    whole = {"itm_1": Decimal(120), "itm_2": Decimal(4)}
    facts = Facts(received=whole, invoices=(bill("I", (1, 10, 24), (2, 4, "3.5")),))
    assert stood(Facts(received=whole)).state is PurchaseState.RECEIVED
    assert stood(facts).state is PurchaseState.MATCHED
    gone = stood(Facts(), purchase(status=PurchaseStatus.CANCELLED))
    assert (gone.state, gone.supply) == (PurchaseState.CANCELLED, ())


CODES = st.sampled_from([*(code.value for code in AckCode), "ZZ"])
DAYS = st.dates(date(2026, 12, 1), date(2026, 12, 20))
AMOUNTS = st.integers(1, 14)
LINES = st.integers(1, 3)
ACKS = st.lists(
    st.builds(
        lambda number, sequence, parts, on: ack(number, *parts, sequence=sequence, on=on),
        st.sampled_from("ABC"), st.integers(1, 3), st.lists(st.tuples(LINES, CODES, AMOUNTS), min_size=1, max_size=3),
        st.none() | DAYS,
    ),
    max_size=4, unique_by=lambda each: (each.number, each.sequence),
)  # fmt: skip
NOTICES = st.lists(
    st.builds(
        lambda number, sequence, parts, on: notice(number, *parts, sequence=sequence, expected=on),
        st.sampled_from("NM"), st.integers(1, 3), st.lists(st.tuples(LINES, AMOUNTS), max_size=2), DAYS,
    ),
    max_size=4, unique_by=lambda each: (each.number, each.sequence),
)  # fmt: skip
BILLS = st.lists(
    st.builds(
        lambda number, parts, day: bill(number, *parts, day=day),
        st.sampled_from("IJKL"),
        st.lists(st.tuples(LINES, AMOUNTS, st.sampled_from(["24", "3.5", "25"])), min_size=1, max_size=2),
        st.integers(1, 4),
    ),
    max_size=4, unique_by=lambda each: each.number,
)  # fmt: skip
DECISIONS = st.lists(
    st.builds(
        lambda subject, accept: Decision(subject=subject, accept=accept, reason="x"),
        st.sampled_from(["ack/A/1/1", "ack/B/2/2", "over/1", "over/2", "invoice/I", "invoice/J"]), st.booleans(),
    ),
    max_size=3, unique_by=lambda each: each.subject,
)  # fmt: skip
RECEIVED = st.dictionaries(st.sampled_from(["itm_1", "itm_2", "itm_3"]), st.integers(0, 140).map(Decimal), max_size=3)
FACTS = st.builds(
    lambda acks, notices, bills, decisions, received, closed: Facts(
        acknowledgements=tuple(acks), notices=tuple(notices), invoices=tuple(bills), decisions=tuple(decisions),
        received=received, closures=tuple(LineClosure(line=line, reason="x") for line in closed),
    ),
    ACKS, NOTICES, BILLS, DECISIONS, RECEIVED, st.sets(LINES, max_size=1),
)  # fmt: skip


@given(facts=FACTS, random=st.randoms(use_true_random=False))
def test_in_whatever_order_it_was_said_a_purchase_stands_where_it_stands(facts, random):
    def shuffled(some):
        return tuple(random.sample(list(some), len(some)))

    other = Facts(
        acknowledgements=shuffled(facts.acknowledgements),
        notices=shuffled(facts.notices),
        invoices=shuffled(facts.invoices),
        decisions=shuffled(facts.decisions),
        closures=shuffled(facts.closures),
        received=dict(shuffled(facts.received.items())),
    )
    assert stood(other) == stood(facts)


@given(
    facts=FACTS,
    over=st.sampled_from([0, 10]),
    under=st.sampled_from([0, 10]),
    less=st.sampled_from([0, 20]),
    status=st.sampled_from(list(PurchaseStatus)),
)
def test_the_counters_of_a_line_hold_always_and_supply_is_what_is_open_or_came(facts, over, under, less, status):
    standing = stood(
        facts, purchase(status=status), over_receipt_percent=Decimal(over), under_receipt_percent=Decimal(under),
        ack_quantity_percent=Decimal(less),
    )  # fmt: skip
    for line in standing.lines:
        assert line.ordered == line.open + line.rejected + line.cancelled + line.received - line.over
        assert min(line.open, line.rejected, line.cancelled, line.received, line.over, line.accepted) >= 0
        assert line.acknowledged + line.rejected <= line.ordered
        told = [part for part in standing.supply if part.line == line.line]
        assert sum(part.amount for part in told) == line.open + line.received - line.over
        assert len({(part.on, part.advised) for part in told}) == len(told)
        # What agrees was received and accepted, unless a buyer let it pass.
        if not facts.decisions:
            assert line.matched <= line.accepted
