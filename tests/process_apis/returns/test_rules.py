"""What movements come to, in whatever order and however often they are heard, and what is credited of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.order import SoldLine
from gateway.canonical.task import Task
from process_apis.returns.models import AskedBack, Credit, Moved, Return, ReturnLine, ReturnState
from process_apis.returns.rules import (
    FIGURES,
    added,
    breaches,
    creditable,
    derive_state,
    is_disposed,
    next_credit,
    spread,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def line(number, item, amount, fee="0"):
    return ReturnLine(
        line=number, item=item, sku=item, uom="EA", unit_price=Decimal("2.50"), amount=Decimal(amount),
        reason="damaged", fee_percent=Decimal(fee),
    )  # fmt: skip


def asked(*lines, **more):
    return Return(
        return_id="ret_1", tenant="acme", order_id="ord_1", partner=None, channel="web", sold_to="C", currency="USD",
        system="erp", location="north", freight="buyer", asked_by="t", correlation_id="c", created_at=NOW,
        changed_at=NOW, lines=lines, decision="authorised", **more,
    )  # fmt: skip


def heard(known, movements):
    """The return after these movements, by id, each once, with the credits that it came to on the way."""
    seen = set()
    for name, more in movements:
        if name not in seen:
            seen.add(name)
            moved = added(known.moved, more)
            known = credited(replace(known, moved=moved, lines=spread(known.lines, moved)))
    return credited(replace(known, closed_at=NOW))


def credited(known):
    if not is_disposed(known):
        return known
    lines, net, fee = next_credit(known)
    if not lines:
        return known
    more = {each.line: each.amount for each in lines}
    task = Task(subject="crd", tenant="acme", kind="credit", system="erp")
    credit = Credit(
        credit=f"crd_{len(known.credits)}", return_id="ret_1", tenant="acme", system="erp", lines=lines, net=net,
        fee=fee, created_at=NOW, task=task,
    )  # fmt: skip
    counted = tuple(replace(each, credited=each.credited + more.get(each.line, Decimal(0))) for each in known.lines)
    return replace(known, lines=counted, credits=(*known.credits, credit))


amounts = st.integers(min_value=1, max_value=4).map(Decimal)
movements = st.lists(
    st.builds(
        lambda item, name, amount: Moved(item=item, **{name: amount}),
        st.sampled_from(["itm_1", "itm_2"]), st.sampled_from(FIGURES), amounts,
    ),
    max_size=8,
)  # fmt: skip


@given(told=movements, data=st.data())
def test_any_order_and_repetition_of_movements_ends_in_the_same_counters_and_credits(told, data):
    known = asked(line(1, "itm_1", 3), line(2, "itm_2", 2), line(3, "itm_1", 2))
    named = list(enumerate(told))
    other = data.draw(st.permutations(named + data.draw(st.lists(st.sampled_from(named), max_size=4)) if named else []))
    first, second = heard(known, named), heard(known, other)
    assert first.moved == second.moved
    counters = [[getattr(each, name) for name in FIGURES] for each in first.lines]
    assert counters == [[getattr(each, name) for name in FIGURES] for each in second.lines]
    if is_disposed(first):  # else some of it waits, and was credited before or not
        assert [each.credited for each in first.lines] == [each.credited for each in second.lines]
        assert sum(each.net for each in first.credits) == sum(each.net for each in second.credits)


@given(told=movements)
def test_no_more_is_credited_than_came_was_decided_about_and_was_authorised(told):
    known = heard(asked(line(1, "itm_1", 3), line(2, "itm_2", 2), line(3, "itm_1", 2)), list(enumerate(told)))
    for name in FIGURES:
        for item in ("itm_1", "itm_2"):
            there = sum(getattr(each, name) for each in known.moved if each.item == item)
            assert there == sum(getattr(each, name) for each in known.lines if each.item == item)
    for each in known.lines:
        assert each.credited <= min(each.dispositioned, each.amount)
        restocked = sum(one.restocked for credit in known.credits for one in credit.lines if one.line == each.line)
        assert restocked <= each.credited


def test_what_is_kept_for_restocking_is_a_part_of_the_price_rounded_once():
    known = asked(replace(line(1, "itm_1", 3, fee="15"), received=Decimal(3), sellable=Decimal(3)))
    [one], net, fee = next_credit(known)
    assert (one.amount, one.restocked, net, fee) == (3, 3, Decimal("7.50"), Decimal("1.13"))
    refused = replace(known, lines=(replace(known.lines[0], refused=Decimal(1)),))
    assert creditable(refused.lines[0]) == 2


def test_a_window_counts_from_the_day_the_goods_left():
    sold = SoldLine(
        line=1, item="itm_1", sku="S", uom="EA", unit_price=Decimal(1), shipped=Decimal(5),
        shipped_at=NOW - timedelta(days=30), location="north",
    )  # fmt: skip
    back = AskedBack(line=1, amount=Decimal(2), reason="damaged")
    assert breaches(sold, back, Decimal(3), NOW, 30) == []
    assert breaches(sold, back, Decimal(4), NOW, 30) == ["line 1: 2 asked, 1 of it left to return"]
    assert breaches(sold, back, Decimal(0), NOW + timedelta(seconds=1), 30) == [
        "line 1: shipped 30 days ago, damaged allows 30"
    ]


def test_goods_that_came_count_whatever_was_decided():
    here = replace(line(1, "itm_1", 3), received=Decimal(1))
    assert derive_state(asked(here, cancelled_at=NOW)) is ReturnState.RECEIVING
    assert derive_state(asked(line(1, "itm_1", 3), cancelled_at=NOW)) is ReturnState.CANCELLED
