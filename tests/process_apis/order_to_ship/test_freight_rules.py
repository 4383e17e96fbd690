"""Which offer is taken, what goods weigh, and what is due beside an order: pure."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.party import Address
from gateway.kernel.errors import Misconfigured
from gateway.kernel.money import Money
from process_apis.order_to_ship.freight_options import FreightOptions, FreightRule
from process_apis.order_to_ship.freight_rules import choose
from process_apis.order_to_ship.models import (
    Allocation,
    Freight,
    FreightOffer,
    Order,
    OrderLine,
    Task,
    TaskKind,
    TaskState,
)
from process_apis.order_to_ship.steps import Step, StepKind, Wait, next_step

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
OFFERS = st.lists(
    st.builds(
        FreightOffer,
        carrier=st.sampled_from(["a", "b"]),
        service=st.sampled_from(["ECO", "EXP"]),
        name=st.just("any"),
        price=st.builds(Money, st.decimals(0, 100, places=2), st.sampled_from(["USD", "EUR"])),
        arrives_on=st.integers(0, 9).map(lambda days: TODAY + timedelta(days=days)),
    ),
    max_size=6,
)
RULES = st.builds(
    FreightRule,
    carriers=st.just(("a", "b")),
    choose=st.sampled_from(["cheapest", "cheapest_in_time", "fastest"]),
    cap=st.none() | st.decimals(0, 60, places=2),
)


def offer(service, price, days, carrier="a"):
    price = Money(Decimal(price), "USD")
    return FreightOffer(
        carrier=carrier, service=service, name=service, price=price, arrives_on=TODAY + timedelta(days=days)
    )


def taken(rule, offers, need_by=None, partner=None):
    return choose(rule, offers, partner=partner, currency="USD", need_by=need_by)


@given(rule=RULES, offers=OFFERS, need_by=st.none() | st.just(TODAY + timedelta(days=4)))
def test_what_is_taken_was_offered_is_within_the_cap_and_no_better_one_was_left(rule, offers, need_by):
    found = taken(rule, offers, need_by)
    ours = [each for each in offers if each.price.currency == "USD"]
    allowed = [each for each in ours if rule.cap is None or each.price.amount <= rule.cap]
    if rule.cap is None and not ours:
        allowed = [each for each in offers if each.price.currency == "EUR"]
    assert (found is None) == (not allowed)
    if found is None:
        return
    assert found in allowed
    in_time = [each for each in allowed if need_by is None or each.arrives_on <= need_by]
    if rule.choose == "cheapest":
        assert found.price.amount == min(each.price.amount for each in allowed)
    elif rule.choose == "fastest" or not in_time:
        assert found.arrives_on == min(each.arrives_on for each in allowed)
    else:
        assert found in in_time
        assert found.price.amount == min(each.price.amount for each in in_time)


def test_an_offer_in_the_orders_currency_is_taken_before_one_whose_price_cannot_be_compared():
    rule = FreightRule(carriers=("a", "b"), choose="cheapest")
    foreign = FreightOffer(carrier="b", service="ECO", name="any", price=Money(Decimal(3), "EUR"), arrives_on=TODAY)
    assert taken(rule, [foreign, offer("ECO", "4", 5)]).price.currency == "USD"
    assert taken(rule, [foreign]) is foreign


@given(rule=RULES, offers=OFFERS)
def test_the_order_in_which_carriers_answer_changes_nothing(rule, offers):
    assert taken(rule, offers) == taken(rule, offers[::-1])


def test_a_partner_gets_its_service_where_it_is_offered_and_the_rules_choice_where_it_is_not():
    rule = FreightRule(carriers=("a",), partner_services={"acme": "EXP"})
    offers = [offer("ECO", "4", 5), offer("EXP", "20", 1)]
    assert taken(rule, offers, partner="acme").service == "EXP"
    assert taken(rule, offers, partner="other").service == "ECO"
    assert taken(rule, offers[:1], partner="acme").service == "ECO"


def test_the_first_rule_that_fits_channel_and_location_holds():
    web, north, rest = (
        FreightRule(carriers=("a",), channel="web", locations=("WH-N",)),
        FreightRule(carriers=("b",), locations=("WH-N",)),
        FreightRule(carriers=("c",), channel="mart"),
    )
    options = FreightOptions(rules=(web, north, rest))
    assert options.rule("web", "WH-N") is web
    assert options.rule("edi", "WH-N") is north
    assert options.rule("mart", "WH-S") is rest
    assert options.rule("edi", "WH-S") is None


def test_an_item_weighs_what_its_own_entry_says_then_its_unit_then_the_rest():
    options = FreightOptions(item_weights={"SKU-1": Decimal("0.2")}, other_weight=Decimal(3))
    weights = [options.weight(sku, uom) for sku, uom in (("SKU-1", "EA"), ("SKU-2", "GRM"), ("SKU-2", "EA"))]
    assert weights == [Decimal("0.2"), Decimal("0.001"), Decimal(3)]


@pytest.mark.parametrize("wrong", [{"other_weight": Decimal(0)}, {"weights": {"EA": Decimal(-1)}}])
def test_weights_of_nothing_are_refused_at_start(wrong):
    with pytest.raises(Misconfigured):
        FreightOptions(**wrong)


# --- beside the order -------------------------------------------------------------------------------------------------


def order(*, booking, work=TaskState.DONE, **facts):
    """An order that was handed over whole from one location, its booking in some state."""
    line = OrderLine(
        line=1, item="i", sku="S", asked_amount=Decimal(2), asked_uom="EA", uom="EA", factor=Decimal(1),
        unit_price=Decimal(1), ordered=Decimal(2), open=Decimal(0), shipped=Decimal(2),
    )  # fmt: skip
    tasks = (
        Task(kind=TaskKind.TERMS, target="C", system="erp", state=TaskState.DONE),
        Task(kind=TaskKind.ERP_ORDER, target="erp", system="erp", state=facts.pop("erp", TaskState.DONE)),
        Task(kind=TaskKind.WAREHOUSE_WORK, target="WH", system="wms", state=work),
        booking,
    )  # fmt: skip
    fields = {
        "order_id": "ord_1", "tenant": "acme", "channel": "web", "partner": None, "sold_to": "C",
        "external_number": "1", "release": "", "currency": "USD", "requested_date": None, "total": Decimal(2),
        "ship_to": Address(name="A", street="B", city="C", postal_code="1", country="US"), "placed_at": NOW,
        "correlation_id": "c", "lines": (line,), "tasks": tasks, "approved_at": NOW, "allocated_at": NOW,
        "allocations": (Allocation(line=1, location="WH", claim="c", amount=Decimal(2)),),
        "freight": (Freight(target="WH"),),
    }  # fmt: skip
    return Order(**{**fields, **facts})


def booking(state=TaskState.PENDING, **fields):
    return Task(kind=TaskKind.FREIGHT_BOOKING, target="WH", system="carrier", state=state, **fields)


def test_an_order_is_closed_while_its_carrier_is_down_and_booked_after():
    waiting = booking(attempts=9, not_before=LATER)
    assert next_step(order(booking=waiting), NOW) == Step(StepKind.CLOSE)
    closed = order(booking=waiting, completed_at=NOW)
    assert next_step(closed, NOW) == Wait(LATER)
    assert next_step(closed, LATER) == Step(StepKind.BOOK_FREIGHT, waiting)
    assert next_step(order(booking=booking(TaskState.DONE), completed_at=NOW), LATER) is None


def test_nothing_is_booked_before_the_warehouse_has_the_work():
    for state in (TaskState.PENDING, TaskState.ATTEMPTED):
        upcoming = next_step(order(booking=booking(), work=state), NOW)
        assert upcoming.kind is StepKind.RELEASE_WORK


GIVEN_UP = {"cancel_requested_at": NOW, "cancel_reason": "mistake"}


@pytest.mark.parametrize("state", [TaskState.ATTEMPTED, TaskState.DONE, TaskState.UNDOING])
def test_a_booking_is_asked_back_only_once_the_warehouse_has_let_go(state):
    made = booking(state)
    assert next_step(order(booking=made, **GIVEN_UP), NOW).kind is StepKind.CANCEL_WORK
    gone = order(booking=made, work=TaskState.ABSENT, erp=TaskState.ABSENT, cancelled_at=NOW, **GIVEN_UP)
    assert next_step(gone, NOW) == Step(StepKind.CANCEL_FREIGHT, made)


def test_a_booking_that_cannot_be_asked_back_holds_up_no_claims():
    waiting = booking(TaskState.UNDOING, not_before=LATER)
    gone = order(booking=waiting, work=TaskState.ABSENT, erp=TaskState.ABSENT, **GIVEN_UP)
    assert next_step(gone, NOW) == Step(StepKind.GIVE_UP)


def test_a_booking_that_was_never_made_is_not_asked_back():
    gone = order(booking=booking(), work=TaskState.ABSENT, erp=TaskState.ABSENT, cancelled_at=NOW, **GIVEN_UP)
    assert next_step(gone, NOW) is None
