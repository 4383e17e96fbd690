from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from order_world import SHIP_TO, ask

from gateway.canonical.item import Item
from gateway.canonical.order import OrderState
from gateway.canonical.party import CustomerAccount
from gateway.kernel.errors import Conflict
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from process_apis.order_to_ship.models import (
    Allocation,
    ExceptionClass,
    Finding,
    Invoice,
    Order,
    OrderLine,
    Shipment,
    Task,
    TaskKind,
    TaskState,
)
from process_apis.order_to_ship.rules import (
    FINAL,
    cancel_rest,
    derive_state,
    exposure,
    fingerprint,
    hold_reason,
    law_holds,
    price_lines,
    sales_order,
    ship,
)
from process_apis.order_to_ship.steps import OWN_STEPS, Step, StepKind, Wait, begin, next_step, with_task

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
amounts = st.decimals(min_value="0.001", max_value="1000000", places=3)


def line(ordered=Decimal(10), number=1, **counters):
    fields = {
        "line": number, "item": f"itm_{number}", "sku": f"SKU-{number}", "asked_amount": ordered, "asked_uom": "EA",
        "uom": "EA", "factor": Decimal(1), "unit_price": Decimal("2.50"), "ordered": ordered, "open": ordered,
    }  # fmt: skip
    return OrderLine(**{**fields, **counters})


def order(*lines, **facts):
    fields = {
        "order_id": "ord_1", "tenant": "acme", "channel": "web", "partner": None, "sold_to": "CUST1",
        "external_number": "PO-1", "release": "", "currency": "USD", "ship_to": SHIP_TO, "requested_date": None,
        "total": Decimal(25), "placed_at": NOW, "correlation_id": "cor_1", "lines": lines or (line(),),
        "allocations": (Allocation(line=1, location="WH-N", claim="c", amount=Decimal(10)),),
    }  # fmt: skip
    return Order(**{**fields, **facts})


def task(kind, state=TaskState.PENDING, target="erp_na", **facts):
    return Task(kind=kind, target=target, system="erp_na", state=state, **facts)


# --- counters ---------------------------------------------------------------------------------------------------------


@given(amounts, st.lists(st.one_of(amounts, st.none()), max_size=12))
def test_whatever_is_shipped_and_cancelled_the_counters_add_up(ordered, happened):
    counted = line(ordered)
    for amount in happened:
        counted = cancel_rest(counted) if amount is None else ship(counted, amount)
        assert law_holds(counted)
    shipped = sum((amount for amount in happened if amount is not None), Decimal(0))
    assert counted.shipped + counted.over_shipped == shipped
    assert counted.shipped == min(ordered, shipped)


@given(amounts, st.lists(amounts, max_size=6), st.randoms())
def test_shipments_and_a_cancel_in_any_order_end_in_the_same_counters(ordered, shipped, random):
    happened = [*shipped, None]
    shuffled = random.sample(happened, len(happened))
    ends = []
    for sequence in (happened, shuffled):
        counted = line(ordered)
        for amount in sequence:
            counted = cancel_rest(counted) if amount is None else ship(counted, amount)
        ends.append(counted)
    assert ends[0] == ends[1]


# --- lines and identity -----------------------------------------------------------------------------------------------

ITEM = Item(
    item="itm_1", sku="A/#ü 1", name="A", base_uom="EA", packs=(UnitConversion("CS", Decimal("0.1")),),
    list_price=Money(Decimal("0.0000000001"), "USD"),
)  # fmt: skip


@given(amounts)
def test_prices_and_units_are_exact_to_the_last_digit(amount):
    command = ask("PO-1", (ITEM.sku, amount, "CS"))
    [priced], total = price_lines(command, {}, {ITEM.sku: ITEM})
    assert priced.ordered * 10 == amount
    assert total * 10**10 == priced.ordered


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"sellable": False}, "/lines/0/sku"),
        ({"list_price": None}, "/lines/0/sku"),
        ({"list_price": Money(Decimal(1), "EUR")}, "/lines/0/sku"),
        ({"base_uom": "KGM", "packs": ()}, "/lines/0/uom"),
        ({"packs": (UnitConversion("CS", Decimal("0." + "3" * 28)),)}, "/lines/0/amount"),
    ],
)
def test_a_line_that_cannot_be_ordered_is_pointed_at(changes, pointer):
    command = ask("PO-1", (ITEM.sku, "7", "CS"))
    with pytest.raises(Conflict) as refused:
        price_lines(command, {}, {ITEM.sku: replace(ITEM, **changes)})
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


