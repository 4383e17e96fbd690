"""How entries change: laws over every state, by generated stories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb
from gateway.kernel.errors import Conflict
from process_apis.exceptions import rules
from process_apis.exceptions.models import State

START = datetime(2026, 11, 22, tzinfo=UTC)
PATIENCE = timedelta(minutes=2)
TOLD = Trouble(
    key="k", error_class=TroubleClass.MAPPING, effect=Effect.OVERSELLS, fault_domain="wms", code="c", detail="d",
    about="a", count=1, raised_at=START, last_at=START, verbs=tuple(Verb),
)  # fmt: skip
ENTRY = rules.raised("xcp_1", "acme", "box", TOLD)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_failed_decrement_outranks_an_order_that_waits_and_that_a_late_notice():
    ranks = [rules.rank_of(replace(TOLD, effect=effect)) for effect in Effect]
    assert ranks == sorted(ranks, reverse=True)
    late = replace(TOLD, effect=Effect.TELLS_LATE, count=1_000_000, value=Decimal(10**12))
    assert rules.rank_of(late) < rules.rank_of(replace(TOLD, effect=Effect.DELAYS))


def test_within_one_effect_the_money_and_what_piles_up_decide():
    def rank(count: int, value: int | None) -> int:
        return rules.rank_of(replace(TOLD, count=count, value=None if value is None else Decimal(value)))

    assert rank(1, None) < rank(500, None)
    assert rank(1, 50) < rank(1, 50_000)


def test_a_retry_that_fails_again_is_a_persons_again():
    asked = rules.asked(ENTRY, Verb.RETRY, "ada", at(10))
    again, step = rules.told_again(asked, replace(TOLD, last_at=at(11)), at(12), PATIENCE)
    assert (again.state, step, again.seen, again.asked_by) == (State.OPEN, "retry_failed", 2, None)


def test_a_retry_that_is_not_heard_of_is_a_persons_again():
    asked = rules.asked(rules.assigned(ENTRY, "bob"), Verb.RETRY, "ada", at(10))
    assert rules.told_again(asked, TOLD, at(60), PATIENCE) == (asked, None)
    again, step = rules.told_again(asked, TOLD, at(131), PATIENCE)
    assert (again.state, step, again.assignee) == (State.ASSIGNED, "retry_unanswered", "bob")


def test_two_people_cannot_retry_at_once_and_the_second_learns_who_did():
    asked = rules.asked(ENTRY, Verb.RETRY, "ada", at(10))
    with pytest.raises(Conflict, match="ada") as refused:
        rules.asked(asked, Verb.EDIT, "bob", at(11))
    assert refused.value.code == "exceptions.retrying"


def test_what_is_tried_again_by_itself_may_be_retried_by_a_person():
    waiting = rules.raised("xcp_1", "acme", "box", replace(TOLD, by_itself_at=at(600)))
    assert waiting.state is State.RETRYING
    assert rules.asked(waiting, Verb.RETRY, "ada", at(10)).asked_by == "ada"
    given_up, step = rules.told_again(waiting, replace(TOLD, last_at=at(700)), at(701), PATIENCE)
    assert (given_up.state, step) == (State.OPEN, "given_up")


def test_a_retry_that_failed_while_it_goes_on_by_itself_may_be_asked_for_again():
    asked = rules.asked(ENTRY, Verb.RETRY, "ada", at(10))
    again, step = rules.told_again(asked, replace(TOLD, last_at=at(11), by_itself_at=at(600)), at(12), PATIENCE)
    assert (again.state, again.asked_by, step) == (State.RETRYING, None, "retry_failed")


def test_what_was_ignored_stays_so_until_it_fails_anew():
    ignored = rules.ignored(ENTRY, "ada", "of no use", at(10))
    assert rules.told_again(ignored, TOLD, at(20), PATIENCE) == (ignored, None)
    again, step = rules.told_again(ignored, replace(TOLD, last_at=at(30)), at(31), PATIENCE)
    assert (again.state, step, again.reason) == (State.OPEN, "raised_again", None)


def test_what_is_over_takes_no_verb():
    for over in (rules.gone(ENTRY, at(5)), rules.ignored(ENTRY, "ada", "r", at(5))):
        for decide in (
            lambda entry: rules.assigned(entry, "bob"),
            lambda entry: rules.asked(entry, Verb.RETRY, "bob", at(6)),
            lambda entry: rules.ignored(entry, "bob", "r", at(6)),
        ):
            with pytest.raises(Conflict) as refused:
                decide(over)
            assert refused.value.code == "exceptions.over"


def test_a_verb_that_the_owner_does_not_take_is_refused():
    with pytest.raises(Conflict) as refused:
        rules.asked(replace(ENTRY, verbs=(Verb.IGNORE,)), Verb.RETRY, "ada", at(1))
    assert refused.value.code == "exceptions.verb"


MOVES = st.sampled_from(["told", "failed", "by_itself", "gone", "assign", "give_back", "retry", "ignore"])


@given(st.lists(st.tuples(MOVES, st.integers(0, 200)), max_size=30))
def test_no_story_leads_to_a_state_that_contradicts_itself(story):
    entry, told, clock = ENTRY, TOLD, 0
    for move, pause in story:
        clock += pause + 1
        now, before = at(clock), entry
        if move in ("told", "failed", "by_itself"):
            told = replace(
                told,
                last_at=told.last_at if move == "told" else now,
                by_itself_at=at(clock + 60) if move == "by_itself" else None,
            )
            entry, _ = rules.told_again(entry, told, now, PATIENCE)
        elif move == "gone":
            entry = entry if entry.state in rules.OVER else rules.gone(entry, now)
        else:
            try:
                entry = {
                    "assign": lambda e, _: rules.assigned(e, "bob"),
                    "give_back": lambda e, _: rules.assigned(e, None),
                    "retry": lambda e, now: rules.asked(e, Verb.RETRY, "ada", now),
                    "ignore": lambda e, now: rules.ignored(e, "ada", "r", now),
                }[move](entry, now)
            except Conflict:
                assert before.state in rules.OVER or before.asked_at is not None
        assert (entry.state in rules.OVER) == (entry.ended_at is not None)
        assert (entry.state is State.ASSIGNED) <= (entry.assignee is not None)
        assert (entry.state is State.OPEN) <= (entry.assignee is None)
        assert (entry.asked_at is not None) <= (entry.state in (State.RETRYING, State.RESOLVED))
        assert (entry.state is State.IGNORED) <= (entry.reason is not None)
        assert entry.seen >= before.seen
