"""The hierarchy: what a location inherits, and what cannot hold. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from gateway.canonical.location import Location, LocationCode
from gateway.canonical.shipping_times import ShippingTimes
from gateway.reference.outcomes import Refusal
from process_apis.locations.models import HEIGHTS, Kind, Node

_OWN: Final = frozenset(
    {"name", "kind", "type", "parent", "region", "time_zone", "holder", "poster_to", "priority", "codes", "shipping"}
)
_DEFAULT_PRIORITY: Final = 100
Values = Mapping[str, Any]


class Hierarchy:
    """All locations of one tenant, by the value that counts of each attribute."""

    def __init__(self, values: Mapping[str, Values]) -> None:
        self._values = dict(values)

    def __contains__(self, location: object) -> bool:
        return location in self._values

    def locations(self) -> Sequence[str]:
        """All ids, in their order."""
        return sorted(self._values)

    def below(self, some: Collection[str]) -> set[str]:
        """Those that belong to any of `some`, at any depth."""
        wanted = set(some)
        return {each for each in self._values if wanted.intersection(self._above(each))}

    def node(self, location: str) -> Node:
        """One location with what it inherits."""
        values, above = self._values[location], self._above(location)
        kind = _kind(values)
        return Node(
            location=location,
            name=values.get("name") or location,
            kind=kind,
            type=values.get("type"),
            parent=values.get("parent"),
            above=tuple(above),
            region=self._inherited("region", [location, *above]),
            time_zone=self._inherited("time_zone", [location, *above]),
            holder=values.get("holder"),
            poster_to=values.get("poster_to"),
            priority=_DEFAULT_PRIORITY if values.get("priority") is None else values["priority"],
            shipping=self._shipping([location, *above]),
            more={name: value for name, value in values.items() if name not in _OWN},
        )

    def refusals(self, location: str, *, systems: Collection[str], zones: Collection[str]) -> list[Refusal]:
        """What of this location cannot hold. `systems` are configured, `zones` are IANA's names of time zones."""
        node = self.node(location)
        found = [*self._misplaced(node)]
        if node.time_zone is not None and node.time_zone not in zones:
            found.append(
                Refusal(
                    location, "time_zone", "location.time_zone",
                    f"there is no time zone {node.time_zone[:60]!r}: give IANA's name, such as America/New_York",
                )
            )  # fmt: skip
        for attribute, system in (
            ("holder", node.holder),
            ("poster_to", node.poster_to),
            ("stand_by", node.more.get("stand_by")),
        ):
            if system is not None and system not in systems:
                found.append(
                    Refusal(
                        location, attribute, "location.system_unknown",
                        f"no system is configured as {system[:60]!r}: define it in [systems] or [sources] first",
                    )
                )  # fmt: skip
        if (wrong := _wrong_times(self._values[location].get("shipping"))) is not None:
            found.append(Refusal(location, "shipping", "location.shipping", wrong))
        if node.holder is not None:
            found += [
                Refusal(
                    location, attribute, "location.incomplete",
                    f"a location that keeps stock needs a {attribute}: give it one, or one above it",
                )
                for attribute, value in (("region", node.region), ("time_zone", node.time_zone)) if value is None
            ]  # fmt: skip
        return found

    def _misplaced(self, node: Node) -> Iterable[Refusal]:
        if node.parent is None:
            return
        if node.parent not in self._values:
            yield Refusal(
                node.location, "parent", "location.parent_unknown",
                f"there is no location {node.parent[:60]!r}: add it first, or correct the parent",
            )  # fmt: skip
        elif HEIGHTS.index(_kind(self._values[node.parent])) >= HEIGHTS.index(node.kind):
            yield Refusal(
                node.location, "parent", "location.parent_kind",
                f"a {node.kind} belongs to something higher: {', '.join(HEIGHTS)} is the order",
            )  # fmt: skip

    def _above(self, location: str) -> list[str]:
        """Ancestors, nearest first; a circle, which cannot be stored, ends."""
        found: list[str] = []
        parent = self._values[location].get("parent")
        while parent in self._values and parent not in found and parent != location:
            found.append(parent)
            parent = self._values[parent].get("parent")
        return found

    def _inherited(self, attribute: str, chain: Sequence[str]) -> str | None:
        for each in chain:
            values = self._values[each]
            if (value := values.get(attribute)) is not None:
                return str(value)
            if attribute == "region" and _kind(values) is Kind.REGION:
                return each
        return None

    def _shipping(self, chain: Sequence[str]) -> ShippingTimes | None:
        said = next((some for each in chain if (some := self._values[each].get("shipping")) is not None), None)
        return None if said is None or _wrong_times(said) is not None else msgspec.convert(said, ShippingTimes)


def stock_locations(hierarchy: Hierarchy, codes: Mapping[str, Mapping[str, str]]) -> list[Location]:
    """The locations that keep stock, with the code that holds now of each source (by location)."""
    nodes = [hierarchy.node(location) for location in hierarchy.locations()]
    return [
        msgspec.convert(
            {
                **node.more,
                "location": node.location,
                "name": node.name,
                "region": node.region,
                "time_zone": node.time_zone,
                "holder": node.holder,
                "poster_to": node.poster_to,
                "priority": node.priority,
                "shipping": node.shipping,
                "codes": codes.get(node.location, {}),
            },
            Location,
        )
        for node in nodes
        if node.holder is not None and node.region is not None and node.time_zone is not None
    ]


def taken_codes(codes: Iterable[LocationCode]) -> list[tuple[LocationCode, LocationCode]]:
    """Codes that would mean two things at one time, in pairs."""
    by_code: dict[tuple[str, str], list[LocationCode]] = {}
    for each in codes:
        by_code.setdefault((each.source, each.code), []).append(each)
    found = []
    for some in by_code.values():
        ordered = sorted(some, key=lambda each: (each.valid_from is not None, each.valid_from or 0))
        for earlier, later in pairwise(ordered):
            if earlier.valid_until is None or later.valid_from is None or later.valid_from < earlier.valid_until:
                found.append((earlier, later))
    return found


def _wrong_times(said: Any) -> str | None:
    if said is None:
        return None
    try:
        msgspec.convert(said, ShippingTimes)
    except msgspec.ValidationError as error:
        return f"its shipping times cannot hold: {error}"
    return None


def _kind(values: Values) -> Kind:
    given = values.get("kind")
    return Kind.SITE if given is None else Kind(given)
