"""What leaves in which release, purely: laws of parts."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from order_world import SHIP_TO

from gateway.canonical.order import order_of, release_reference
from gateway.canonical.stock import ClaimedLine, ClaimState
from process_apis.order_to_ship.covering import backordered
from process_apis.order_to_ship.models import Order, OrderLine, Task, TaskKind, TaskState
from process_apis.order_to_ship.releases import coverable, handed_over, may_allocate, place_of, release_of, target_of
from process_apis.order_to_ship.rules import sales_order, ship
from process_apis.order_to_ship.steps import Step, StepKind, next_step

NOW = datetime(2026, 11, 1, tzinfo=UTC)
amounts = st.integers(0, 9)


def order(*lines, fill="partial", **facts):
    """Lines are (ordered, what of it waits)."""
    made = [
        OrderLine(
            line=number, item=f"itm_{number}", sku=f"SKU-{number}", asked_amount=Decimal(ordered), asked_uom="EA",
            uom="EA",
            factor=Decimal(1), unit_price=Decimal(1), ordered=Decimal(ordered), open=Decimal(ordered),
        )
        for number, (ordered, _) in enumerate(lines, 1)
    ]  # fmt: skip
    fields = {
        "order_id": "ord_1", "tenant": "acme", "channel": "web", "partner": None, "sold_to": "CUST1",
        "external_number": "PO-1", "release": "", "currency": "USD", "ship_to": SHIP_TO, "requested_date": None,
        "total": Decimal(9), "placed_at": NOW, "correlation_id": "c", "approved_at": NOW, "fill": fill,
    }  # fmt: skip
    waiting = tuple(backordered(line, Decimal(waits)) for line, (_, waits) in zip(made, lines, strict=True))
    return Order(**{**fields, **facts}, lines=waiting)


def claim(name, line, amount, state=ClaimState.ALLOCATED, location="WH-N", **more):
    return ClaimedLine(
        claim=name, line=line, item=f"itm_{line}", location=location, amount=Decimal(amount), state=state, **more
    )


@given(ordered=st.integers(1, 9), steps=st.lists(st.tuples(amounts, amounts), max_size=6), fill=st.sampled_from(
    ["partial", "line_complete"]
))  # fmt: skip
def test_however_goods_come_and_leave_all_that_is_covered_is_handed_over_once(ordered, steps, fill):
    found, claims, there = order((ordered, ordered), fill=fill), [], 0
    for comes, leaves in steps:
        came = min(comes, ordered - there)
        there += came
        if came:
            claims.append(claim(f"clm_{len(claims)}", 1, came))
        [line] = found.lines
        line = backordered(line, Decimal(ordered - there))
        given_out = sum(part.amount for part in found.released)
        line = ship(line, min(Decimal(leaves), given_out - line.shipped))
        found = replace(found, lines=(line,))
        if due := coverable(found):
            assert fill == "partial" or not line.backordered
            found = replace(found, released=(*found.released, *handed_over(found, claims)))
            assert due == {1: found.released[-1].amount}
        assert coverable(found) == {}
        assert handed_over(found, claims) == () or (fill == "line_complete" and line.backordered)
    given_out = sum(part.amount for part in found.released)
    assert given_out == (there if fill == "partial" or there == ordered else 0)
    numbers = [part.release for part in found.released]
    assert numbers == list(range(1, len(numbers) + 1))


def test_an_order_waits_whole_unless_its_policy_lets_lines_go():
    short = ((2, 0), (5, 3))
    due = {
        fill: coverable(order(*short, fill=fill)) for fill in ("complete", "fill_or_kill", "line_complete", "partial")
    }
    assert (due["line_complete"], due["partial"]) == ({1: 2}, {1: 2, 2: 2})
    for fill, expected in (("complete", None), ("line_complete", Step(StepKind.ALLOCATE))):
        made = order(*short, fill=fill)
        assert may_allocate(made) is (expected is not None)
        terms = Task(kind=TaskKind.TERMS, target="CUST1", system="erp", state=TaskState.DONE)
        assert next_step(replace(made, tasks=(terms,)), NOW) == expected
    assert (
        next_step(order((2, 0), (5, 5), fill="line_complete", hold_reason="credit_limit", approved_at=None), NOW)
        is None
    )


def test_what_waits_of_a_kit_keeps_the_rest_of_it_and_nothing_else():
    made = order((2, 0), (3, 3))
    claims = [
        claim("a", 1, 2),
        claim("b", 2, 3, kit="itm_9", per_kit=Decimal(1)),
        claim("c", 2, 6, ClaimState.PROMISED, kit="itm_9", per_kit=Decimal(2)),
    ]
    assert [(part.line, part.amount, part.claims) for part in handed_over(made, claims)] == [(1, 2, ("a",))]


def test_each_release_is_an_order_of_its_own_to_other_systems():
    made = order((6, 0))
    claims = [claim("a", 1, 4), claim("b", 1, 1, location="WH-W")]
    made = replace(made, released=handed_over(made, claims))
    made = replace(made, released=(*made.released, *handed_over(made, [*claims, claim("c", 1, 1)])))
    first, second = sales_order(made, ["WH-N"]), sales_order(made, ["WH-N"], 2)
    assert [(each.order, each.lines[0].amount) for each in (first, second)] == [("ord_1", 4), ("ord_1.2", 1)]
    task = Task(kind=TaskKind.WAREHOUSE_WORK, target=target_of("WH.N-2", 12), system="wms")
    assert (place_of(task), release_of(task)) == ("WH.N-2", 12)
    assert release_of(replace(task, target="WH.N-2")) == 1


@given(release=st.integers(1, 999), other=st.text(max_size=20))
def test_a_reference_names_its_order_and_release_and_what_is_not_ours_is_left_alone(release, other):
    assert order_of(release_reference("ord_01", release)) == ("ord_01", release)
    assert order_of("trf_1.2") == ("trf_1.2", 1)
    assert order_of(other if not other.startswith("ord_") else None)[1] == 1
    assert order_of("ord_01.x") == ("ord_01.x", 1)
