"""The pure decisions of stock operations."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.stock import LotAtHand
from gateway.canonical.task import Pace, Task, TaskState, failed, succeeded
from gateway.kernel.errors import BrokenUpstream, Conflict, Misconfigured, NotFound, OutcomeUnknown, Throttled
from process_apis.stock_operations.count_rules import alone, found_lines, within
from process_apis.stock_operations.models import (
    Counted,
    CountLine,
    Figure,
    Moved,
    StockCount,
    Transfer,
    TransferLine,
    TransferState,
)
from process_apis.stock_operations.options import CountTolerance, StockOperationsOptions
from process_apis.stock_operations.rules import (
    added,
    cancel_refusal,
    closed,
    derive_state,
    first_expiring,
    needs_of,
    spread,
    supply_of,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TODAY = NOW.date()
amounts = st.decimals(min_value=0, max_value=99, places=1)


def line(dispatched="0", received="0", amount="5", number=1, **more):
    return TransferLine(
        line=number, item=more.pop("item", "itm_1"), sku="A", uom="EA", amount=Decimal(amount),
        dispatched=Decimal(dispatched), received=Decimal(received), **more,
    )  # fmt: skip


def counted(line, dispatched, received):
    """The line after so much more was told, whatever was told before."""
    moved = added((), Moved(item=line.item, dispatched=line.dispatched, received=line.received))
    moved = added(moved, Moved(item=line.item, dispatched=Decimal(dispatched), received=Decimal(received)))
    return spread([line], moved)[0]


def written_off(line):
    return closed(line, NOW, "anna", "fell off", "lost")


def transfer(*lines, task=None, **more):
    made = Transfer(
        transfer="trf_1", tenant="acme", origin="n", destination="s", asked_by="app", correlation_id="c", version=1,
        created_at=NOW, changed_at=NOW, lines=lines or (line(),),
        task=task or Task(subject="trf_1", tenant="acme", kind="transfer", system="wms"), **more,
    )  # fmt: skip
    return replace(made, state=derive_state(made))


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (transfer(), TransferState.PLANNED),
        (transfer(released_at=NOW), TransferState.RELEASING),
        (transfer(cancel_requested_at=NOW), TransferState.CANCELLING),
        (transfer(cancelled_at=NOW), TransferState.CANCELLED),
        (transfer(line("5")), TransferState.IN_TRANSIT),
        (transfer(line("5"), cancelled_at=NOW), TransferState.IN_TRANSIT),
        (transfer(line("0", "2")), TransferState.PARTLY_RECEIVED),
        (transfer(line("5", "5")), TransferState.COMPLETED),
        (transfer(line("3", "3")), TransferState.PARTLY_RECEIVED),
        (transfer(written_off(line("5", "3")), closed_at=NOW), TransferState.CLOSED),
        (transfer(counted(written_off(line("4", "3")), Decimal(1), Decimal(0)), closed_at=NOW),
         TransferState.PARTLY_RECEIVED),
    ],
    ids=["planned", "releasing", "cancelling", "cancelled", "left", "left after a cancel", "came first", "all",
         "all of what left", "written off", "more left after it was closed"],
)  # fmt: skip
def test_the_state_follows_from_what_moved_and_then_from_what_was_asked(made, state):
    assert made.state is state


@given(amounts, amounts, amounts, amounts)
def test_in_transit_is_what_left_less_what_came_and_writing_off_ends_it(left, came, more, again):
    one = counted(counted(line(), left, came), more, again)
    other = counted(counted(line(), more, again), left, came)
    assert one == other
    assert one.in_transit == max(left + more - came - again, 0)
    assert written_off(one).in_transit == 0


@given(amounts, amounts)
def test_taking_a_movement_back_leaves_the_line_as_it_was(left, came):
    assert counted(counted(line("4", "1"), left, came), -left, -came) == line("4", "1")


def test_supply_is_expected_until_it_is_closed_or_cancelled():
    assert [each.cancelled for each in supply_of(transfer(line("5")))] == [0]
    assert [each.cancelled for each in supply_of(transfer(line("5"), closed_at=NOW))] == [5]
    assert [each.cancelled for each in supply_of(transfer(cancelled_at=NOW))] == [5]


def test_what_left_is_not_cancelled_any_more():
    assert cancel_refusal(transfer()) is None
    assert "left" in str(cancel_refusal(transfer(line("1"))))
    assert "picking" in str(cancel_refusal(transfer(picking_began_at=NOW)))


def test_a_person_is_told_what_is_late_too_much_stray_or_refused():
    refused = Task(
        subject="trf_1", tenant="acme", kind="transfer", system="wms", state=TaskState.REFUSED, error_code="x"
    )
    found = {
        need.code
        for made in (
            transfer(line("5", "3"), expected_on=date(2026, 11, 1)),
            transfer(ship_on=date(2026, 11, 1)),
            transfer(line("4", "5")),
            transfer(line("1"), cancelled_at=NOW),
            transfer(stray="B came too"),
            transfer(task=refused),
        )
        for need in needs_of(made, TODAY)
    }
    assert found == {
        "transfer.overdue", "transfer.not_dispatched", "transfer.surplus", "transfer.cancelled_and_moved",
        "transfer.stray", "transfer.refused",
    }  # fmt: skip
    assert needs_of(transfer(line("5", "5")), TODAY) == []
    assert needs_of(transfer(line("5"), expected_on=date(2026, 12, 1)), TODAY) == []


def test_an_answer_or_an_error_settles_a_task_by_what_it_says_of_the_other_side():
    pace, settle = Pace(), timedelta(seconds=7)
    asked = Task(subject="s", tenant="acme", kind="transfer", system="wms", state=TaskState.ASKED, attempts=1)
    undoing = replace(asked, state=TaskState.UNDOING)

    def after(task, error):
        made = failed(task, error, NOW, pace, settle)
        return made.state, made.look

    assert succeeded(asked, "SO-1").state is TaskState.DONE
    assert succeeded(undoing, None).state is TaskState.ABSENT
    for error in (OutcomeUnknown("?"), BrokenUpstream("?")):
        assert after(asked, error) == (TaskState.ASKED, True)
        assert failed(asked, error, NOW, pace, settle).not_before == NOW + settle
    assert after(asked, Throttled("slow", retry_after=90)) == (TaskState.PENDING, False)
    assert failed(asked, Throttled("slow", retry_after=90), NOW, pace, settle).not_before == NOW + timedelta(seconds=90)
    assert after(replace(asked, look=True), Misconfigured("?")) == (TaskState.ASKED, True)
    assert after(asked, Conflict("no")) == (TaskState.REFUSED, False)
    assert after(undoing, Conflict("no")) == (TaskState.DONE, False)
    assert after(undoing, NotFound("none")) == (TaskState.ABSENT, False)


def counted_line(variance, value=None, expected="100"):
    return CountLine(
        line=1, item="i", sku="BOLT-1", uom="EA", counted=Decimal(expected) + Decimal(variance),
        expected=Decimal(expected), variance=Decimal(variance), value=None if value is None else Decimal(value),
    )  # fmt: skip


def count_of(*lines):
    return StockCount(
        count="cnt_1", tenant="acme", location="n", bucket="sellable", reason="r", asked_by="a", correlation_id="c",
        version=1, created_at=NOW, changed_at=NOW, lines=lines,
        task=Task(subject="cnt_1", tenant="acme", kind="count", system=None),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tolerance", "line", "believed"),
    [
        (CountTolerance(), counted_line("0"), True),
        (CountTolerance(), counted_line("1"), False),
        (CountTolerance(absolute=Decimal(2)), counted_line("-2"), True),
        (CountTolerance(percent=Decimal(1)), counted_line("1"), True),
        (CountTolerance(percent=Decimal(1)), counted_line("1.1"), False),
        (CountTolerance(percent=Decimal(1), absolute=Decimal("0.5")), counted_line("1"), False),
        (CountTolerance(value=Decimal(10)), counted_line("1", "10"), True),
        (CountTolerance(value=Decimal(10)), counted_line("1"), False),
        (CountTolerance(sku="NUT*", absolute=Decimal(9)), counted_line("1"), False),
        (CountTolerance(group="bolts", absolute=Decimal(9)), counted_line("1"), False),
        (CountTolerance(group="bolts", absolute=Decimal(9)), replace(counted_line("1"), item_group="bolts"), True),
        (CountTolerance(absolute=Decimal(9)), replace(counted_line("0"), unknown_lot=True), False),
    ],
    ids=[
        "exact",
        "nothing is tolerated",
        "absolute",
        "percent",
        "above percent",
        "both",
        "value",
        "no price",
        "other",
        "another group",
        "its group",
        "a lot that is in no books",
    ],
)
def test_a_count_is_believed_within_every_limit_that_is_given(tolerance, line, believed):
    assert within(count_of(line), StockOperationsOptions(tolerances=(tolerance,))) is believed


@given(
    st.dictionaries(st.sampled_from([None, "A", "B"]), amounts),
    st.dictionaries(
        st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from([None, "b1", "b2"])), amounts, min_size=1
    ),
)
def test_what_is_found_in_all_less_what_is_expected_in_all_is_what_the_lots_are_off_by(booked, found):
    rows = [
        {"item": "i", "lot": lot or "", "amount": amount, "bucket": "sellable", "owner": owner}
        for lot, amount in booked.items()
        for owner in ("main", "partner")
    ]
    figures = tuple(Figure("i", amount, lot, place) for (lot, place), amount in found.items())
    lines = found_lines(
        count_of(counted_line("0")), Counted(figures=figures, counted_at=NOW, counted_by="carl"), rows, {}
    )
    assert sum(line.variance for line in lines) == sum(found.values()) - sum(booked.values())
    assert len({line.lot for line in lines}) == len({line.line for line in lines}) == len(lines)
    assert {line.lot for line in lines if line.unknown_lot} == {
        lot for lot, _ in found if not booked.get(lot)
    }  # fmt: skip


def test_one_person_settles_up_to_the_value_of_all_lines():
    def may(limit, *values):
        options = StockOperationsOptions(tolerances=(CountTolerance(alone_value=limit),))
        return alone(count_of(*(counted_line("1", value) for value in values)), options)

    assert may(None, "999")
    assert may(Decimal(10), "4", "6")
    assert not may(Decimal(10), "5", "6")
    assert not may(Decimal(10), None)


# --- several lines and lots -------------------------------------------------------------------------------------------


def lot_line(number, lot, amount="5"):
    return line(number=number, amount=amount, lot=lot)


some_lots = st.sampled_from(["", "A", "B", "Z"])
movements = st.lists(st.tuples(some_lots, amounts, amounts), max_size=8)
some_lines = st.sampled_from(
    [
        (lot_line(1, None),),
        (lot_line(1, "A"), lot_line(2, "B", "3")),
        (lot_line(1, "A"), lot_line(2, None, "7"), lot_line(3, "B")),
    ]
)


@given(some_lines, movements, st.randoms())
def test_lines_follow_from_what_moved_in_whatever_order_it_is_told_and_nothing_is_lost(lines, told, chance):
    steps = [Moved(item="itm_1", lot=lot, dispatched=left, received=came) for lot, left, came in told]
    one, other, moved = (), (), list(steps)
    for step in steps:
        one = added(one, step)
    chance.shuffle(moved)
    for step in moved:
        other = added(other, step)
    found = spread(lines, one)
    assert found == spread(lines, other)
    for side in ("dispatched", "received"):
        assert sum(getattr(each, side) for each in found) == sum(getattr(each, side) for each in steps)
        for each in found:
            named = sum(getattr(step, side) for step in steps if step.lot and step.lot == each.lot)
            assert getattr(each, side) >= named


@given(some_lines, amounts, amounts)
def test_without_lots_told_what_is_in_transit_is_what_left_less_what_came(lines, left, came):
    found = spread(lines, [Moved(item="itm_1", dispatched=left, received=came)])
    assert sum(each.in_transit for each in found) == max(left - came, 0)


@given(some_lines, movements, movements)
def test_a_revision_takes_back_what_it_replaces_whatever_lay_between(lines, told, more):
    def after(moved, some, sign=1):
        for lot, left, came in some:
            moved = added(moved, Moved(item="itm_1", lot=lot, dispatched=sign * left, received=sign * came))
        return moved

    assert spread(lines, after(after(after((), told), more), told, -1)) == spread(lines, after((), more))


def test_items_do_not_mix_and_a_receipt_without_lot_counts_where_goods_are_on_their_way():
    lines = (lot_line(1, "A"), lot_line(2, "B"), line(number=3, item="itm_2"))
    moved = [
        Moved(item="itm_1", lot="B", dispatched=Decimal(5)),
        Moved(item="itm_1", received=Decimal(3)),
        Moved(item="itm_2", dispatched=Decimal(1)),
    ]
    found = spread(lines, moved)
    assert [(each.dispatched, each.received) for each in found] == [(0, 0), (5, 3), (1, 0)]


def test_a_line_closed_by_itself_leaves_the_others_open():
    first, second = replace(line("5", "3"), line=1), line("5", "2", number=2, item="itm_2")
    open_yet = transfer(written_off(first), second)
    assert open_yet.state is TransferState.PARTLY_RECEIVED
    assert [(each.cancelled, each.received) for each in supply_of(open_yet)] == [(5, 2), (0, 0)]
    assert transfer(written_off(first), line("5", "5", number=2, item="itm_2")).state is TransferState.CLOSED


def test_what_expires_first_goes_first_and_what_others_asked_for_is_left_to_them():
    lots = [
        LotAtHand(item="itm_1", lot="", amount=Decimal(50)),
        LotAtHand(item="itm_1", lot="OLD", amount=Decimal(9), expires_on=date(2026, 11, 1)),
        LotAtHand(item="itm_1", lot="LATE", amount=Decimal(9), expires_on=date(2027, 11, 1)),
        LotAtHand(item="itm_1", lot="SOON", amount=Decimal(4), expires_on=date(2026, 12, 1)),
        LotAtHand(item="itm_1", lot="EVER", amount=Decimal(9)),
        LotAtHand(item="itm_2", lot="SOON", amount=Decimal(9), expires_on=date(2026, 12, 1)),
    ]
    found = first_expiring(lots, {("itm_1", "LATE"): Decimal(7)}, "itm_1", Decimal(7), TODAY)
    assert [(each.lot, each.amount) for each in found] == [("SOON", 4), ("LATE", 2), ("EVER", 1)]


def test_another_lot_than_was_asked_for_and_one_that_is_over_too_soon_are_shown():
    late = replace(lot_line(1, "A"), expires_on=date(2026, 12, 1))
    other = transfer(late, moved=(Moved(item="itm_1", lot="B", dispatched=Decimal(1)),), expected_on=date(2026, 12, 5))
    assert [need.code for need in needs_of(other, TODAY)] == ["transfer.other_lot", "transfer.lot_expires"]
