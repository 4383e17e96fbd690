"""What an id tells of the time it was made."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.ids import ID_PATTERN, first_id_at, named_id, new_id, new_ids, request_named_at

INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(at=INSTANTS)
def test_an_id_of_a_request_tells_its_second_in_both_forms(at):
    second = at.replace(microsecond=0)
    assert abs(request_named_at(first_id_at("req", at)) - second) <= timedelta(seconds=1)
    assert request_named_at(f"req_{int(second.timestamp()):08x}{'0123abcd' * 3}") == second


def test_a_new_id_was_made_just_now():
    assert abs(request_named_at(new_id("req")) - datetime.now(UTC)) < timedelta(seconds=60)


@pytest.mark.parametrize(
    "text", ["", "req_", "ord_" + "0" * 26, "req_" + "0" * 31, "req_" + "0" * 33, "req_" + "G" * 32, "req_" + "z" * 26]
)
def test_what_is_no_id_of_a_request_tells_nothing(text):
    assert request_named_at(text) is None


@given(text=st.text(max_size=60))
def test_no_text_breaks_the_reading(text):
    request_named_at(text)
    request_named_at("req_" + text)


def test_ids_made_at_once_are_like_those_made_one_by_one_and_all_differ():
    before, made, after = new_id("mov"), new_ids("mov", 1000), new_id("mov")
    assert len(set(made)) == 1000
    assert all(re.fullmatch(ID_PATTERN, each) for each in made)
    assert before[:14] <= min(made)[:14] <= max(made)[:14] <= after[:14]


@given(names=st.lists(st.text(), min_size=1, max_size=3))
def test_a_named_id_is_the_same_for_the_same_names_and_shaped_as_the_others(names):
    assert named_id("inv", *names) == named_id("inv", *names)
    assert re.match(ID_PATTERN, named_id("inv", *names))


def test_names_that_run_together_are_different_names():
    assert len({named_id("inv", *names) for names in (("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"))}) == 4
