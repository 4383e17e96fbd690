"""What becomes of what sources say. Pure."""

from __future__ import annotations

from msgspec import Struct


class Refusal(Struct, frozen=True):
    """Why what was said of a record cannot hold, and what to do; `attribute` is where."""

    record: str
    attribute: str
    code: str
    detail: str


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of some changes: records by what happened to them, and what was refused."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
