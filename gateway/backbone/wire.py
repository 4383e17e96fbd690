"""How an event travels: its record as JSON, its place and the place of the one before it in headers.

`Crossdock-Previous` is what lets a reader prove that it missed nothing. Places are written ``epoch.transaction.event``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.canonical.events import Position, Recorded

POSITION: Final = "Crossdock-Position"
PREVIOUS: Final = "Crossdock-Previous"
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Recorded).decode


def headers_of(recorded: Recorded, previous: Position, last_sequence: int) -> dict[str, str]:
    """Headers of one message; it is stored only as the next one after `last_sequence` of its JetStream stream."""
    place = written(recorded.position)
    return {
        POSITION: place,
        PREVIOUS: written(previous),
        "Nats-Msg-Id": place,
        "Nats-Expected-Last-Sequence": str(last_sequence),
    }


def payload_of(recorded: Recorded) -> bytes:
    """The event as JSON."""
    return _encode(recorded)


def recorded_in(payload: bytes) -> Recorded:
    """The event of a message; raises `msgspec.DecodeError` when it is not one of ours."""
    return _decode(payload)


def position_in(headers: Mapping[str, str] | None, name: str) -> Position:
    """A place from a header; raises ValueError when it is missing or broken."""
    parts = ((headers or {}).get(name) or "").split(".")
    epoch, transaction, event = map(int, parts)
    return Position(epoch, transaction, event)


def written(position: Position) -> str:
    """``epoch.transaction.event``."""
    return f"{position.epoch}.{position.transaction}.{position.event}"
