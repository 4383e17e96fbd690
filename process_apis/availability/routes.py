"""The process API of availability, for internal applications. Quantities are exact decimals, as strings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from gateway.canonical.capabilities import Report
from gateway.kernel.context import Caller
from gateway.kernel.errors import NotAllowed, Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.availability import schemas
from process_apis.availability.answer_schemas import (
    AvailabilityList,
    AvailabilityView,
    availability_view,
    explained_view,
    in_unit,
    substitute_views,
)
from process_apis.availability.claim_routes import claim_routes
from process_apis.availability.cloud_events import StockBatch, StockEvent, StockEvents, lines_of, report_of
from process_apis.availability.demand_routes import demand_routes
from process_apis.availability.holder_routes import holder_routes
from process_apis.availability.lot_routes import lot_routes
from process_apis.availability.process import Availability
from process_apis.availability.region_routes import region_routes
from process_apis.availability.rule_routes import rule_routes
from process_apis.availability.shortage_routes import shortage_routes
from process_apis.availability.snapshot_routes import snapshot_routes
from process_apis.availability.sources import may_speak_for
from process_apis.availability.supply_routes import supply_routes

_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}
_ROOT = "/process/availability/v1"
_SINGLE = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_CLOUD_EVENTS = {_SINGLE: StockEvent, _BATCH: StockBatch}
_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$(?!\n)"
_KNOWN = "by what had been recorded at this instant (RFC 3339, UTC)"
_UNIT = "tell each figure in this unit as well (UN/ECE Rec 20), in whole ones: null for an item that has no such unit"
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)"
_CLASS = "under the rule's terms for this class of customers, where it has some"
_STAND_INS = "tell what may stand in for each item, and how much of the item that serves"
_WHY = "tell how each figure comes about, for at most 5 items; needs the scope stock:read"
_SHIP_TO = r"^[A-Z]{2}( [^\x00-\x1f\x7f-\x9f]{1,16})?$(?!\n)"
_LEAVING = (
    "tell when goods would leave each location and be there: a country and, where known, a postal code (US 97201)"
)
_HAPPENED = "by what had occurred at this instant (RFC 3339, UTC), whenever it was told"


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
        explain: Annotated[bool, QueryParameter(description=_WHY)] = False,
        uom: Annotated[str | None, QueryParameter(pattern=r"^[A-Z0-9]{2,3}$(?!\n)", description=_UNIT)] = None,
        ship_to: Annotated[str | None, QueryParameter(max_length=20, pattern=_SHIP_TO, description=_LEAVING)] = None,
        substitutes: Annotated[bool, QueryParameter(description=_STAND_INS)] = False,
        customer_class: Annotated[
            str | None, QueryParameter(min_length=1, max_length=64, pattern=_PLAIN, description=_CLASS)
        ] = None,
    ) -> AvailabilityList:
        items = [each for each in item.split(",") if each]
        if not 0 < len(items) <= 50:  # noqa: PLR2004 - the limit that the parameter's description states
            raise Rejected("ask for 1 to 50 items", code="availability.too_many_items")
        caller = caller_of(request.scope)
        if explain:
            _check_explain(caller, items)
            accounts = await availability.explained(
                caller.tenant, channel=channel, items=items, customer_class=customer_class
            )
            views = [explained_view(each) for each in accounts]
        else:
            answers = await availability.availability(
                caller.tenant, channel=channel, items=items, locations=True, customer_class=customer_class
            )
            views = [availability_view(answer) for answer in answers]
        if explain or ship_to is not None:
            _tell_leaving(availability, caller, views, ship_to)
        await _with_substitutes(availability, caller, channel, views if substitutes else [])
        return AvailabilityList(items=views if uom is None else await _in_units(availability, caller, views, uom))

    @get(f"{_ROOT}/positions", opt={**_API, "scopes": ["stock:read"], "cost": 1}, operation_id="listPositions")
    async def list_positions(
        request: Request[Any, Any, Any],
        item: Annotated[str, QueryParameter(max_length=40)],
        location: Annotated[str | None, QueryParameter(max_length=100)] = None,
        as_known_at: Annotated[str | None, QueryParameter(max_length=40, pattern=_INSTANT, description=_KNOWN)] = None,
        as_happened_at: Annotated[
            str | None, QueryParameter(max_length=40, pattern=_INSTANT, description=_HAPPENED)
        ] = None,
    ) -> schemas.PositionList:
        """List the physical figures of an item, now or at an instant of the past."""
        rows = await availability.positions(
            caller_of(request.scope).tenant,
            items=[item],
            location=location,
            as_known_at=_instant(as_known_at),
            as_happened_at=_instant(as_happened_at),
        )
        return schemas.PositionList(positions=[schemas.position_view(row) for row in rows])

    @get(f"{_ROOT}/explain", opt={**_API, "scopes": ["stock:read"], "cost": 5}, operation_id="explainAvailability")
    async def get_explanation(
        request: Request[Any, Any, Any],
        item: Annotated[str, QueryParameter(max_length=40)],
        location: Annotated[str, QueryParameter(max_length=100)],
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    ) -> schemas.Explanation:
        found = await availability.explain(caller_of(request.scope).tenant, item=item, location=location, limit=limit)
        return schemas.Explanation(
            positions=[schemas.position_view(row) for row in found["positions"]],
            movements=[schemas.movement_view(row) for row in found["movements"]],
            claims=[schemas.claim_view(row) for row in found["claims"]],
        )

    @post(
        f"{_ROOT}/movements",
        status_code=200,
        opt={**_API, "scopes": ["stock:write"], "cost": 5, "body_cost": _lines, "idempotency": Idempotency.OPTIONAL},
        operation_id="recordMovements",
    )
    async def record_movements(
        request: Request[Any, Any, Any], data: JSONBody[schemas.MovementBatch]
    ) -> schemas.ReceiptView:
        """Take movements of one source, for which the caller bears the scope `source:NAME`, or `source:*`."""
        caller = caller_of(request.scope)
        may_speak_for(caller.principal, [data.source])
        movements = tuple(schemas.reported_of(data.source, each, caller.correlation_id) for each in data.movements)
        receipt = await availability.record(caller.tenant, Report(movements=movements))
        return schemas.receipt_view(receipt)

    @post(
        f"{_ROOT}/events",
        status_code=200,
        opt={
            **_API,
            "scopes": ["stock:write"],
            "cost": 5,
            "body_cost": _told,
            "content_types": tuple(_CLOUD_EVENTS),
            "bodies": _CLOUD_EVENTS,
            "idempotency": Idempotency.OPTIONAL,
        },
        operation_id="recordEvents",
    )
    async def record_events(request: Request[Any, Any, Any], data: JSONBody[StockEvents]) -> schemas.ReceiptView:
        """Take movements, snapshots and supply as CloudEvents 1.0, one or a batch.

        Each event counts once by its source and id; all of a call's are committed when it is answered. The scope
        `source:NAME` lets a client tell what the source NAME saw, `source:*` what any did.
        """
        caller = caller_of(request.scope)
        batched = request.headers["content-type"].partition(";")[0].strip().lower() == _BATCH
        if batched is not isinstance(data, list):
            raise Rejected(
                f"one event goes as {_SINGLE}, an array of events as {_BATCH}", code="stock.events_content_mode"
            )
        events = data if isinstance(data, list) else [data]
        may_speak_for(caller.principal, [each.source for each in events])
        return schemas.receipt_view(await availability.record(caller.tenant, report_of(events, caller.correlation_id)))

    return [
        get_availability,
        list_positions,
        get_explanation,
        record_movements,
        record_events,
        *claim_routes(availability),
        *demand_routes(availability),
        *rule_routes(availability),
        *lot_routes(availability),
        *supply_routes(availability),
        *region_routes(availability),
        *holder_routes(availability),
        *shortage_routes(availability),
        *snapshot_routes(availability),
    ]


async def _with_substitutes(
    availability: Availability, caller: Caller, channel: str, views: list[AvailabilityView]
) -> None:
    if not views:
        return
    found = await availability.substitutes.of(caller.tenant, channel=channel, items=[view.item for view in views])
    for view in views:
        view.substitutes = substitute_views(found.get(view.item, ()))


def _tell_leaving(
    availability: Availability, caller: Caller, views: list[AvailabilityView], ship_to: str | None
) -> None:
    for place in (place for view in views for place in view.locations):
        found = availability.departures.leaves(caller.tenant, place.location)
        arrives = availability.departures.arrives(caller.tenant, place.location, ship_to)
        if found is not None and arrives is not None:
            place.leaving = schemas.LeavingView(ships_on=found.on, order_by=found.by, arrives_on=arrives)


async def _in_units(
    availability: Availability, caller: Caller, views: list[AvailabilityView], uom: str
) -> list[AvailabilityView]:
    units = await availability.units(caller.tenant, [view.item for view in views], uom)
    for view in views:
        view.in_unit = in_unit(view, units.get(view.item))
    return views


def _check_explain(caller: Caller, items: Sequence[str]) -> None:
    if "stock:read" not in caller.principal.scopes:
        raise NotAllowed(
            "how a figure comes about tells of movements: ask with the scope stock:read, or leave explain out",
            code="availability.explain_not_allowed",
        )
    if len(items) > 5:  # noqa: PLR2004 - the limit that the parameter's description states
        raise Rejected("ask for the explanation of 1 to 5 items", code="availability.too_many_items")


def _told(body: StockEvents) -> int:
    events = body if isinstance(body, list) else [body]
    return sum(map(lines_of, events)) // 10


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise Rejected(f"{text} is no instant: write it as 2026-11-01T12:00:00Z", code="stock.instant") from error


def _lines(body: schemas.MovementBatch) -> int:
    return len(body.movements) // 10
