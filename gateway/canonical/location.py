"""Locations: where goods are, who holds them, and who is told."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Location(Struct, frozen=True, kw_only=True):
    """One warehouse or 3PL site.

    `holder` is the system instance that owns its physical buckets; `poster_to` the ERP instance that one declared
    poster tells about them; `codes` gives the code each instance uses; `time_zone` is an IANA name for business dates.
    """

    location: str
    name: str
    region: str
    time_zone: str
    holder: str
    poster_to: str | None = None
    codes: Mapping[str, str] = {}
    priority: int = 100