def test_an_order_without_lines_is_refused():
    with pytest.raises(Conflict):
        price_lines(replace(ask("PO-1"), lines=()), {}, {})


def test_the_content_of_an_order_is_what_was_asked_and_not_how_the_number_was_written():
    same = [fingerprint(ask("PO-1", ("SKU-1", text))) for text in ("2", "2.00", "0.2E1")]
    assert len(set(same)) == 1
    others = {fingerprint(ask("PO-1", *lines)) for lines in ([("SKU-1", "3")], [("SKU-2", "2")], [("SKU-1", "2")] * 2)}
    assert not others & set(same)


def test_a_system_gets_what_its_locations_promised_only():
    parts = (
        Allocation(line=1, location="WH-W", claim="b", amount=Decimal(4)),
        Allocation(line=1, location="WH-N", claim="a", amount=Decimal(6)),
    )
    taken = sales_order(order(allocations=parts), ["WH-N", "WH-W"])
    assert [(part.line, part.location, part.amount) for part in taken.lines] == [(1, "WH-N", 6), (1, "WH-W", 4)]
    assert [part.amount for part in sales_order(order(allocations=parts), ["WH-W"]).lines] == [4]
    assert taken.order == "ord_1"


# --- credit -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "balance", "hold", "reason"),
    [
        (None, "999999", False, None),
        ("100", "50", False, None),
        ("100", "50.01", False, "credit_limit"),
        ("50", None, False, None),
        (None, None, True, "customer_hold"),
    ],
)
def test_balance_and_open_orders_stay_within_the_limit(limit, balance, hold, reason):
    account = CustomerAccount(
        code="C", name="C", payment_term=None, hold=hold,
        credit_limit=limit and Money(Decimal(limit), "USD"), balance=balance and Money(Decimal(balance), "USD"),
    )  # fmt: skip
    assert hold_reason(account, Money(Decimal(50), "USD")) == reason


def test_a_limit_in_another_currency_is_a_persons_case():
    account = CustomerAccount(
        code="C", name="C", payment_term=None, credit_limit=Money(Decimal(9), "EUR"), balance=None
    )
    assert hold_reason(account, Money(Decimal(1), "USD")) == "credit_currency"


def test_a_closed_order_takes_no_credit_and_a_cancelled_line_none_either():
    assert exposure(order()) == 25
    assert exposure(order(line(), line(number=2, open=Decimal(0), cancelled=Decimal(10)))) == 25
    assert [exposure(order(**{name: NOW})) for name in ("completed_at", "cancelled_at", "rejected_at")] == [0, 0, 0]


# --- state and steps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"allocations": ()}, OrderState.RECEIVED),
        ({}, OrderState.PROMISED),
        ({"hold_reason": "credit_limit"}, OrderState.HELD),
        ({"lines": (line(open=Decimal(0), backordered=Decimal(10)),)}, OrderState.BACKORDERED),
        ({"tasks": (task(TaskKind.ERP_ORDER, TaskState.DONE),)}, OrderState.SUBMITTED),
        ({"tasks": (task(TaskKind.ERP_ORDER, TaskState.ATTEMPTED),)}, OrderState.PROMISED),
        ({"tasks": (task(TaskKind.WAREHOUSE_WORK, TaskState.DONE),)}, OrderState.RELEASED),
        ({"lines": (line(open=Decimal(4), shipped=Decimal(6)),)}, OrderState.PARTIALLY_SHIPPED),
        ({"lines": (line(open=Decimal(0), shipped=Decimal(10)),)}, OrderState.SHIPPED),
        ({"completed_at": NOW}, OrderState.COMPLETED),
        ({"cancelled_at": NOW}, OrderState.CANCELLED),
        ({"rejected_at": NOW}, OrderState.REJECTED),
    ],
)
def test_the_state_follows_from_the_facts(facts, state):
    assert derive_state(order(**facts)) is state


