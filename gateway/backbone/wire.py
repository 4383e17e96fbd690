"""How a row of the log travels: its record as JSON, its place and the place of the one before it in headers.

A row is one event, or several that share it (`gateway/store/rows.py`): `Crossdock-Shared` says so.

`Crossdock-Previous` is what lets a reader prove that it missed nothing. Places are written ``epoch.transaction.event``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.canonical.events import Position, Recorded
from gateway.store.rows import Shared

POSITION: Final = "Crossdock-Position"
PREVIOUS: Final = "Crossdock-Previous"
SHARED: Final = "Crossdock-Shared"
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Recorded).decode
_decode_shared: Final = msgspec.json.Decoder(Shared).decode


def headers_of(row: Recorded | Shared, previous: Position, last_sequence: int) -> dict[str, str]:
    """Headers of one message; it is stored only as the next one after `last_sequence` of its JetStream stream."""
    place = written(row.position)
    headers = {
        POSITION: place,
        PREVIOUS: written(previous),
        "Nats-Msg-Id": place,
        "Nats-Expected-Last-Sequence": str(last_sequence),
    }
    return headers | {SHARED: "1"} if isinstance(row, Shared) else headers


def kind_of(row: Recorded | Shared) -> str:
    """The type of what a row holds."""
    return row.type if isinstance(row, Shared) else row.event.type


def payload_of(row: Recorded | Shared) -> bytes:
    """The row as JSON."""
    return _encode(row)


def events_in(payload: bytes, headers: Mapping[str, str] | None) -> Sequence[Recorded] | None:
    """The events of a message; raises `msgspec.MsgspecError` when they are none of ours.

    None where they were not carried: too large, or the relay of an older release did not know of shared rows.
    """
    if not payload:
        return None
    if SHARED in (headers or {}):
        return _decode_shared(payload).events()
    recorded = _decode(payload)
    return (recorded,) if recorded.event.aggregate else None


def position_in(headers: Mapping[str, str] | None, name: str) -> Position:
    """A place from a header; raises ValueError when it is missing or broken."""
    parts = ((headers or {}).get(name) or "").split(".")
    epoch, transaction, event = map(int, parts)
    return Position(epoch, transaction, event)


def written(position: Position) -> str:
    """``epoch.transaction.event``."""
    return f"{position.epoch}.{position.transaction}.{position.event}"
