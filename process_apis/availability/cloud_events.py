"""What a source tells as CloudEvents 1.0.2 (HTTP binding, structured and batched; JSON event format 1.0.2).

The event's `source` and `id` are what it counts once by; `time` is when it happened. Its place in the source's order is
in the data: a CloudEvent has no order of its own. Extension attributes that we know of are taken, others refused.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict

from gateway.canonical.capabilities import Report
from gateway.canonical.stock import (
    Bucket,
    MovementType,
    OrderKey,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
    SnapshotPart,
)
from gateway.kernel.errors import Rejected
from process_apis.availability.schemas import Figure, MovementInput, Text, reported_of
from process_apis.availability.supply_schemas import SupplyLineData, supply_of

Number = Annotated[int, Meta(ge=0, le=2**53)]
Small = Annotated[int, Meta(ge=0, le=100_000)]
MOST_LINES = 5_000
"""Lines and figures of all events of one call."""


class _Envelope(Struct, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """The attributes of an event but its type."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    time: Annotated[datetime, Meta(tz=True)]
    subject: Text | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Text | None = None
    correlationid: Text | None = None
    partitionkey: Text | None = None
    traceparent: Text | None = None
    tracestate: Text | None = None


class MovedLine(Struct, kw_only=True, forbid_unknown_fields=True):
    """One line of what moved, in the source's own codes and units. Only `stock_adjusted` takes a negative amount."""

    line: Small = 0
    item: Text
    location: Text
    amount: Figure
    uom: Text
    from_bucket: Bucket | None = None
    to_bucket: Bucket | None = None
    order: Text | None = None
    order_line: Small | None = None
    lot: Text | None = None
    serial: Text | None = None
    bin: Text | None = None
    owner: Text | None = None
    reason: Text | None = None


class MovementData(Struct, kw_only=True, forbid_unknown_fields=True):
    """What moved. `epoch`, `sequence`: its place in the source's order; a higher `revision` replaces a lower one."""

    movement: MovementType
    epoch: Number = 0
    sequence: Number
    revision: Small = 0
    document: Text | None = None
    lines: Annotated[list[MovedLine], Meta(min_length=1, max_length=500)]


class CountedFigure(Struct, kw_only=True, forbid_unknown_fields=True):
    """One absolute figure, in the source's own codes and units; several of one key (bins) add up."""

    item: Text
    location: Text
    bucket: Bucket = Bucket.SELLABLE
    amount: Figure
    uom: Text
    lot: Text | None = None
    owner: Text | None = None


class PartOf(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which part of one logical snapshot this is. All parts bear its name, and the same time, cut-off and locations."""

    snapshot: Text
    number: Annotated[int, Meta(ge=1, le=10_000)]
    of: Annotated[int, Meta(ge=1, le=10_000)]


class SnapshotData(Struct, kw_only=True, forbid_unknown_fields=True):
    """Absolute figures at the cut-off (`epoch`, `sequence`). What a `full` one does not name at `locations` is zero.

    One that is too large for an event goes as events with a `part` each, in any order; it is applied when all are here.
    Figures of one key (bins) belong in one part.
    """

    epoch: Number = 0
    sequence: Number
    full: bool
    locations: Annotated[list[Text], Meta(min_length=1, max_length=100)]
    figures: Annotated[list[CountedFigure], Meta(max_length=MOST_LINES)]
    part: PartOf | None = None


class SupplyData(Struct, kw_only=True, forbid_unknown_fields=True):
    """Lines of purchase orders and transfers, each with its own version."""

    lines: Annotated[list[SupplyLineData], Meta(min_length=1, max_length=500)]


class MovementReported(_Envelope, kw_only=True, tag="crossdock.stock.movement_reported.v1"):
    """Goods moved, at the source that holds them."""

    data: MovementData


class SnapshotReported(_Envelope, kw_only=True, tag="crossdock.stock.snapshot_reported.v1"):
    """The source's own absolute figures."""

    data: SnapshotData


class SupplyReported(_Envelope, kw_only=True, tag="crossdock.stock.supply_reported.v1"):
    """What is on order or in transit, as its source sees it now."""

    data: SupplyData


StockEvent = MovementReported | SnapshotReported | SupplyReported
StockBatch = Annotated[list[StockEvent], Meta(min_length=1, max_length=500)]
StockEvents = MovementReported | SnapshotReported | SupplyReported | StockBatch
"""One event (``application/cloudevents+json``) or a batch of them (``application/cloudevents-batch+json``)."""


def report_of(events: Sequence[StockEvent], correlation_id: str) -> Report:
    """All events in the canonical language. Raises `Rejected` for more than `MOST_LINES` lines and figures."""
    lines = sum(map(lines_of, events))
    if lines > MOST_LINES:
        detail = f"{lines} lines and figures in one call: send at most {MOST_LINES}"
        raise Rejected(detail, code="stock.events_too_many")
    return Report(
        movements=tuple(
            movement
            for each in events
            if isinstance(each, MovementReported)
            for movement in _movements(each, each.correlationid or correlation_id)
        ),
        snapshots=tuple(
            _snapshot(each) for each in events if isinstance(each, SnapshotReported) and each.data.part is None
        ),
        parts=tuple(
            SnapshotPart(snapshot=_snapshot(each), number=each.data.part.number, of=each.data.part.of)
            for each in events
            if isinstance(each, SnapshotReported) and each.data.part is not None
        ),
        supply=tuple(
            supply_of(each.source, line)
            for each in events
            if isinstance(each, SupplyReported)
            for line in each.data.lines
        ),
    )


def lines_of(event: StockEvent) -> int:
    """How many lines or figures an event has."""
    return len(event.data.figures if isinstance(event, SnapshotReported) else event.data.lines)


def _movements(event: MovementReported, correlation_id: str) -> list[ReportedMovement]:
    data = event.data
    head = {
        "event_id": event.id,
        "type": data.movement,
        "occurred_at": event.time,
        **{name: getattr(data, name) for name in ("epoch", "sequence", "revision", "document")},
    }
    inputs = [MovementInput(**head, **asdict(each)) for each in data.lines]
    return [reported_of(event.source, each, correlation_id) for each in inputs]


def _snapshot(event: SnapshotReported) -> ReportedSnapshot:
    data = event.data
    return ReportedSnapshot(
        source=event.source,
        event_id=event.id if data.part is None else data.part.snapshot,
        cut_off=OrderKey(data.epoch, data.sequence),
        taken_at=event.time,
        full=data.full,
        locations=tuple(data.locations),
        figures=tuple(
            ReportedFigure(
                source_item=each.item,
                source_location=each.location,
                bucket=each.bucket,
                amount=Decimal(each.amount),
                uom=each.uom,
                lot=each.lot,
                owner=each.owner,
            )
            for each in data.figures
        ),
    )
