"""The shapes of the process API on the wire. Quantities are exact decimals, as strings, in base units."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.canonical.stock import (
    Bucket,
    MovementType,
    OrderKey,
    Receipt,
    ReportedMovement,
    SilentSource,
)
from gateway.kernel.quantity import plain

Figure = Annotated[str, Meta(pattern=r"^-?[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]


class LeavingView(Struct, kw_only=True):
    """When goods that are ordered before `order_by` leave a location, and when they are where they go."""

    ships_on: date
    order_by: datetime
    arrives_on: date


class LocationView(Struct, kw_only=True):
    """The figures of one item at one location, in base units; of a kit also how many its components there make.

    `leaving` is told where it was asked for, and the location says when it ships.
    """

    location: str
    on_hand: Figure
    sellable: Figure
    reserved: Figure
    allocated: Figure
    external: Figure
    available: Figure
    from_components: Figure
    leaving: LeavingView | None = None


class SilentSourceView(Struct, kw_only=True):
    """A source that misses its objective: in which `domain` and for which locations.

    `cause` is `silent` where it was not heard since `since` (null: never), `drift` where its last snapshot was too far
    from our figures, and `switched` where it has told no snapshot since it holds them.
    """

    source: str
    domain: str
    cause: str
    since: datetime | None
    confidence: str
    locations: list[str]


class PositionView(Struct, kw_only=True):
    """One physical figure by its full key, in base units. `lot` is empty where stock is not kept by lot."""

    item: str
    location: str
    owner: str
    bucket: str
    lot: str
    amount: Figure
    as_of: datetime


class PositionList(Struct, kw_only=True):
    """Positions of one item."""

    positions: list[PositionView]


class MovementView(Struct, kw_only=True):
    """A recorded movement, with what its source said."""

    id: str
    source: str
    event_id: str
    line: int
    revision: int
    type: str
    amount: Figure
    source_amount: Figure
    source_uom: str
    from_bucket: str | None
    to_bucket: str | None
    order: str | None
    order_line: int | None
    document: str | None
    reason: str | None
    counts: bool
    occurred_at: datetime
    recorded_at: datetime


class ClaimView(Struct, kw_only=True):
    """An open promise. One on supply was made for `due`; `expected` is when known supply covers it, null when none.

    Of a component of a `kit`, `per_kit` go into one; of a substitute, `per_kit` serve one of the item in `kit`.
    """

    id: str
    order: str
    order_line: int
    channel: str
    amount: Figure
    consumed: Figure
    released: Figure
    state: str
    made_at: datetime
    expires_at: datetime | None
    due: date | None = None
    expected: date | None = None
    kit: str | None = None
    per_kit: Figure | None = None
    item: str | None = None
    location: str | None = None


class Explanation(Struct, kw_only=True):
    """Why a figure is what it is: what it stands on, the latest movements, and who holds what."""

    positions: list[PositionView]
    movements: list[MovementView]
    claims: list[ClaimView]


class MovementInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """One movement line in the source's own codes and units. `epoch`, `sequence`: its place in the source's order."""

    event_id: Text
    line: Annotated[int, Meta(ge=0, le=100_000)] = 0
    revision: Annotated[int, Meta(ge=0, le=100_000)] = 0
    epoch: Annotated[int, Meta(ge=0, le=2**53)] = 0
    sequence: Annotated[int, Meta(ge=0, le=2**53)]
    type: MovementType
    occurred_at: Annotated[datetime, Meta(tz=True)]
    item: Text
    location: Text
    amount: Figure
    uom: Text
    from_bucket: Bucket | None = None
    to_bucket: Bucket | None = None
    order: Text | None = None
    order_line: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    document: Text | None = None
    reason: Text | None = None
    lot: Text | None = None
    serial: Text | None = None
    bin: Text | None = None
    owner: Text | None = None


class MovementBatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """Movements of one source."""

    source: Text
    movements: Annotated[list[MovementInput], Meta(min_length=1, max_length=500)]


class ReceiptLineView(Struct, kw_only=True):
    """A line that was not simply recorded, and why. Line -1 stands for a snapshot as a whole."""

    source: str
    event_id: str
    line: int
    outcome: str
    cause: str | None
    detail: str | None


class ReceiptView(Struct, kw_only=True):
    """What became of a batch, committed."""

    recorded: int
    others: list[ReceiptLineView]


def reported_of(source: str, each: MovementInput, correlation_id: str) -> ReportedMovement:
    """The movement in the canonical language."""
    return ReportedMovement(
        source=source,
        event_id=each.event_id,
        line=each.line,
        order_key=OrderKey(each.epoch, each.sequence),
        type=each.type,
        occurred_at=each.occurred_at,
        source_item=each.item,
        source_location=each.location,
        amount=Decimal(each.amount),
        uom=each.uom,
        from_bucket=each.from_bucket,
        to_bucket=each.to_bucket,
        order_reference=each.order,
        order_line=each.order_line,
        document=each.document,
        reason=each.reason,
        lot=each.lot,
        serial=each.serial,
        bin=each.bin,
        owner=each.owner,
        revision=each.revision,
        correlation_id=correlation_id,
    )


def receipt_view(receipt: Receipt) -> ReceiptView:
    """What became of a report, on the wire."""
    others = [
        ReceiptLineView(
            source=line.source,
            event_id=line.event_id,
            line=line.line,
            outcome=line.outcome,
            cause=line.cause,
            detail=line.detail,
        )
        for line in receipt.others
    ]
    return ReceiptView(recorded=receipt.recorded, others=others)


def silent_view(each: SilentSource) -> SilentSourceView:
    """A silent source on the wire."""
    return SilentSourceView(
        source=each.source,
        domain=each.domain,
        cause=each.cause,
        since=each.since,
        confidence=each.confidence,
        locations=list(each.locations),
    )


def position_view(row: Any) -> PositionView:
    """A position row on the wire."""
    names = ("item", "location", "owner", "bucket", "lot", "as_of")
    return PositionView(amount=plain(row["amount"]), **{name: row[name] for name in names})


def movement_view(row: Any) -> MovementView:
    """A movement row on the wire."""
    names = ("source", "event_id", "line", "revision", "type", "source_uom", "from_bucket", "to_bucket", "order_line",
             "document", "reason", "occurred_at", "recorded_at")  # fmt: skip
    return MovementView(
        id=row["movement"],
        order=row["order_id"],
        counts=row["moves"],
        amount=plain(row["amount"]),
        source_amount=plain(row["source_amount"]),
        **{name: row[name] for name in names},
    )


def claim_view(row: Any) -> ClaimView:
    """A claim row on the wire."""
    return ClaimView(
        id=row["claim"],
        order=row["order_id"],
        amount=plain(row["amount"]),
        consumed=plain(row["consumed"]),
        released=plain(row["released"]),
        per_kit=None if row["per_kit"] is None else plain(row["per_kit"]),
        item=row.get("item"),
        location=row.get("location"),
        **{
            name: row[name]
            for name in (
                "order_line",
                "channel",
                "state",
                "made_at",
                "expires_at",
                "due",
                "expected",
                "kit",
            )
        },
    )
