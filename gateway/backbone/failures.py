"""What to do with an event whose handler failed, by the class of the error (`semantics.md` 6).

An event is first tried again in place, for a moment. Then it is set aside and tried again later while others go on,
and at last it waits for a person. What a person must mend (mapping, validation) is set aside at once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from gateway.store.postgres import outage_of


class ErrorClass(StrEnum):
    """Why an event failed, as far as the next step depends on it."""

    OUTAGE = "outage"
    THROTTLED = "throttled"
    OUTCOME_UNKNOWN = "outcome_unknown"
    SEQUENCE = "sequence"
    MAPPING = "mapping"
    VALIDATION = "validation"
    UPSTREAM = "upstream"
    UNEXPECTED = "unexpected"


class Patience(Struct, frozen=True):
    """Pauses in seconds: before each try in place, then before each later try."""

    in_place: tuple[float, ...]
    later: tuple[float, ...]


PATIENCE: Final = {
    ErrorClass.OUTAGE: Patience((0.1, 0.3, 1.0), (5, 30, 120, 600, 1800)),
    ErrorClass.THROTTLED: Patience((1.0,), (5, 30, 120, 600, 1800)),
    ErrorClass.OUTCOME_UNKNOWN: Patience((), (30, 120, 600)),
    ErrorClass.SEQUENCE: Patience((0.05, 0.2), (5, 30, 120)),
    ErrorClass.MAPPING: Patience((), ()),
    ErrorClass.VALIDATION: Patience((), ()),
    ErrorClass.UPSTREAM: Patience((), (60, 600)),
    ErrorClass.UNEXPECTED: Patience((0.1,), ()),
}
_CLASSES: Final[tuple[tuple[type[CrossdockError], ErrorClass], ...]] = (
    (Throttled, ErrorClass.THROTTLED),
    (Unavailable, ErrorClass.OUTAGE),
    (OutcomeUnknown, ErrorClass.OUTCOME_UNKNOWN),
    (Conflict, ErrorClass.SEQUENCE),
    (NotFound, ErrorClass.MAPPING),
    (Rejected, ErrorClass.VALIDATION),
    (BrokenUpstream, ErrorClass.UPSTREAM),
)
_LONGEST_S: Final = 3600.0
_WORTH_WAITING_S: Final = 2.0


class Failure(Struct, frozen=True):
    """One failed attempt. `fault_domain`: the ``system`` in the error's context, else the first word of its code."""

    error_class: ErrorClass
    code: str
    detail: str
    fault_domain: str
    retry_after: float = 0.0

    def pause_in_place(self, failed: int) -> float | None:
        """Seconds before the next try in place after `failed` of them, None when there is none."""
        if self.retry_after > _WORTH_WAITING_S:
            return None
        return self._pause(PATIENCE[self.error_class].in_place, failed)

    def pause_before_later(self, failed: int) -> float | None:
        """Seconds before the next later try after `failed` of them, None when it is a person's turn."""
        return self._pause(PATIENCE[self.error_class].later, failed)

    def _pause(self, pauses: tuple[float, ...], failed: int) -> float | None:
        if failed >= len(pauses):
            return None
        return min(max(pauses[failed], self.retry_after), _LONGEST_S)


def failure_of(error: Exception) -> Failure:
    """Class, code and fault domain of what a handler raised."""
    error = outage_of(error) or error
    if not isinstance(error, CrossdockError):
        return Failure(ErrorClass.UNEXPECTED, f"internal.{type(error).__name__}", str(error)[:500], "internal")
    kinds = (error_class for kind, error_class in _CLASSES if isinstance(error, kind))
    return Failure(
        error_class=next(kinds, ErrorClass.UNEXPECTED),
        code=error.code,
        detail=error.detail[:500],
        fault_domain=str(error.context.get("system") or error.code.partition(".")[0]),
        retry_after=error.retry_after if isinstance(error, Throttled) else 0.0,
    )
