"""Optimistic concurrency of administration: whoever changes a thing says which version of it they saw."""

from __future__ import annotations

from gateway.kernel.errors import Conflict, NotFound


def check_version(present: int | None, expected: int | None, missing: NotFound) -> None:
    """Raise `missing` for what is not there, and `Conflict` (code ``precondition.failed``) past `expected`.

    `expected` None takes whatever is there: a person at the command line who just looked.
    """
    if present is None:
        raise missing
    if expected is not None and expected != present:
        raise Conflict(
            f"somebody changed this since version {expected} (now {present}): read it again, then decide",
            code="precondition.failed",
        )
