from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.reconciliation import BearingEvent, EventBearing, EventLine, StockDifference
from process_apis.reconciliation.models import Cause, Part, State
from process_apis.reconciliation.options import ReconciliationOptions, Tolerance
from process_apis.reconciliation.rules import alone, parts_of, state_of, within

AT = datetime(2026, 11, 1, tzinfo=UTC)
amounts = st.integers(-500, 500).map(lambda n: Decimal(n) / 8)
effects = st.lists(
    st.tuples(st.sampled_from(list(EventBearing)), st.one_of(st.none(), amounts.filter(bool)), st.booleans()),
    max_size=8,
)


def event(number, bearing, effect):
    return BearingEvent(
        source="wms",
        event_id=f"e{number}",
        line=0,
        bearing=bearing,
        type="pick_confirmed",
        effect=effect,
        occurred_at=AT,
    )


def difference(reported, expected, *events, **more):
    return StockDifference(
        location="loc_n", item="itm", owner="own", bucket="sellable", lot="", reported=Decimal(reported),
        expected=None if expected is None else Decimal(expected), events=events, **more,
    )  # fmt: skip


def causes(found):
    return {part.cause: part.amount for part in found}


@given(reported=amounts, expected=amounts, told=effects)
def test_the_parts_of_a_difference_add_up_to_it_and_none_is_nothing(reported, expected, told):
    events = [event(number, bearing, effect) for number, (bearing, effect, _) in enumerate(told)]
    recovered = {EventLine("wms", f"e{number}", 0) for number, (_, _, lost) in enumerate(told) if lost}
    parts = parts_of(difference(reported, expected, *events), recovered)
    assert sum((part.amount for part in parts), Decimal(0)) == reported - expected
    assert all(part.amount for part in parts)
    assert len({part.cause for part in parts}) == len(parts)


@given(told=effects)
def test_what_events_explain_wholly_is_nobodys_secret(told):
    events = [event(number, bearing, effect) for number, (bearing, effect, _) in enumerate(told) if effect is not None]
    reported = sum((each.effect for each in events), Decimal(10))
    assert Cause.SOURCE_ONLY not in causes(parts_of(difference(reported, 10, *events), frozenset()))


@given(expected=amounts, hidden=amounts.filter(bool), told=effects)
def test_what_only_the_source_knows_is_what_no_event_explains(expected, hidden, told):
    events = [event(number, bearing, effect) for number, (bearing, effect, _) in enumerate(told) if effect is not None]
    reported = expected + hidden + sum((each.effect for each in events), Decimal(0))
    assert causes(parts_of(difference(reported, expected, *events), frozenset()))[Cause.SOURCE_ONLY] == hidden


def test_late_lost_and_parked_events_are_told_apart():
    events = [
        event(1, EventBearing.LATE, Decimal(-3)),
        event(2, EventBearing.LATE, Decimal(-5)),
        event(3, EventBearing.PARKED, Decimal(7)),
        event(4, EventBearing.REVISED, Decimal(1)),
    ]
    parts = parts_of(difference(8, 10, *events), {EventLine("wms", "e2", 0)})
    assert causes(parts) == {Cause.TIMING: -2, Cause.MAPPING: 7, Cause.LOSS: -5, Cause.SOURCE_ONLY: -2}
    assert {part.cause: [each.event_id for each in part.events] for part in parts} == {
        Cause.TIMING: ["e1", "e4"],
        Cause.MAPPING: ["e3"],
        Cause.LOSS: ["e2"],
        Cause.SOURCE_ONLY: [],
    }


def test_the_rest_beside_an_event_that_cannot_be_reckoned_is_of_its_class():
    waiting = event(1, EventBearing.PARKED, None)
    (part,) = parts_of(difference(0, 24, waiting), frozenset())
    assert (part.cause, part.amount, part.events) == (Cause.MAPPING, -24, (waiting,))


def test_a_figure_of_an_unmapped_code_is_a_matter_of_mapping():
    (part,) = parts_of(difference(12, None, code="X-9"), frozenset())
    assert (part.cause, part.amount) == (Cause.MAPPING, 12)


@given(amount=amounts, of=amounts, value=st.one_of(st.none(), amounts), limit=st.integers(0, 100))
def test_a_tolerance_is_passed_by_passing_every_limit(amount, of, value, limit):
    bound = Decimal(limit)
    each = [Tolerance(absolute=bound), Tolerance(absolute=Decimal(10**6), percent=bound),
            Tolerance(absolute=Decimal(10**6), value=bound)]  # fmt: skip
    whole = Tolerance(absolute=bound, percent=bound, value=bound)
    passed = [within(amount, of=of, value=value, tolerance=one) for one in each]
    assert within(amount, of=of, value=value, tolerance=whole) == all(passed)
    assert passed[0] == (abs(amount) <= bound)


def test_nothing_is_tolerated_unless_somebody_said_so():
    assert not within(
        Decimal(1), of=Decimal(1000), value=Decimal(1), tolerance=ReconciliationOptions().tolerance("l", "A")
    )


def test_the_first_tolerance_that_fits_location_and_sku_holds():
    bolts, north, rest = (Tolerance(sku="bolt*", absolute=Decimal(5)), Tolerance(location="loc_n", absolute=Decimal(2)),
                          Tolerance(absolute=Decimal(1)))  # fmt: skip
    options = ReconciliationOptions(tolerances=(bolts, north, rest))
    assert options.tolerance("loc_n", "BOLT M8") is bolts
    assert options.tolerance("loc_n", "A") is north
    assert options.tolerance("loc_s", "A") is rest


def test_above_either_limit_one_person_is_not_enough():
    tolerance = Tolerance(alone_absolute=Decimal(10), alone_value=Decimal(500))
    assert alone(Decimal(-10), value=Decimal(500), tolerance=tolerance)
    assert not alone(Decimal(11), value=Decimal(1), tolerance=tolerance)
    assert not alone(Decimal(1), value=Decimal(-501), tolerance=tolerance)
    assert not alone(Decimal(1), value=None, tolerance=tolerance)
    assert alone(Decimal(10**6), value=None, tolerance=Tolerance())


def test_what_came_in_the_end_is_explained_and_only_a_rest_beyond_tolerance_waits():
    tolerance = Tolerance(absolute=Decimal(2))

    def state(cause, amount):
        return state_of(Part(cause, Decimal(amount), ()), of=Decimal(100), value=None, tolerance=tolerance)

    assert state(Cause.TIMING, 50) is state(Cause.LOSS, 50) is State.EXPLAINED
    assert state(Cause.MAPPING, 1) is State.OPEN
    assert state(Cause.SOURCE_ONLY, -2) is State.ACCEPTED
    assert state(Cause.SOURCE_ONLY, -3) is State.OPEN
