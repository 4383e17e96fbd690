"""How long a version of an API lives: dates that partners plan by, kept in one file and told in headers."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from gateway.kernel.errors import Misconfigured

Instant = Annotated[datetime, Meta(tz=True)]
_LONGEST_BROWNOUT: Final = timedelta(days=1)
# They go into header fields as they are (RFC 8288): nothing that could end the reference or the field.
_REFERENCE: Final = re.compile(r"[!#-;=?-Z_a-z~]{1,200}")


class Slo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owners of an API promise, measured at the door over a month.

    `availability_percent`: calls that did not fail for a reason of ours (5xx). `latency_p99_ms`: the time in
    milliseconds that 99 of 100 calls keep.
    """

    availability_percent: float
    latency_p99_ms: int


class Brownout(Struct, frozen=True, forbid_unknown_fields=True):
    """A short planned outage of a deprecated version, so that who still calls it finds out in time. Aware instants."""

    begins: Instant
    ends: Instant


class Lifecycle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of one API. `successor` and `documentation` are URI references. Instants are aware.

    Raises `Misconfigured` when the sunset comes before the deprecation (RFC 8594 and RFC 9745, section 4), and for a
    brownout that does not lie between the two.
    """

    api: str
    version: str
    deprecated_at: Instant | None = None
    sunset_at: Instant | None = None
    successor: str | None = None
    documentation: str | None = None
    brownouts: tuple[Brownout, ...] = ()

    def __post_init__(self) -> None:
        if self.sunset_at is not None and (self.deprecated_at is None or self.sunset_at < self.deprecated_at):
            self._refuse("sunset_at", "give a deprecation date that is not after its sunset")
        for name, reference in (("successor", self.successor), ("documentation", self.documentation)):
            if reference is not None and not _REFERENCE.fullmatch(reference):
                self._refuse(name, "give a URI reference in ASCII")
        for brownout in self.brownouts:
            self._check(brownout)

    def _check(self, brownout: Brownout) -> None:
        if not timedelta(0) < brownout.ends - brownout.begins <= _LONGEST_BROWNOUT:
            self._refuse("brownouts", "each ends after it begins, a day later at most")
        if self.deprecated_at is None or brownout.begins < self.deprecated_at:
            self._refuse("brownouts", "none begins before the version is deprecated")
        if self.sunset_at is not None and brownout.ends > self.sunset_at:
            self._refuse("brownouts", "none lasts beyond the sunset")

    def _refuse(self, field: str, advice: str) -> None:
        raise Misconfigured(f"{self.api} {self.version}: {field}: {advice}")
