from datetime import UTC, datetime

import msgspec
import pytest

from gateway.backbone.wire import POSITION, PREVIOUS, SHARED, events_in, headers_of, kind_of, payload_of, position_in
from gateway.canonical.events import Position, Recorded
from gateway.store.rows import Shared, members_of

from .conftest import order

RECORDED = Recorded(
    position=Position(2, 1 << 40, 7),
    recorded_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    event=order("ord_1", 3, amount="0.10", nested={"Ω": [1, None, True]}),
    version=4,
)


def test_an_event_and_its_places_survive_the_journey():
    headers = headers_of(RECORDED, Position(1, 5, 6), 41)
    assert events_in(payload_of(RECORDED), headers) == (RECORDED,)
    assert position_in(headers, POSITION) == RECORDED.position
    assert position_in(headers, PREVIOUS) == Position(1, 5, 6)
    assert headers["Nats-Expected-Last-Sequence"] == "41"


@pytest.mark.parametrize("headers", [None, {}, {POSITION: ""}, {POSITION: "1.2"}, {POSITION: "a.b.c"}])
def test_a_message_without_a_place_is_no_event(headers):
    with pytest.raises(ValueError, match=r"."):
        position_in(headers, POSITION)


@pytest.mark.parametrize("headers", [None, {SHARED: "1"}])
def test_a_payload_of_somebody_else_is_refused(headers):
    with pytest.raises(msgspec.DecodeError):
        events_in(b'{"hello": 1}', headers)


def test_the_events_of_a_shared_row_travel_in_one_message():
    events = [order(f"stock_line/main/{n}/W", n, type_="availability.changed", item=str(n)) for n in range(3)]
    row = Shared(
        position=Position(2, 9, 4_000), recorded_at=RECORDED.recorded_at, version=2, tenant="acme", stream="main",
        type="availability.changed", occurred_at=events[0].occurred_at,
        members=msgspec.Raw(members_of(events).encode()),
    )  # fmt: skip
    headers = headers_of(row, Position(2, 8, 3_000), 41)
    found = events_in(payload_of(row), headers)
    assert [each.event for each in found] == events
    assert [each.position.event for each in found] == [3_998, 3_999, 4_000]
    assert position_in(headers, POSITION) == found[-1].position
    assert kind_of(row) == "availability.changed"


def test_what_was_too_large_or_what_an_older_relay_did_not_understand_is_left_to_the_record():
    misread = msgspec.structs.replace(RECORDED, event=order("", 0, type_="availability.changed"))
    assert events_in(b"", {}) is None
    assert events_in(payload_of(misread), headers_of(misread, Position(1, 5, 6), 41)) is None
