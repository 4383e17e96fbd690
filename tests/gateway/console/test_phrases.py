from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.events import TAXONOMY
from gateway.console.charts import bar, sparkline, strip
from gateway.console.phrases import amount, counted, distance, exact_span, money, sentence, span, system_condition
from gateway.console.redaction import _SHOWN, MASK, redacted, scrubbed

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "a moment"), (9.9, "a moment"), (47, "40 s"), (60, "1 min"), (3599, "59 min"), (7300, "2 h"), (9e5, "10 d")],
)
def test_an_age_is_coarse(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300, "5 min ago"), (9, "now"), (0, "now"), (-9, "now"), (-47, "in 40 s"), (-7300, "in 2 h")],
)
def test_a_sentence_says_whether_something_lies_behind_or_ahead(seconds, text):
    assert distance(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 tries"), (1, "1 try"), (2, "2 tries"), (12_000, "12\u202f000 tries")]
)
def test_what_is_counted_stands_in_the_singular_when_it_is_one(number, text):
    assert counted(number, "try", "tries") == text
    assert counted(number, "line") == text.replace("tries", "lines").replace("try", "line")


def test_amounts_lose_nothing():
    assert amount(Decimal("1234567.8900")) == "1\u202f234\u202f567.89"
    assert amount("-5") == "-5"
    assert amount("-0.5") == "-0.5"
    assert money(Decimal("1E+3"), "EUR") == "1\u202f000.00 EUR"
    assert money(Decimal("0.12345"), "EUR") == "0.12345 EUR"
    assert exact_span(0.0841) == "84 ms"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15), max_value=10**15))
def test_an_amount_reads_back(value):
    assert Decimal(amount(value).replace("\u202f", "")) == value


@settings(max_examples=40)
@given(st.sampled_from(sorted(TAXONOMY)), st.dictionaries(st.text(), json_values))
def test_there_is_a_sentence_for_whatever_an_event_carries(kind, data):
    assert isinstance(sentence(kind, data, None), str)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), json_values))
def test_what_is_redacted_shows_no_value_of_an_unknown_name(data):
    told = redacted({f"x{name}": value for name, value in data.items()})
    assert all(_masked(value) for value in told.values())


def _masked(value):
    if isinstance(value, dict):
        return all(_masked(part) for name, part in value.items() if name not in _SHOWN)
    if isinstance(value, list):
        return all(map(_masked, value))
    return value is None or isinstance(value, bool) or value == MASK


def test_movements_told_together_are_counted_by_kind():
    some = [["put_away", "WH-1"], ["put_away", "WH-1"], ["stock_adjusted", "WH-2"]]
    text = sentence("stock.movements_recorded", {"fields": ["type", "location"], "movements": some}, None)
    assert text == "3 movements at WH-1, WH-2 (2 put away, 1 stock adjusted)"
    by_name = [{"type": kind, "location": place} for kind, place in some]
    assert sentence("stock.movements_recorded", {"movements": by_name}, None) == text
    for broken in ({"movements": 3}, {"fields": ["type"], "movements": some}, {"movements": [[1]]}):
        assert sentence("stock.movements_recorded", broken | {"source": "wms"}, None) == "wms"


def test_free_text_loses_its_credentials():
    for text in (
        "cannot reach https://user:hunter2@wms.test/x",
        "Authorization: Bearer hunter2hunter2",
        "password=hunter2 refused",
        'body {"api_key": "hunter2"}',
        "ask hunter2@example.com",
    ):
        assert "hunter2" not in scrubbed(text)
    assert scrubbed("there is no item TAP-99 in the catalogue") == "there is no item TAP-99 in the catalogue"
    assert len(scrubbed("x" * 10_000)) == 500


def test_a_bar_fills_its_width_and_leaves_out_what_is_not_there():
    parts = bar([("a", 1), ("b", 0), ("c", Decimal(-2)), ("d", 3)])
    assert [(part.name, part.x, part.width) for part in parts] == [("a", 0.0, 25.0), ("d", 25.0, 75.0)]
    assert bar([]) == ()


@given(st.lists(st.integers(0, 10**6)))
def test_a_line_stays_in_its_box(counts):
    drawn = sparkline(counts)
    if drawn is not None:
        heights = [float(point.split()[1]) for point in drawn.line[1:].split("L")]
        assert all(0 <= height <= drawn.height for height in heights)


def test_a_strip_spreads_instants_by_time():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ticks = strip([(start, "info", "a"), (start + timedelta(seconds=10), "good", "b"), (start, "bad", "c")])
    assert [tick.x for tick in ticks] == [10, 990, 10]
    assert strip([]) == ()


def test_a_system_is_judged_by_what_was_heard_of_it():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"failures": 0, "troubles": 0, "polled_at": now}
    assert system_condition(row, now) == ("up", "good")
    assert system_condition({**row, "failures": 3}, now)[0] == "down"
    assert system_condition({**row, "failures": 1}, now)[0] == "failing"
    assert system_condition({**row, "troubles": 1}, now)[0] == "in trouble"
    assert system_condition({**row, "polled_at": None}, now)[0] == "not heard yet"
    assert system_condition(row, now + timedelta(minutes=6))[0] == "silent"