@pytest.mark.parametrize(
    ("second", "state"),
    [
        ((task(TaskKind.SHIPMENT_POSTING, TaskState.PENDING, "shp_2"),), OrderState.SHIPPED),
        (
            (
                task(TaskKind.SHIPMENT_POSTING, TaskState.DONE, "shp_2"),
                task(TaskKind.INVOICE, TaskState.PENDING, "shp_2"),
            ),
            OrderState.SHIPPED,
        ),
        ((task(TaskKind.SHIPMENT_POSTING, TaskState.DONE, "shp_2"),), OrderState.INVOICED),
    ],
    ids=["not posted yet", "not billed yet", "posted where nothing is billed"],
)
def test_an_order_is_invoiced_once_all_its_shipments_are_told_and_billed(second, state):
    first = (
        task(TaskKind.SHIPMENT_POSTING, TaskState.DONE, "shp_1"),
        task(TaskKind.INVOICE, TaskState.DONE, "shp_1"),
    )
    bill = Invoice(
        shipment="shp_1", system="erp_na", number="INV1", issued_on=NOW.date(), currency="USD",
        net=Decimal(15), tax=Decimal(0), total=Decimal(15), lines=(),
    )  # fmt: skip
    shipped = order(line(open=Decimal(0), shipped=Decimal(10)), tasks=(*first, *second), invoices=(bill,))
    assert derive_state(shipped) is state


def finding(*, blocking, kind="erp_order"):
    return Finding(
        exception=ExceptionClass.CLASHED, fault_domain="erp_na", code="x", detail="x", blocking=blocking, kind=kind
    )


def test_only_a_blocking_exception_is_a_state():
    assert derive_state(order(exceptions=(finding(blocking=True),))) is OrderState.EXCEPTION
    assert derive_state(order(exceptions=(finding(blocking=False),))) is OrderState.PROMISED


tasks = st.builds(
    Task,
    kind=st.sampled_from(TaskKind),
    target=st.sampled_from(["a", "b"]),
    system=st.just("erp_na"),
    state=st.sampled_from(TaskState),
    settling=st.booleans(),
    not_before=st.sampled_from([None, NOW - timedelta(1), NOW + timedelta(1)]),
    verify_at=st.sampled_from([None, NOW - timedelta(1), NOW + timedelta(1)]),
)
moments = st.sampled_from([None, NOW])
shipments = tuple(
    Shipment(shipment_id=name, sequence=n, source="s", event_id="e", location="WH-N", lines=())
    for n, name in enumerate("ab", 1)
)
orders = st.builds(
    order,
    st.sampled_from([line(), line(open=Decimal(0), shipped=Decimal(10)), line(open=Decimal(5), shipped=Decimal(5))]),
    tasks=st.lists(tasks, max_size=6, unique_by=lambda one: (one.kind, one.target)).map(tuple),
    exceptions=st.lists(st.builds(finding, blocking=st.booleans(), kind=st.sampled_from(TaskKind)), max_size=2).map(
        tuple
    ),
    shipments=st.just(shipments),
    approved_at=moments,
    allocated_at=moments,
    hold_reason=st.sampled_from([None, "credit_limit"]),
    cancel_requested_at=moments,
    cancel_refused_at=moments,
    reject_reason=st.sampled_from([None, "no"]),
    rejected_at=moments,
    cancelled_at=moments,
    completed_at=moments,
)


@given(orders)
def test_from_any_facts_there_is_a_next_step_a_wait_or_an_end(one):
    upcoming = next_step(one, NOW)
    if isinstance(upcoming, Wait):
        assert upcoming.until > NOW
    if isinstance(upcoming, Step) and upcoming.kind not in OWN_STEPS and upcoming.task is not None:
        assert upcoming.task in one.tasks
    if derive_state(one) in FINAL:
        assert upcoming is None


@given(orders)
def test_claims_are_given_up_only_when_no_system_may_hold_the_work(one):
    upcoming = next_step(one, NOW)
    if isinstance(upcoming, Step) and upcoming.kind is StepKind.GIVE_UP:
        held = {TaskState.ATTEMPTED, TaskState.DONE, TaskState.UNDOING}
        kinds = {TaskKind.ERP_ORDER, TaskKind.WAREHOUSE_WORK}
        assert not [kept for kept in one.tasks if kept.kind in kinds and kept.state in held]


@given(orders)
def test_a_system_is_never_asked_again_without_a_look_while_it_may_have_done_it(one):
    upcoming = next_step(one, NOW)
    if isinstance(upcoming, Step) and upcoming.task is not None and upcoming.task.settling:
        assert upcoming.look_first or upcoming.kind is StepKind.VERIFY_ORDER
    if isinstance(upcoming, Step) and upcoming.task is not None:
        begun = begin(one, upcoming).task(upcoming.task.kind, upcoming.task.target)
        assert begun.attempts in (upcoming.task.attempts, upcoming.task.attempts + 1)


def test_a_task_takes_the_place_of_its_like():
    first = task(TaskKind.ERP_ORDER)
    with_one = with_task(order(), first)
    assert with_one.tasks == (first,)
    assert with_task(with_one, replace(first, state=TaskState.DONE)).tasks == (replace(first, state=TaskState.DONE),)
