"""The process API of availability, for internal applications. Quantities are exact decimals, as strings."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from gateway.canonical.capabilities import Report
from gateway.canonical.stock import Bucket, MovementType, OrderKey, ReportedMovement
from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from gateway.kernel.quantity import plain
from process_apis.availability.process import Availability

_API = {"zone": "process", "api": "availability", "version": "v1"}
_ROOT = "/process/availability/v1"

Figure = Annotated[str, Meta(pattern=r"^-?[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Instant = Annotated[datetime, Meta(tz=True)]


class LocationView(Struct, kw_only=True):
    """The figures of one item at one location, in base units."""

    location: str
    on_hand: Figure
    sellable: Figure
    reserved: Figure
    allocated: Figure
    external: Figure
    available: Figure


class AvailabilityView(Struct, kw_only=True):
    """What a channel may sell of one item, in base units, with how sure that is."""

    item: str
    available_to_sell: Figure
    uom: str
    as_of: datetime
    confidence: str
    version: int
    locations: list[LocationView]


class AvailabilityList(Struct, kw_only=True):
    """One entry per known item, in the order asked."""

    items: list[AvailabilityView]


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
    """An open promise."""

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
    occurred_at: Instant
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
    """A line that was not simply recorded, and why."""

    event_id: str
    line: int
    outcome: str
    cause: str | None
    detail: str | None


class ReceiptView(Struct, kw_only=True):
    """What became of a batch, committed."""

    recorded: int
    others: list[ReceiptLineView]


def routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(
        f"{_ROOT}/availability",
        opt={**_API, "scopes": ["availability:read"], "cost": 1},
        operation_id="getAvailability",
    )
    async def get_availability(
        request: Request[Any, Any, Any],
        item: Annotated[str, QueryParameter(max_length=2_000, description="item ids, separated by commas, at most 50")],
        channel: Annotated[str, QueryParameter(max_length=100)] = "default",
    ) -> AvailabilityList:
        items = [each for each in item.split(",") if each]
        if not 0 < len(items) <= 50:  # noqa: PLR2004 - the limit that the parameter's description states
            raise Rejected("ask for 1 to 50 items", code="availability.too_many_items")
        answers = await availability.availability(
            caller_of(request.scope).tenant, channel=channel, items=items, locations=True
        )
        return AvailabilityList(items=[_availability(answer) for answer in answers])

    @get(f"{_ROOT}/positions", opt={**_API, "scopes": ["stock:read"], "cost": 1}, operation_id="listPositions")
    async def list_positions(
        request: Request[Any, Any, Any],
        item: Annotated[str, QueryParameter(max_length=40)],
        location: Annotated[str | None, QueryParameter(max_length=100)] = None,
    ) -> PositionList:
        rows = await availability.positions(caller_of(request.scope).tenant, items=[item], location=location)
        return PositionList(positions=[_position(row) for row in rows])

    @get(f"{_ROOT}/explain", opt={**_API, "scopes": ["stock:read"], "cost": 5}, operation_id="explainAvailability")
    async def get_explanation(
        request: Request[Any, Any, Any],
        item: Annotated[str, QueryParameter(max_length=40)],
        location: Annotated[str, QueryParameter(max_length=100)],
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    ) -> Explanation:
        found = await availability.explain(caller_of(request.scope).tenant, item=item, location=location, limit=limit)
        return Explanation(
            positions=[_position(row) for row in found["positions"]],
            movements=[_movement(row) for row in found["movements"]],
            claims=[_claim(row) for row in found["claims"]],
        )

    @post(
        f"{_ROOT}/movements",
        status_code=200,
        opt={**_API, "scopes": ["stock:write"], "cost": 5, "body_cost": _lines, "idempotency": Idempotency.OPTIONAL},
        operation_id="recordMovements",
    )
    async def record_movements(request: Request[Any, Any, Any], data: JSONBody[MovementBatch]) -> ReceiptView:
        caller = caller_of(request.scope)
        movements = tuple(_reported(data.source, each, caller.correlation_id) for each in data.movements)
        receipt = await availability.record(caller.tenant, Report(movements=movements))
        others = [
            ReceiptLineView(
                event_id=line.event_id, line=line.line, outcome=line.outcome, cause=line.cause, detail=line.detail
            )
            for line in receipt.others
        ]
        return ReceiptView(recorded=receipt.recorded, others=others)

    return [get_availability, list_positions, get_explanation, record_movements]


def _lines(body: MovementBatch) -> int:
    return len(body.movements) // 10


def _reported(source: str, each: MovementInput, correlation_id: str) -> ReportedMovement:
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


def _availability(answer: Any) -> AvailabilityView:
    return AvailabilityView(
        item=answer.item,
        available_to_sell=plain(answer.available_to_sell),
        uom=answer.uom,
        as_of=answer.as_of,
        confidence=answer.confidence,
        version=answer.version,
        locations=[
            LocationView(
                location=place.location,
                **{name: plain(getattr(place, name)) for name in LocationView.__struct_fields__ if name != "location"},
            )
            for place in answer.locations
        ],
    )


def _position(row: Any) -> PositionView:
    names = ("item", "location", "owner", "bucket", "lot", "as_of")
    return PositionView(amount=plain(row["amount"]), **{name: row[name] for name in names})


def _movement(row: Any) -> MovementView:
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


def _claim(row: Any) -> ClaimView:
    return ClaimView(
        id=row["claim"],
        order=row["order_id"],
        amount=plain(row["amount"]),
        consumed=plain(row["consumed"]),
        released=plain(row["released"]),
        **{name: row[name] for name in ("order_line", "channel", "state", "made_at", "expires_at")},
    )
