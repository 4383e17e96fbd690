"""What the locations process takes in and tells: a node of the hierarchy, a change, a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.location import Location, LocationCode
from gateway.canonical.shipping_times import ShippingTimes

DOMAIN: Final = "location"


class Kind(StrEnum):
    """How high a node stands; a parent stands higher than its children."""

    COMPANY = "company"
    REGION = "region"
    ZONE = "zone"
    SITE = "site"


HEIGHTS: Final = tuple(Kind)
ATTRIBUTES: Final = tuple(
    dict.fromkeys(
        (
            *("name", "kind", "type", "parent", "region", "time_zone"),
            *(field for field in Location.__struct_fields__ if field not in ("location", "codes")),
        )
    )
)
"""What sources may say of a location."""


class Node(Struct, frozen=True, kw_only=True):
    """One place of the hierarchy, with what it inherits: region, time zone and shipping times, of the nearest above it.

    `above` has the ids of those it belongs to, nearest first. A node with a `holder` keeps stock. `more` is what else
    a stock-keeping `Location` holds.
    """

    location: str
    name: str
    kind: Kind
    type: str | None
    parent: str | None
    above: tuple[str, ...]
    region: str | None
    time_zone: str | None
    holder: str | None
    poster_to: str | None
    priority: int
    shipping: ShippingTimes | None
    more: Mapping[str, Any]


class Change(Struct, frozen=True, kw_only=True):
    """What one source says of one location.

    `codes` replaces, by source, all codes of the location; None leaves them. `whole`: the source says nothing else of
    the location any more, else what it said of other attributes stands.
    """

    location: str
    attributes: Mapping[str, Any]
    codes: Mapping[str, Sequence[LocationCode]] | None = None
    whole: bool = False
