"""Server-sent events on the wire (HTML Living Standard, section 9.2.6)."""

from __future__ import annotations

from typing import Final

MEDIA_TYPE: Final = "text/event-stream"


def event(name: str, data: bytes, *, identity: str) -> bytes:
    """One event. `data` has no line break (JSON never has); `identity` is what the client sends as Last-Event-ID."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (identity.encode(), name.encode(), data)


def opening(*, identity: str, retry_ms: int) -> bytes:
    """What a stream begins with: how long to wait before coming again, and where it begins."""
    return b"retry: %d\nid: %b\n\n" % (retry_ms, identity.encode())


def heartbeat(*, identity: str) -> bytes:
    """A comment that keeps the connection open. No event is dispatched: the id without data only moves on."""
    return b": nothing new\nid: %b\n\n" % identity.encode()
