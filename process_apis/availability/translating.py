"""From a source's own codes and units to ours, or to a reason why not."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from gateway.canonical.capabilities import ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import (
    OWN_SOURCE,
    Bucket,
    MovementType,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
)
from gateway.kernel.ids import new_ids
from process_apis.availability.effects import EFFECTS
from process_apis.availability.models import (
    DEFAULT_OWNER,
    Count,
    Mapped,
    Parked,
    ParkedFigure,
    Refusal,
    Way,
)
from process_apis.availability.rules import base_amount, handling, route

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_HANDLED: Final = frozenset({MovementType.PICK_CONFIRMED, MovementType.UNPICKED})


def fingerprint(reported: msgspec.Struct) -> bytes:
    """What tells another payload under the same id: everything that was reported but how it travelled."""
    if isinstance(reported, ReportedMovement) and reported.correlation_id is not None:
        reported = msgspec.structs.replace(reported, correlation_id=None)
    return hashlib.blake2b(_encode(reported), digest_size=16).digest()


class Translator:
    """Maps reports by cross-references (`ResolvesItems`) and locations."""

    def __init__(self, items: ResolvesItems, locations: LocationMap) -> None:
        self._items = items
        self.locations = locations

    async def movements(self, tenant: str, reported: Sequence[ReportedMovement]) -> tuple[list[Mapped], list[Parked]]:
        """Every movement, mapped or parked."""
        wanted: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for each in reported:
            wanted[each.source][each.source_item] = None
        items = {source: await self.by_source(tenant, source, list(codes)) for source, codes in wanted.items()}
        await self._look_again(tenant, {(each.source, each.source_location) for each in reported})
        mapped: list[Mapped] = []
        parked: list[Parked] = []
        for name, each in zip(new_ids("mov", len(reported)), reported, strict=True):
            made = self._movement(tenant, name, each, items[each.source].get(each.source_item))
            if isinstance(made, Mapped):
                mapped.append(made)
            else:
                parked.append(park_movement(each, made))
        return mapped, parked

    async def figures(
        self, tenant: str, snapshot: ReportedSnapshot, first_line: int = 0
    ) -> tuple[list[Count], list[Parked]]:
        """Every figure of a snapshot, mapped or parked; the line of a parked one is its place in the snapshot."""
        wanted = dict.fromkeys(each.source_item for each in snapshot.figures)
        items = await self.by_source(tenant, snapshot.source, list(wanted))
        await self._look_again(tenant, {(snapshot.source, each.source_location) for each in snapshot.figures})
        counts: list[Count] = []
        parked: list[Parked] = []
        for line, figure in enumerate(snapshot.figures, first_line):
            made = self._figure(tenant, snapshot, figure, items.get(figure.source_item))
            if isinstance(made, Count):
                counts.append(made)
            else:
                parked.append(_park_figure(snapshot, figure, line, made))
        return counts, parked

    async def refresh(self, tenant: str) -> None:
        """Map by what the record has now."""
        await self.locations.refresh(tenant)
        await self._items.refresh(tenant)

    async def _look_again(self, tenant: str, codes: Iterable[tuple[str, str]]) -> None:
        """Compare with the record before anything is parked for a location that this process has not heard of yet."""
        if any(self.locations.by_code(tenant, source, code) is None for source, code in codes):
            await self.locations.refresh(tenant)

    def place(self, tenant: str, source: str, code: str, at: datetime | None = None) -> Location | Refusal:
        """The location that `source` calls `code`, or called so at the instant `at`."""
        found = self.locations.by_code(tenant, source, code, at)
        if found is None:
            return Refusal(
                "stock.location_unknown", f"{source} knows a location {code!r}: add it to a location's codes"
            )
        return found

    async def by_source(self, tenant: str, source: str, codes: Sequence[str]) -> Mapping[str, Item]:
        """Items by a source's own codes, which are our ids where we are the source; unknown ones are left out."""
        if source == OWN_SOURCE:
            return await self._items.by_id(tenant, codes)
        return await self._items.by_source(tenant, source, codes)

    def _movement(self, tenant: str, name: str, each: ReportedMovement, item: Item | None) -> Mapped | Refusal:
        place = self.place(tenant, each.source, each.source_location, each.occurred_at)
        # What it is, is asked first: whether it is a refusal costs several times as much to deny.
        if not isinstance(place, Location):
            return place
        if item is None:
            return _unknown_item(each.source, each.source_item)
        way = route(each)
        if not isinstance(way, Way):
            return way
        based = base_amount(item, each.amount, each.uom, signed=EFFECTS[each.type].signed, at=each.occurred_at)
        if not isinstance(based, tuple):
            return based
        amount, factor = based
        return Mapped(
            movement=name,
            reported=each,
            fingerprint=fingerprint(each),
            item=item.item,
            location=place.location,
            owner=each.owner or DEFAULT_OWNER,
            amount=amount,
            factor=factor,
            way=way,
            handling=_group(each, way),
            moves=place.holder == each.source,
        )

    def _figure(
        self, tenant: str, snapshot: ReportedSnapshot, figure: ReportedFigure, item: Item | None
    ) -> Count | Refusal:
        source = snapshot.source
        place = self.place(tenant, source, figure.source_location, snapshot.taken_at)
        if isinstance(place, Refusal):
            return place
        if item is None:
            return _unknown_item(source, figure.source_item)
        based = base_amount(item, figure.amount, figure.uom, signed=True, at=snapshot.taken_at)
        if isinstance(based, Refusal):
            return based
        return Count(
            location=place.location,
            item=item.item,
            owner=figure.owner or DEFAULT_OWNER,
            bucket=figure.bucket,
            lot=figure.lot or "",
            amount=based[0],
        )


def park_movement(reported: ReportedMovement, refusal: Refusal) -> Parked:
    """A movement that waits for a person."""
    return Parked(
        source=reported.source,
        event_id=reported.event_id,
        line=reported.line,
        kind="movement",
        fingerprint=fingerprint(reported),
        refusal=refusal,
        payload=reported,
    )


def _park_figure(snapshot: ReportedSnapshot, figure: ReportedFigure, line: int, refusal: Refusal) -> Parked:
    head = msgspec.structs.replace(snapshot, figures=())
    return Parked(
        source=snapshot.source,
        event_id=snapshot.event_id,
        line=line,
        kind="figure",
        fingerprint=fingerprint(figure),
        refusal=refusal,
        payload=ParkedFigure(snapshot=head, figure=figure),
    )


def _group(each: ReportedMovement, way: Way) -> str | None:
    takes_picked = each.type is MovementType.SHIPMENT_CONFIRMED and way.origin is Bucket.PICKED
    return handling(each) if each.type in _HANDLED or way.settles or takes_picked else None


def _unknown_item(source: str, code: str) -> Refusal:
    return Refusal("stock.item_unknown", f"{source} knows an item {code!r}: add its code to an item's cross-references")
