from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from process_apis.availability.models import OpenClaim
from process_apis.availability.shortage import Promised, giving_way, relieve, served_elsewhere

START = datetime(2026, 11, 1, tzinfo=UTC)


def promised(number, amount, *, soft=False, handed=False, priority=0, need_by=None, pinned=False, age=0):
    claim = OpenClaim(
        claim=f"clm_{number}", order=f"o{number}", line=1, item="itm", location="n", owner="main", channel="web",
        amount=Decimal(amount), consumed=Decimal(0), released=Decimal(0),
        state="reserved" if soft else "allocated",
        commitment="soft" if soft else "handed" if handed else "firm",
    )  # fmt: skip
    return Promised(
        claim=claim, made_at=START - timedelta(days=age), soft=soft, priority=priority, need_by=need_by, pinned=pinned
    )


some_claims = st.lists(
    st.builds(
        dict,
        amount=st.integers(1, 9),
        kind=st.sampled_from(["soft", "firm", "handed"]),
        priority=st.integers(0, 2),
        need_by=st.one_of(st.none(), st.integers(1, 4).map(lambda day: date(2026, 12, day))),
        pinned=st.booleans(),
        age=st.integers(0, 3),
    ),
    max_size=8,
).map(
    lambda rows: [
        promised(number, soft=row["kind"] == "soft", handed=row["kind"] == "handed",
                 **{key: value for key, value in row.items() if key != "kind"})
        for number, row in enumerate(rows)
    ]
)  # fmt: skip
shorts = st.integers(0, 60).map(Decimal)


def names(some):
    return [each.claim.claim for each in some]


@given(claims=some_claims, short=shorts)
def test_what_gives_way_is_what_is_short_and_no_more(claims, short):
    relief = relieve(short, claims)
    fell = sum(each.claim.open for each in relief.fallen)
    everything = sum(each.claim.open for each in claims)
    if relief.marks:
        assert fell + sum(relief.marks.values()) == min(short, everything)
        assert all(each in relief.fallen for each in claims if each.soft)
    if relief.fallen:
        assert fell - relief.fallen[-1].claim.open < short, "the last that fell was needed"
    assert fell + sum(relief.marks.values()) >= min(short, everything)


@given(claims=some_claims, short=shorts)
def test_newer_reservations_fall_before_older_ones_and_marks_follow_their_order(claims, short):
    relief = relieve(short, claims)
    standing = [each for each in claims if each.soft and each not in relief.fallen]
    assert all(fell.newest > stands.newest for fell in relief.fallen for stands in standing)
    order = giving_way([each for each in claims if not each.soft])
    assert list(relief.marks) == names(order)[: len(relief.marks)]
    for each in order[: len(relief.marks)][:-1]:
        assert relief.marks[each.claim.claim] == each.claim.open
    for first, then in pairwise(order):
        assert (first.claim.worked_on, first.priority) <= (then.claim.worked_on, then.priority)
        if (first.claim.worked_on, first.priority) == (then.claim.worked_on, then.priority):
            assert (first.need_by or date.max) >= (then.need_by or date.max)


@given(claims=some_claims, short=shorts, seed=st.randoms(use_true_random=False))
def test_the_decision_depends_on_no_order_of_reading_and_is_stable(claims, short, seed):
    relief = relieve(short, claims)
    shuffled = list(claims)
    seed.shuffle(shuffled)
    assert relieve(short, shuffled) == relief
    left = [each for each in claims if each not in relief.fallen]
    rest = max(Decimal(0), short - sum(each.claim.open for each in relief.fallen))
    assert relieve(rest, left) == replace(relief, fallen=())


@given(claims=some_claims, short=shorts, more=st.integers(0, 20))
def test_finding_stock_again_lifts_marks_and_sets_none(claims, short, more):
    firm = [each for each in claims if not each.soft]
    before, after = relieve(short, firm).marks, relieve(max(Decimal(0), short - more), firm).marks
    assert all(after[claim] <= before[claim] for claim in after)


@given(claims=some_claims, short=shorts, stock=st.dictionaries(st.sampled_from("swe"), st.integers(0, 9).map(Decimal)))
def test_others_serve_no_more_than_they_have_nor_than_lacks_and_never_what_is_handed_or_pinned(claims, short, stock):
    marks = relieve(short, claims).marks
    moves = served_elsewhere(claims, marks, stock)
    by_name = {each.claim.claim: each for each in claims}
    for place, amount in stock.items():
        assert sum(move.amount for move in moves if move.location == place) <= amount
    for claim, each in by_name.items():
        moved = sum(move.amount for move in moves if move.claim.claim == claim)
        assert moved <= marks.get(claim, 0)
        assert not moved or not (each.claim.worked_on or each.pinned)
    free = [each for each in claims if not each.claim.worked_on and not each.pinned]
    lacking = sum(marks.get(each.claim.claim, Decimal(0)) for each in free)
    assert sum(move.amount for move in moves) == min(lacking, sum(stock.values()))


def test_the_more_important_claim_is_served_elsewhere_first_and_whole_where_one_place_has_it():
    claims = [promised(1, 4, priority=5), promised(2, 4)]
    marks = relieve(Decimal(8), claims).marks
    moves = served_elsewhere(claims, marks, {"s": Decimal(3), "w": Decimal(4)})
    assert [(move.claim.claim, move.location, move.amount) for move in moves] == [("clm_1", "w", 4), ("clm_2", "s", 3)]
