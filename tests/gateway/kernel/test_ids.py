"""What an id tells of the time it was made."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.ids import first_id_at, new_id, request_named_at

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
