"""What comes back from a server that requests are passed on to: its bounds, its parts, and heads that are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gateway.outbound.breakage import Breakage

Fields = Sequence[tuple[bytes, bytes]]

_MOST: Final = 1024
_LONGEST: Final = 1024
_BODILESS: Final = frozenset({204, 304})


class MessageLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one answer: `fields` in number, the header section and the whole body in bytes."""

    fields: int = 100
    header_bytes: int = 64 * 1024
    body_bytes: int = 16 * 1024 * 1024


class Answer(Struct, gc=False):
    """An answer. Field names are lower case, `connection` ones left out; `body` is whole unless it is streamed."""

    status: int
    fields: Fields
    body: bytes = b""


class Broken(Exception):
    """No whole answer came."""

    def __init__(self, kind: Breakage, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class KnownHeads:
    """Heads that the parser has read, by their bytes: the same bytes are read alike, without asking it again.

    Known are only heads of answers that left their connection open and are framed by a Content-Length alone, from
    their second coming on: what never comes again (ids, dates) costs next to nothing and is not kept.
    """

    __slots__ = ("_asked", "_known", "_once")

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, Fields, int]] = {}
        self._once: set[int] = set()
        self._asked = b""

    def __len__(self) -> int:
        return len(self._known)

    def answer(self, data: bytes) -> Answer | None:
        """The answer that `data` is, where its head is known and its body is there to the byte."""
        end = data.find(b"\r\n\r\n")
        self._asked = head = data[:end] if end > 0 else b""
        known = self._known.get(head)
        if known is None or end + 4 + known[2] != len(data):
            return None
        return Answer(known[0], known[1], data[end + 4 :])

    def learn(self, data: bytes, answer: Answer) -> None:
        """`data`, which `answer` did not know, was read as `answer`: no more, no less, framed by a Content-Length."""
        head, length = self._asked, len(answer.body)
        # Not an interim answer (1xx) before it, nor one that has no body whatever its length says.
        if not 0 < len(head) <= _LONGEST or len(head) + 4 + length != len(data) or answer.status in _BODILESS:
            return
        sight = hash(head)
        if sight in self._once:
            _make_room(self._known)
            self._known[head] = answer.status, tuple(answer.fields), length
        else:
            _make_room(self._once)
            self._once.add(sight)


def _make_room(kept: dict[bytes, tuple[int, Fields, int]] | set[int]) -> None:
    if len(kept) >= _MOST:
        kept.clear()
