"""How long a version of an API lives: dates that partners plan by, kept in one file and told in headers."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from gateway.kernel.errors import Misconfigured


class Brownout(Struct, frozen=True):
    """A short planned outage of a deprecated version, so that who still calls it finds out in time. Aware instants."""

    begins: datetime
    ends: datetime


class Lifecycle(Struct, frozen=True, kw_only=True):
    """One version of one API. `successor` and `documentation` are URI references. Instants are aware.

    Raises `Misconfigured` when the sunset comes before the deprecation (RFC 8594 and RFC 9745, section 4).
    """

    api: str
    version: str
    deprecated_at: datetime | None = None
    sunset_at: datetime | None = None
    successor: str | None = None
    documentation: str | None = None
    brownouts: tuple[Brownout, ...] = ()

    def __post_init__(self) -> None:
        if self.sunset_at is not None and (self.deprecated_at is None or self.sunset_at < self.deprecated_at):
            raise Misconfigured(f"{self.api} {self.version}: give a deprecation date that is not after its sunset")
