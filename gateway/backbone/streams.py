"""The JetStream streams that carry the log: one per log stream (region) of one installation.

They are kept in files with JetStream's default sync interval: the record can refill them (`semantics.md` 1). What
is older than a day, or beyond a million messages, is dropped: whoever needs it reads the record.
"""

from __future__ import annotations

import hashlib
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from gateway.store.installation import Installation

_KEPT_S: Final = 86_400.0
_KEPT_MESSAGES: Final = 1_000_000
_DUPLICATE_WINDOW_S: Final = 120.0


class Namespace:
    """The names of one installation's streams, so that a copy of its database never mixes with it on one NATS."""

    def __init__(self, installation: Installation) -> None:
        identity = f"{installation.identity}/{installation.database}".encode()
        self._short = hashlib.sha256(identity).hexdigest()[:16]

    def stream(self, stream: str) -> str:
        """The JetStream stream of a log stream."""
        return f"crossdock_{self._short}_{_token(stream)}"

    def subject(self, stream: str, event_type: str) -> str:
        """The subject of an event; ``>`` as `event_type` stands for all."""
        return f"crossdock.{self._short}.{_token(stream)}.{event_type}"


async def ensure_stream(jetstream: JetStreamContext, namespace: Namespace, stream: str) -> StreamInfo:
    """The JetStream stream of `stream`, created where it is missing."""
    name = namespace.stream(stream)
    try:
        return await jetstream.stream_info(name)
    except NotFoundError:
        return await jetstream.add_stream(
            StreamConfig(
                name=name,
                subjects=[namespace.subject(stream, ">")],
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                max_age=_KEPT_S,
                max_msgs=_KEPT_MESSAGES,
                duplicate_window=_DUPLICATE_WINDOW_S,
            )
        )


def _token(stream: str) -> str:
    """A stream's name as NATS allows it in names and subjects; other characters are spelled in hexadecimal."""
    return "".join(char if char.isascii() and (char.isalnum() or char == "-") else f"_{ord(char):x}" for char in stream)
