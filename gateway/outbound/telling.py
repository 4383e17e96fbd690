"""What `explain` is told of a call to another system: which one, how it ended, after how many tries and how long."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import OutboundCall

GIVEN_UP = "given up"


class Telling:
    """Appends the call made in its block to `into`, if there is anybody to tell. `outcome` is set to the status."""

    __slots__ = ("_begun", "_into", "_method", "_monotonic", "_system", "attempts", "outcome")

    def __init__(
        self, into: list[OutboundCall] | None, system: str, method: str, monotonic: Callable[[], float]
    ) -> None:
        self._into = into
        self._system = system
        self._method = method
        self._monotonic = monotonic
        self._begun = monotonic()
        self.attempts = 0
        self.outcome = GIVEN_UP

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        if self._into is None:
            return
        if self.outcome == GIVEN_UP and isinstance(error, CrossdockError):
            self.outcome = error.code
        took = (self._monotonic() - self._begun) * 1e6
        self._into.append(OutboundCall(self._system, self._method, self.outcome, self.attempts, took))
