import gzip
import json
from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system_apis.tryton import wire

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=None)


@given(DECIMALS)
def test_a_decimal_returns_from_the_wire_to_its_last_digit(amount):
    assert wire.decode(wire.encode({"value": amount})) == {"value": amount}


@given(st.dates())
def test_a_date_returns_as_it_was_without_a_time_zone_to_shift_it(day):
    assert wire.decode(wire.encode([day])) == [day]


@given(st.datetimes())
def test_an_instant_returns_to_its_microsecond(instant):
    assert wire.decode(wire.encode(instant)) == instant


@given(st.text())
def test_any_text_returns_as_it_was(text):
    assert wire.decode(wire.encode(text)) == text


def test_a_quantity_keeps_the_digits_that_stand_in_the_answer():
    assert wire.decode(b'{"quantity": 0.1}')["quantity"] == Decimal("0.1")


def test_a_decimal_is_written_without_exponent():
    assert json.loads(wire.encode(Decimal("1E+3"))) == {"__class__": "Decimal", "decimal": "1000"}


def test_a_compressed_answer_is_read():
    assert wire.decode(gzip.compress(b'{"result": [1]}')) == {"result": [1]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b'{"a": NaN}',
        b"[" * 200_000,
        b'{"__class__": "Decimal"}',
        b'{"__class__": "Decimal", "decimal": "ten"}',
        b'{"__class__": "date", "year": 2026, "month": 13, "day": 1}',
        b"\x1f\x8bnot gzip",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_trytons_json_is_a_value_error_and_nothing_else(body):
    with pytest.raises(ValueError):  # noqa: PT011 - its kind is the point
        wire.decode(body)


def test_a_compressed_bomb_is_refused():
    with pytest.raises(ValueError, match="more than"):
        wire.decode(gzip.compress(b" " * (65 * 1024 * 1024)))


def test_rows_read_nested_records_by_their_dotted_names():
    row = {"id": 3, "code": "WH-N", "input_location": 1, "storage_location": 3, "output_location": 2}
    assert wire.rows([row], wire.Warehouse)[0].storage_location == 3


def test_a_row_that_lacks_a_field_is_a_value_error():
    with pytest.raises(ValueError, match="Warehouse"):
        wire.rows([{"id": 3, "code": "WH-N"}], wire.Warehouse)


def test_the_kinds_of_values_tryton_sends_are_known():
    body = b"""{"when": {"__class__": "datetime", "year": 2026, "month": 11, "day": 21, "hour": 9, "minute": 0,
        "second": 1, "microsecond": 2}, "due": {"__class__": "date", "year": 2026, "month": 2, "day": 28},
        "wait": {"__class__": "timedelta", "seconds": 1.5}, "plain": {"class": "x"}}"""
    found = wire.decode(body)
    assert found["when"] == datetime(2026, 11, 21, 9, 0, 1, 2)  # noqa: DTZ001 - as Tryton has them
    assert found["due"] == date(2026, 2, 28)
    assert found["wait"].total_seconds() == 1.5
    assert found["plain"] == {"class": "x"}
