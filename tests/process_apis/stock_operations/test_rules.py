"""The pure decisions of stock operations."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.kernel.errors import BrokenUpstream, Conflict, Misconfigured, NotFound, OutcomeUnknown, Throttled
from process_apis.stock_operations.models import (
    CountLine,
    StockCount,
    Task,
    TaskState,
    Transfer,
    TransferLine,
    TransferState,
)
from process_apis.stock_operations.options import CountTolerance, StockOperationsOptions
from process_apis.stock_operations.rules import (
    Pace,
    alone,
    cancel_refusal,
    counted,
    derive_state,
    failed,
    needs_of,
    succeeded,
    supply_of,
    within,
    written_off,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TODAY = NOW.date()
amounts = st.decimals(min_value=0, max_value=99, places=1)


def line(dispatched="0", received="0", amount="5"):
    return TransferLine(
        line=1, item="itm_1", sku="A", uom="EA", amount=Decimal(amount), dispatched=Decimal(dispatched),
        received=Decimal(received),
    )  # fmt: skip


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
    ],
    ids=["exact", "nothing is tolerated", "absolute", "percent", "above percent", "both", "value", "no price", "other"],
)
def test_a_count_is_believed_within_every_limit_that_is_given(tolerance, line, believed):
    assert within(count_of(line), StockOperationsOptions(tolerances=(tolerance,))) is believed


def test_one_person_settles_up_to_the_value_of_all_lines():
    def may(limit, *values):
        options = StockOperationsOptions(tolerances=(CountTolerance(alone_value=limit),))
        return alone(count_of(*(counted_line("1", value) for value in values)), options)

    assert may(None, "999")
    assert may(Decimal(10), "4", "6")
    assert not may(Decimal(10), "5", "6")
    assert not may(Decimal(10), None)
