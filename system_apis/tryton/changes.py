"""What changed in Tryton, read from a cursor: pages by ``write_date``, the last change last.

``write_date`` is when a change began, not when it was committed: a transaction that takes long shows up behind others.
So reading is begun again a settle time before the last change that was seen; the same news again changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from msgspec import Struct

from gateway.kernel.errors import BrokenUpstream, Rejected
from system_apis.tryton import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.canonical.capabilities import Call
    from gateway.kernel.clock import Clock
    from system_apis.tryton.client import Client
    from system_apis.tryton.directory import Directory

Row = TypeVar("Row", bound=wire.Changed)
_ORDER: Final = (("write_date", "ASC"), ("id", "ASC"))
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Changes(Struct, Generic[Row], frozen=True):
    """Rows by when they changed. `next_cursor` is behind them, `resume` where reading is taken up another time."""

    rows: Sequence[Row]
    next_cursor: str | None
    resume: str | None


class ReadsChanges:
    """Reads the rows of a model that changed behind a cursor."""

    def __init__(self, client: Client, directory: Directory, clock: Clock, settle_time_s: float) -> None:
        self._client = client
        self._directory = directory
        self._clock = clock
        self._settle = timedelta(seconds=settle_time_s)

    async def read(
        self, call: Call, shape: type[Row], domain: Sequence[object], cursor: str | None, limit: int
    ) -> Changes[Row]:
        """The next `limit` that `domain` lets through. Raises `Rejected` for a cursor that is not one of ours."""
        after, last = _place(cursor)
        instant = after.replace(tzinfo=None)
        behind = ["OR", ("write_date", ">", instant), [("write_date", "=", instant), ("id", ">", last)]]
        found = await self._client.search_read(
            call, shape.MODEL, [*domain, behind], shape.FIELDS, limit=limit, order=_ORDER,
            context=await self._directory.context(call),
        )  # fmt: skip
        try:
            rows = wire.rows(found, shape)
        except ValueError as error:
            raise BrokenUpstream(
                f"Tryton answered something else than {shape.MODEL}: {error}", code="erp.shape"
            ) from None
        if not rows:
            return Changes((), cursor, cursor)
        changed = rows[-1].write_date.replace(tzinfo=UTC)
        settled = self._clock.now() - self._settle
        resume = _cursor(changed, rows[-1].id) if changed <= settled else _cursor(max(settled, after), 0)
        return Changes(rows, _cursor(changed, rows[-1].id), resume)


def version_of(row: wire.Changed) -> int:
    """The microsecond of its last change: what is newer has more."""
    return _microseconds(row.write_date.replace(tzinfo=UTC))


def _microseconds(instant: datetime) -> int:
    return (instant - _BEGINNING) // timedelta(microseconds=1)


def _cursor(instant: datetime, number: int) -> str:
    return f"{_microseconds(instant)}.{number}"


def _place(cursor: str | None) -> tuple[datetime, int]:
    if cursor is None:
        return _BEGINNING, 0
    at, dot, number = cursor.partition(".")
    if not (dot and at.isascii() and at.isdigit() and number.isascii() and number.isdigit()):
        raise Rejected("this cursor is not one of ours: start without one", code="erp.bad_cursor")
    return _BEGINNING + timedelta(microseconds=int(at)), int(number)
