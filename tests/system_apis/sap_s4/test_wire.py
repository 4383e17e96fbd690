from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system_apis.sap_s4 import wire


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("/Date(1754611200000)/", datetime(2025, 8, 8, tzinfo=UTC)),
        ("/Date(1754611200000+0120)/", datetime(2025, 8, 8, tzinfo=UTC)),
        ("/Date(1754611200000-0600)/", datetime(2025, 8, 8, tzinfo=UTC)),
        ("/Date(-1)/", datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("2025-08-08T02:30:00", datetime(2025, 8, 8, 2, 30, tzinfo=UTC)),
        ("2025-08-08T02:30:00+02:00", datetime(2025, 8, 8, 0, 30, tzinfo=UTC)),
    ],
)
def test_both_forms_of_an_instant_are_read_and_the_zone_shown_moves_nothing(text, at):
    assert wire.instant(text) == at


@pytest.mark.parametrize("text", ["/Date(999999999999999)/", "/Date(12)", "tomorrow", ""])
def test_what_is_no_instant_is_said_to_be_none(text):
    with pytest.raises(ValueError, match=r".+"):
        wire.instant(text)


@given(st.dates(min_value=date(1970, 1, 1)))
def test_a_date_comes_back_as_the_same_day(on):
    assert wire.instant(wire.day(on)).date() == on


@pytest.mark.parametrize("on", [date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1)])
def test_a_day_that_has_23_or_25_hours_somewhere_is_still_midnight_utc(on):
    at = wire.instant(wire.day(on))
    assert (at.date(), at.hour) == (on, 0)
    for zone in ("Europe/Berlin", "America/New_York", "Pacific/Auckland"):
        shown = datetime(on.year, on.month, on.day, 12, tzinfo=ZoneInfo(zone)).date()
        assert wire.instant(wire.day(shown)).date() == on


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40))
def test_any_code_stands_in_a_filter_as_one_literal(code):
    text = wire.literal(code)
    assert text[0] == text[-1] == "'"
    assert text[1:-1].replace("''", "'") == code
    assert wire.query({"$filter": text}).isascii()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12))
def test_a_decimal_goes_out_and_comes_back_to_the_last_digit(amount):
    assert wire.decode(b'{"d":{"x":' + wire.encode(amount) + b"}}") == {"x": format(amount, "f")}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":{}}', b'{"d":NaN}', b"<html/>", b'{"d":' + b"[" * 100_000])
def test_what_is_not_odata_is_refused(body):
    with pytest.raises(ValueError, match=r".+"):
        wire.decode(body)


def test_nulls_are_as_good_as_nothing_and_a_deferred_navigation_is_empty():
    row = {
        "__metadata": {"etag": 'W/"1"'}, "SalesOrder": "1", "SoldToParty": None,
        "to_Item": {"__deferred": {"uri": "x"}},
    }  # fmt: skip
    found = wire.entity(wire.decode(wire.encode({"d": row})), wire.Order)
    assert (found.sold_to_party, found.items.results, found.metadata.etag) == ("", [], 'W/"1"')
    with pytest.raises(ValueError, match="Item"):
        wire.entity({"SalesOrder": "1", "SalesOrderItem": "10", "RequestedQuantity": "many"}, wire.Item)


@pytest.mark.parametrize("found", [{"results": [1]}, [1]])
def test_a_collection_is_read_with_and_without_results(found):
    assert wire.results(found) == [1]


@pytest.mark.parametrize("found", [{}, {"results": {}}, None, "x"])
def test_what_is_no_collection_is_refused(found):
    with pytest.raises(ValueError, match="collection"):
        wire.results(found)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"error":{"code":"V1/320","message":{"lang":"en","value":"No"}}}', wire.Fault("V1/320", "No")),
        (b'{"error":{"message":"plain"}}', wire.Fault("", "plain")),
        (b"<error/>", None),
        (b'{"error":"x"}', None),
        (b"[]", None),
    ],
)
def test_saps_reason_is_read_where_there_is_one(body, fault):
    assert wire.fault(body) == fault


def test_amounts_of_stock_are_exact():
    row = {"Material": "A", "Plant": "1710", "MatlWrhsStkQtyInMatlBaseUnit": "123456789012.12345678901234"}
    assert wire.entity(row, wire.Stock).quantity == Decimal("123456789012.12345678901234")
