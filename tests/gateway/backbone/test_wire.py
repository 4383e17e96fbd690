from datetime import UTC, datetime

import msgspec
import pytest

from gateway.backbone.wire import POSITION, PREVIOUS, headers_of, payload_of, position_in, recorded_in
from gateway.canonical.events import Position, Recorded

from .conftest import order

RECORDED = Recorded(
    position=Position(2, 1 << 40, 7),
    recorded_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    event=order("ord_1", 3, amount="0.10", nested={"Ω": [1, None, True]}),
    version=4,
)


def test_an_event_and_its_places_survive_the_journey():
    headers = headers_of(RECORDED, Position(1, 5, 6), 41)
    assert recorded_in(payload_of(RECORDED)) == RECORDED
    assert position_in(headers, POSITION) == RECORDED.position
    assert position_in(headers, PREVIOUS) == Position(1, 5, 6)
    assert headers["Nats-Expected-Last-Sequence"] == "41"


@pytest.mark.parametrize("headers", [None, {}, {POSITION: ""}, {POSITION: "1.2"}, {POSITION: "a.b.c"}])
def test_a_message_without_a_place_is_no_event(headers):
    with pytest.raises(ValueError, match=r"."):
        position_in(headers, POSITION)


def test_a_payload_of_somebody_else_is_refused():
    with pytest.raises(msgspec.DecodeError):
        recorded_in(b'{"hello": 1}')
