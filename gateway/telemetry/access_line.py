"""The shape of a line of the access log."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class AccessLine(Struct, frozen=True, gc=False):
    """One request as it is logged.

    `at` is its end, exact to the millisecond, `seconds` how long it took, `who` the authenticated subject or empty.
    """

    at: datetime
    method: str
    route: str
    status: int
    seconds: float
    who: str
    peer: str
    request_id: str
