"""The shapes of supply and of promises by date on the wire. Amounts are exact decimals, as strings."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.canonical.stock import ItemPromises, OrderKey, ReportedSupply, SupplyKind
from gateway.kernel.quantity import plain
from process_apis.availability.promising_dates import SupplyLine
from process_apis.availability.schemas import Figure, Text

Number = Annotated[int, Meta(ge=0, le=2**53)]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["120"])]


class SupplyLineData(Struct, kw_only=True, forbid_unknown_fields=True):
    """One line of a purchase order or transfer as its source sees it now, in the source's own codes and units.

    `location` is where the goods will come in. The best date known counts: `advised` (the ASN's), else `acknowledged`,
    else `requested`; without any the line counts nothing. `sequence`, in its `epoch`, is the line's version: older news
    never wins. Leave `received` out where a warehouse tells us its receipts.
    """

    document: Text
    line: Annotated[int, Meta(ge=0, le=100_000)]
    kind: SupplyKind = SupplyKind.PURCHASE
    epoch: Number = 0
    sequence: Number
    item: Text
    location: Text
    ordered: Amount
    uom: Text
    cancelled: Amount = "0"
    received: Amount = "0"
    requested: date | None = None
    acknowledged: date | None = None
    advised: date | None = None
    owner: Text | None = None


class SupplyBatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """Supply lines of one source."""

    source: Text
    lines: Annotated[list[SupplyLineData], Meta(min_length=1, max_length=500)]


class SupplyView(Struct, kw_only=True):
    """One line of a purchase order or transfer, in base units; `to_come` is what counts as supply until `due`."""

    source: str
    document: str
    line: int
    kind: SupplyKind
    item: str
    location: str
    owner: str
    ordered: Figure
    cancelled: Figure
    received: Figure
    to_come: Figure
    requested: date | None
    acknowledged: date | None
    advised: date | None
    due: date | None
    reported_at: datetime


class SupplyList(Struct, kw_only=True):
    """Supply lines of one item."""

    lines: list[SupplyView]


class DatePromiseView(Struct, kw_only=True):
    """What may be promised for one date, in base units."""

    date: date
    available_to_promise: Figure


class PromiseView(Struct, kw_only=True):
    """One item: a figure for each date asked, and the first date for the amount asked, null when none is in sight."""

    item: str
    uom: str
    promises: list[DatePromiseView]
    earliest: date | None
    as_of: datetime


class PromiseList(Struct, kw_only=True):
    """One entry per known item, in the order asked."""

    items: list[PromiseView]


def supply_of(source: str, each: SupplyLineData) -> ReportedSupply:
    """The line in the canonical language."""
    return ReportedSupply(
        source=source,
        document=each.document,
        line=each.line,
        order_key=OrderKey(each.epoch, each.sequence),
        source_item=each.item,
        source_location=each.location,
        ordered=Decimal(each.ordered),
        uom=each.uom,
        kind=each.kind,
        cancelled=Decimal(each.cancelled),
        received=Decimal(each.received),
        requested=each.requested,
        acknowledged=each.acknowledged,
        advised=each.advised,
        owner=each.owner,
    )


def supply_view(line: SupplyLine, to_come: Decimal, row: Any) -> SupplyView:
    """The line on the wire."""
    return SupplyView(
        source=line.source,
        document=line.document,
        line=line.line,
        kind=SupplyKind(line.kind),
        item=line.item,
        location=line.location,
        owner=line.owner,
        ordered=plain(line.ordered),
        cancelled=plain(line.cancelled),
        received=plain(line.received),
        to_come=plain(to_come),
        requested=row["requested"],
        acknowledged=row["acknowledged"],
        advised=row["advised"],
        due=line.due,
        reported_at=row["reported_at"],
    )


def promise_view(answer: ItemPromises) -> PromiseView:
    """The answer on the wire."""
    return PromiseView(
        item=answer.item,
        uom=answer.uom,
        promises=[
            DatePromiseView(date=each.on, available_to_promise=plain(each.available_to_promise))
            for each in answer.promises
        ],
        earliest=answer.earliest,
        as_of=answer.as_of,
    )
