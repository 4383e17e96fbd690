"""What an operator decides of the exceptions."""

from __future__ import annotations

from msgspec import Struct

from gateway.kernel.errors import Misconfigured


class ExceptionOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queue of exceptions, kept `keep_days` after an entry ended.

    The worker asks who owns troubles every `look_seconds`. What was retried and neither failed again nor ended within
    `retry_seconds` is a person's again. A bulk of more than `alone` entries takes a second person.
    """

    keep_days: float = 90.0
    look_seconds: float = 2.0
    retry_seconds: float = 120.0
    alone: int = 50

    def __post_init__(self) -> None:
        if min(self.keep_days, self.look_seconds, self.retry_seconds) <= 0 or self.alone < 0:
            raise Misconfigured("exceptions: times are above 0, alone is 0 or more")
