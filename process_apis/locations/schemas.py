"""The shapes of the process API on the wire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.canonical.location import LocationCode
from gateway.canonical.shipping_times import ShippingTimes
from gateway.kernel.errors import Rejected
from gateway.reference.survivorship import STEWARD
from process_apis.locations.models import Change, Node

Id = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)",
        description="letters, digits, `_`, `.` and `-`",
        examples=["north"],
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]
Instant = Annotated[datetime, Meta(tz=True)]
Priority = Annotated[int, Meta(ge=0, le=1_000_000, description="of places that would do, the lower goes first")]
KindName = Literal["company", "region", "zone", "site"]


class LocationView(Struct, kw_only=True):
    """A location as it counts, with what it inherits.

    `above` has the ids of those it belongs to, nearest first. Only a location with a `holder`, the system that owns its
    physical stock, keeps any.
    """

    id: str
    name: str
    kind: str
    type: str | None
    parent: str | None
    above: list[str]
    region: str | None
    time_zone: str | None
    holder: str | None
    poster_to: str | None
    priority: int
    shipping: ShippingTimes | None


class LocationPage(Struct, kw_only=True):
    """A page of locations."""

    items: Annotated[list[LocationView], Meta(max_length=200)]
    next_cursor: str | None


class StatementInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a source says of a location. What is left out it does not speak of; null says that there is none."""

    name: Text | UnsetType = UNSET
    kind: KindName | UnsetType = UNSET
    type: Text | UnsetType | None = UNSET
    parent: Id | UnsetType | None = UNSET
    region: Text | UnsetType | None = UNSET
    time_zone: Text | UnsetType | None = UNSET
    holder: Text | UnsetType | None = UNSET
    poster_to: Text | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    shipping: ShippingTimes | UnsetType | None = UNSET


class CodeInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a source calls it from `valid_from` on and before `valid_until`; left out, that end is open."""

    code: Text
    valid_from: Instant | None = None
    valid_until: Instant | None = None


class CodesInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """All codes of one source for one location."""

    codes: Annotated[list[CodeInput], Meta(max_length=50)]


class LocationInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new location, what `source` says of it, and each system's code for it."""

    id: Id
    says: StatementInput
    codes: Annotated[dict[Text, Text], Meta(max_length=50)] = {}
    source: Text = STEWARD


class CodeView(Struct, kw_only=True):
    """What a source calls a location, and when."""

    source: str
    code: str
    valid_from: datetime | None
    valid_until: datetime | None


class CodeList(Struct, kw_only=True):
    """All codes of a location, those that have ended and those to come too."""

    codes: list[CodeView]


def location_view(node: Node) -> LocationView:
    """A node on the wire."""
    return LocationView(
        id=node.location,
        name=node.name,
        kind=node.kind.value,
        type=node.type,
        parent=node.parent,
        above=list(node.above),
        region=node.region,
        time_zone=node.time_zone,
        holder=node.holder,
        poster_to=node.poster_to,
        priority=node.priority,
        shipping=node.shipping,
    )


def new_location(data: LocationInput) -> Change:
    """What a source says of a location that it adds."""
    codes = {source: (LocationCode(location=data.id, source=source, code=code),) for source, code in data.codes.items()}
    return Change(location=data.id, attributes=said_of(data.says), codes=codes, whole=True)


def said_of(data: StatementInput) -> Mapping[str, Any]:
    """What is spoken of."""
    said: dict[str, Any] = msgspec.to_builtins(data)
    return said


def codes_of(location: str, source: str, data: CodesInput) -> Change:
    """The codes of one source; raises `Rejected` for one that ends before it begins."""
    made = []
    for each in data.codes:
        if each.valid_from is not None and each.valid_until is not None and each.valid_from >= each.valid_until:
            raise Rejected(f"{each.code} ends before it begins: swap the instants", code="location.code_dates")
        made.append(
            LocationCode(
                location=location,
                source=source,
                code=each.code,
                valid_from=each.valid_from,
                valid_until=each.valid_until,
            )
        )
    return Change(location=location, attributes={}, codes={source: made})


def code_list(codes: Sequence[LocationCode]) -> CodeList:
    """Codes on the wire."""
    return CodeList(
        codes=[
            CodeView(source=each.source, code=each.code, valid_from=each.valid_from, valid_until=each.valid_until)
            for each in codes
        ]
    )
