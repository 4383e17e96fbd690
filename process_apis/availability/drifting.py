"""Why a snapshot's figures were not what was expected: the events that bear on each, with what each explains.

What was expected when the snapshot was recorded (`before`) is reckoned again with every event that is known by now and
lies before its cut-off, one after the other in the order of the source. What each adds is its effect: effects add up
to what is explained, and the rest nobody told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from gateway.canonical.reconciliation import BearingEvent, EventBearing, StockDifference
from gateway.canonical.stock import ReportedMovement
from process_apis.availability.models import DEFAULT_OWNER, ParkedFigure, Refusal

_ZERO: Final = Decimal(0)
_COUNT: Final = "cycle_counted"
_Place = tuple[int, int]


class Told(NamedTuple):
    """One version of one movement about one figure."""

    source: str
    event_id: str
    line: int
    revision: int
    place: _Place
    type: str
    occurred_at: Any
    origin: str | None
    target: str | None
    amount: Decimal
    handling: str | None
    before: bool
    now: bool
    parked: str | None

    @property
    def name(self) -> tuple[str, str, int]:
        """What its revisions have in common."""
        return self.source, self.event_id, self.line


def told_of_row(row: Mapping[str, Any]) -> Told | None:
    """A row of `movements_about`; None for what was replaced before the snapshot came."""
    if row["gone_before"]:
        return None
    return Told(
        row["source"], row["event_id"], row["line"], row["revision"], (row["epoch"], row["sequence"]), row["type"],
        row["occurred_at"], row["from_bucket"], row["to_bucket"], row["amount"], row["handling"],
        not row["late"], row["live"], row["parked"],
    )  # fmt: skip


def bearing_events(bucket: str, was: _Place, told: Sequence[Told]) -> tuple[BearingEvent, ...]:
    """What became known of a figure after its snapshot, and what each adds to what had been expected."""
    known = [each for each in told if each.before]
    by_name: dict[tuple[str, str, int], list[Told]] = defaultdict(list)
    for each in told:
        by_name[each.name].append(each)
    changed = [versions for versions in by_name.values() if any(each.before != each.now for each in versions)]
    changed.sort(key=lambda versions: (max(each.place for each in versions), versions[0].name))
    found, base = [], _reckon(bucket, was, known)
    for versions in changed:
        following = [each for each in known if each.name != versions[0].name]
        following += [each for each in versions if each.now]
        after = _reckon(bucket, was, following)
        taken_back = any(each.type == _COUNT and each.before and not each.now for each in versions)
        effect = None if taken_back else after - base
        if effect is None or effect:
            found.append(_bearing(versions, effect))
        known, base = following, after
    return tuple(found)


def _bearing(versions: Sequence[Told], effect: Decimal | None) -> BearingEvent:
    latest = max(versions, key=lambda each: each.revision)
    bearing = EventBearing.REVISED if any(each.before for each in versions) else EventBearing.LATE
    if bearing is EventBearing.LATE and latest.parked is not None:
        bearing = EventBearing.PARKED
    return BearingEvent(
        source=latest.source,
        event_id=latest.event_id,
        line=latest.line,
        bearing=bearing,
        type=latest.type,
        effect=effect,
        occurred_at=latest.occurred_at,
        cause=latest.parked,
    )


def _reckon(bucket: str, was: _Place, told: Iterable[Told]) -> Decimal:
    """A figure, less what it stood at in `was`. A count restates it, so that nothing of before counts any more."""
    some = sorted(told, key=lambda each: (each.place, each.event_id, each.revision))
    since, figure = was, _ZERO
    for each in some:
        if each.type == _COUNT and each.target == bucket and each.place > was:
            since, figure = each.place, each.amount
    for each in some:
        if each.type != _COUNT and each.place > since:
            figure += (each.amount if each.target == bucket else _ZERO) - (each.amount if each.origin == bucket else 0)
    return figure + _settled(bucket, since, some)


def _settled(bucket: str, since: _Place, told: Sequence[Told]) -> Decimal:
    """What shipments took from `picked` instead of `sellable` after `since` (see `moving.py`)."""
    if bucket not in ("sellable", "picked"):
        return _ZERO
    groups: dict[str, list[Told]] = defaultdict(list)
    for each in told:
        if each.handling is not None:
            groups[each.handling].append(each)
    whole = sum(
        (_taken(some) - _taken([each for each in some if each.place <= since]) for some in groups.values()), _ZERO
    )
    return whole if bucket == "sellable" else -whole


def _taken(group: Sequence[Told]) -> Decimal:
    picked = shipped = _ZERO
    for each in group:
        if each.type == "pick_confirmed":
            picked += each.amount
        elif each.type == "unpicked" or each.origin == "picked":
            picked -= each.amount
        if each.type == "shipment_confirmed" and each.origin == "sellable":
            shipped += each.amount
    return min(max(picked, _ZERO), shipped)


def difference_of_row(row: Mapping[str, Any], events: Sequence[BearingEvent]) -> StockDifference:
    """A row of `drift_of` with what bears on it."""
    return StockDifference(
        location=row["location"],
        item=row["item"],
        owner=row["owner"],
        bucket=row["bucket"],
        lot=row["lot"],
        reported=row["reported"],
        expected=row["reported"] - row["amount"],
        events=tuple(events),
    )


class Waiting(NamedTuple):
    """Something parked, with the location and item it would be about, where these are known."""

    event: BearingEvent
    location: str | Refusal
    item: str | None
    code: str
    figure: ParkedFigure | None


def waiting_of_row(
    row: Mapping[str, Any], source: str, cut: _Place
) -> tuple[BearingEvent, ReportedMovement | ParkedFigure] | None:
    """A parked report and its payload; None for a movement of after the cut-off."""
    kind: type[ReportedMovement | ParkedFigure] = ReportedMovement if row["kind"] == "movement" else ParkedFigure
    payload = msgspec.json.decode(row["payload"], type=kind)
    if isinstance(payload, ReportedMovement):
        if (payload.order_key.epoch, payload.order_key.sequence) > cut:
            return None
        what, at = payload.type.value, payload.occurred_at
    else:
        what, at = "figure", payload.snapshot.taken_at
    event = BearingEvent(
        source=source,
        event_id=row["event_id"],
        line=row["line"],
        bearing=EventBearing.PARKED,
        type=what,
        effect=None,
        occurred_at=at,
        cause=row["cause"],
    )
    return event, payload


def unmapped_difference(waiting: Waiting) -> StockDifference:
    """A figure that no item of ours takes, as the source told it."""
    assert waiting.figure is not None  # noqa: S101 - callers choose those that have one
    figure = waiting.figure.figure
    known = not isinstance(waiting.location, Refusal)
    return StockDifference(
        location=str(waiting.location) if known else figure.source_location,
        item=None,
        owner=figure.owner or DEFAULT_OWNER,
        bucket=figure.bucket.value,
        lot=figure.lot or "",
        reported=figure.amount,
        expected=None,
        code=figure.source_item,
        events=(waiting.event,),
    )
