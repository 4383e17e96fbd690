"""The storefront's operations, version 2: a handler is one process call and one mapping call."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from litestar import Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from experience_apis.storefront.v2 import change_routes, invoice_routes, mapping, return_routes, schemas
from experience_apis.storefront.v2.messages import MESSAGES, NOTICES
from experience_apis.storefront.v2.parameters import API, CURSOR, ORDER_ID
from experience_apis.storefront.v2.recalling import placed_reply
from gateway.canonical.capabilities import AnswersAvailability, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.order import OrderState
from gateway.canonical.stock import ItemAvailability
from gateway.identity.accounts import PartnerAccounts
from gateway.kernel.context import Caller
from gateway.kernel.cursors import Cursors
from gateway.kernel.entity_tags import entity_tag
from gateway.kernel.errors import Conflict, NotFound
from gateway.kernel.exchange import Idempotency, caller_of, held_key_of
from process_apis.order_to_ship.models import PlacedAnswer
from process_apis.order_to_ship.process import OrderToShip
from process_apis.partner_notifications.sending import EventStream
from process_apis.partner_notifications.streaming import EventStreams
from process_apis.returns.process import Returns

_LOCATION: Final = ResponseHeader(name="Location", description="Where the order can be read.", value="")
_ETAG: Final = ResponseHeader(name="ETag", description="Of its version: for a change (If-Match).", value="")
_ITEM_ID: Final = PathParameter(
    description="An item's id, from a list of items.", max_length=30, pattern=schemas.ITEM_ID
)
_LAST_EVENT: Final = HeaderParameter(
    name="Last-Event-ID",
    description="The id of the last event you saw, of the last day: the stream goes on behind it.",
    max_length=400,
    pattern=schemas.CURSOR,
)
_OF_ORDER: Final = {"order_id": "$response.body#/id"}
_OF_LISTED_ORDER: Final = {"order_id": "$response.body#/items/0/id"}
_EXAMPLE_ORDER: Final[Mapping[str, Any]] = {
    "external_number": "PO-2026-0042",
    "delivery": {
        "ship_to": {
            "name": "Harbor Outfitters",
            "street": "12 Quay Street",
            "city": "Portland",
            "postal_code": "04101",
            "country": "US",
        },
        "requested_date": "2026-12-01",
    },
    "lines": [
        {"sku": "SKU-0001", "quantity": {"amount": "3", "unit": "EA"}},
        {"sku": "SKU-0002", "quantity": {"amount": "1"}},
    ],
}


def routes(
    *,
    items: ResolvesItems,
    availability: AnswersAvailability,
    orders: OrderToShip,
    accounts: PartnerAccounts,
    currencies: Mapping[str, str],
    cursors: Cursors,
    events: EventStreams,
    returns: Returns,
) -> list[HTTPRouteHandler]:
    """Every handler of this version, bound to the processes it calls."""
    return [
        *_item_routes(items, cursors),
        *_availability_routes(items, availability),
        *_order_routes(orders, accounts, currencies),
        *change_routes.routes(orders),
        *_order_reading_routes(orders, cursors),
        *invoice_routes.routes(orders),
        *return_routes.routes(returns, cursors),
        *_event_routes(items, events),
    ]


def _item_routes(items: ResolvesItems, cursors: Cursors) -> list[HTTPRouteHandler]:
    @get(
        "/storefront/v2/items",
        operation_id="listItems",
        tags=["Items"],
        opt={
            **API,
            "scopes": ["items:read"],
            "cost": 2,
            "links": {"getItem": {"item_id": "$response.body#/items/0/id"}},
        },
    )
    async def list_items(
        request: Request[Any, Any, Any],
        cursor: Annotated[str | None, CURSOR] = None,
        limit: Annotated[int, QueryParameter(description="How many at most.", ge=1, le=200)] = 50,
    ) -> schemas.ItemPage:
        """List the assortment.

        In a stable order; a new item appears at the end.
        """
        caller = caller_of(request.scope)
        scope = f"{caller.tenant}/items"
        found = await items.list_items(caller.tenant, after=cursors.open(scope, cursor), limit=limit)
        more = cursors.seal(scope, found[-1].item) if len(found) == limit else None
        return schemas.ItemPage(items=[mapping.item_view(item) for item in found], next_cursor=more)

    @get(
        "/storefront/v2/items/{item_id:str}",
        operation_id="getItem",
        tags=["Items"],
        opt={**API, "scopes": ["items:read"]},
    )
    async def get_item(request: Request[Any, Any, Any], item_id: Annotated[str, _ITEM_ID]) -> schemas.ItemView:
        """Read one item."""
        found = await items.by_id(caller_of(request.scope).tenant, [item_id])
        if item_id not in found:
            raise NotFound("there is no such item: list the items to find its id", code="item.not_found")
        return mapping.item_view(found[item_id])

    return [list_items, get_item]


def _availability_routes(items: ResolvesItems, availability: AnswersAvailability) -> list[HTTPRouteHandler]:
    async def answer(caller: Caller, skus: list[str]) -> tuple[dict[str, Item], dict[str, ItemAvailability]]:
        found = dict(await items.by_sku(caller.tenant, skus))
        figures = await availability.availability(
            caller.tenant,
            channel=caller.principal.channel or "",
            items=[item.item for item in found.values()],
            locations=True,
        )
        return found, {figure.item: figure for figure in figures}

    @get(
        "/storefront/v2/availability",
        operation_id="getAvailability",
        tags=["Availability"],
        opt={**API, "scopes": ["availability:read"], "failures": [404]},
    )
    async def get_availability(
        request: Request[Any, Any, Any],
        sku: Annotated[
            str,
            QueryParameter(
                description="The article number.",
                min_length=1,
                max_length=64,
                pattern=schemas.TEXT,
                examples=[Example(value="SKU-0001")],
            ),
        ],
    ) -> schemas.AvailabilityView:
        """Ask what may be sold of one article.

        Answered from our own books, never by asking a warehouse while you wait; `freshness` says how fresh it is.
        """
        found, figures = await answer(caller_of(request.scope), [sku])
        item = found.get(sku)
        if item is None or item.item not in figures:
            raise NotFound(f"no article has the number {sku}: list the items to find it", code="item.not_found")
        return mapping.availability_view(item, figures[item.item])

    @post(
        "/storefront/v2/availability-queries",
        status_code=200,
        operation_id="queryAvailability",
        tags=["Availability"],
        opt={
            **API,
            "scopes": ["availability:read"],
            "body_cost": _availability_cost,
            "example": {"skus": ["SKU-0001", "SKU-0002"]},
        },
    )
    async def query_availability(
        request: Request[Any, Any, Any], data: JSONBody[schemas.AvailabilityQuery]
    ) -> schemas.AvailabilityList:
        """Ask what may be sold of up to 200 articles."""
        found, figures = await answer(caller_of(request.scope), data.skus)
        known = [found[sku] for sku in data.skus if sku in found and found[sku].item in figures]
        return schemas.AvailabilityList(
            items=[mapping.availability_view(item, figures[item.item]) for item in known],
            unknown_skus=[sku for sku in data.skus if sku not in found or found[sku].item not in figures],
        )

    return [get_availability, query_availability]


def _order_routes(
    orders: OrderToShip, accounts: PartnerAccounts, currencies: Mapping[str, str]
) -> list[HTTPRouteHandler]:
    @post(
        "/storefront/v2/orders",
        operation_id="placeOrder",
        tags=["Orders"],
        response_headers=[_LOCATION, _ETAG],
        opt={
            **API,
            "scopes": ["orders:write"],
            "cost": 2,
            "body_cost": _order_cost,
            "idempotency": Idempotency.REQUIRED,
            "idempotency_retention": 7 * 86_400,
            "example": _EXAMPLE_ORDER,
            "links": {
                "getOrder": _OF_ORDER,
                "monitorOrder": _OF_ORDER,
                "cancelOrder": _OF_ORDER,
                "changeOrder": {**_OF_ORDER, "If-Match": "$response.header.ETag"},
            },
        },
    )
    async def place_order(
        request: Request[Any, Any, Any], data: JSONBody[schemas.OrderInput]
    ) -> Response[schemas.OrderView]:
        """Place an order.

        201 means that the order is accepted and its stock promised: neither is lost, whatever fails afterwards.
        409 means that it fits this contract and cannot be accepted now; `code` and `errors` say why.
        """
        caller = caller_of(request.scope)
        account = await accounts.resolve(caller, data.account)
        currency = mapping.currency_of(caller, currencies)
        held = held_key_of(request.scope)
        answer = None if held is None else PlacedAnswer(held, placed_reply)
        command = mapping.place_order(data, caller, account=account, currency=currency)
        try:
            placed = await orders.place_order(command, answer)
        except Conflict as refused:
            raise mapping.refusal(refused) from refused
        view = mapping.order_view(placed.order)
        headers = {"Location": f"/storefront/v2/orders/{view.id}", "ETag": entity_tag(view.version)}
        return Response(view, status_code=201, headers=headers)

    @post(
        "/storefront/v2/orders/{order_id:str}/cancellation",
        status_code=202,
        operation_id="cancelOrder",
        tags=["Orders"],
        opt={
            **API,
            "scopes": ["orders:write"],
            "idempotency": Idempotency.REQUIRED,
            "example": {"reason": "customer_request", "note": "Ordered twice by phone"},
            "links": {"monitorOrder": {"order_id": "$response.body#/order_id"}},
        },
    )
    async def cancel_order(
        request: Request[Any, Any, Any],
        order_id: Annotated[str, ORDER_ID],
        data: JSONBody[schemas.CancellationInput],
    ) -> schemas.CancellationView:
        """Ask for the cancellation of an order.

        It is cancelled once every system that holds it has confirmed; the order's monitor tells. 409 when the
        warehouse has begun to pick it.
        """
        caller = caller_of(request.scope)
        reason = mapping.cancel_reason(data)
        order = await orders.cancel_order(caller, order_id, reason=reason, partner=_partner(caller))
        return mapping.cancellation_view(order)

    return [place_order, cancel_order]


def _order_reading_routes(orders: OrderToShip, cursors: Cursors) -> list[HTTPRouteHandler]:
    @get(
        "/storefront/v2/orders",
        operation_id="listOrders",
        tags=["Orders"],
        opt={
            **API,
            "scopes": ["orders:read"],
            "cost": 2,
            "links": {
                "getOrder": _OF_LISTED_ORDER,
                "monitorOrder": _OF_LISTED_ORDER,
                "listInvoices": _OF_LISTED_ORDER,
            },
        },
    )
    async def list_orders(
        request: Request[Any, Any, Any],
        cursor: Annotated[str | None, CURSOR] = None,
        limit: Annotated[int, QueryParameter(description="How many at most.", ge=1, le=100)] = 50,
        order_state: Annotated[
            OrderState | None, QueryParameter(name="state", description="Only orders in this state.")
        ] = None,
    ) -> schemas.OrderPage:
        """List your orders, newest first."""
        caller = caller_of(request.scope)
        scope = f"{caller.tenant}/{caller.principal.partner}/orders"
        before = cursors.open(scope, cursor)
        found = await orders.list_orders(
            caller.tenant, partner=_partner(caller), state=order_state, before=before, limit=limit
        )
        more = cursors.seal(scope, found[-1].order_id) if len(found) == limit else None
        return schemas.OrderPage(items=[mapping.order_summary(order) for order in found], next_cursor=more)

    @get(
        "/storefront/v2/orders/{order_id:str}",
        operation_id="getOrder",
        tags=["Orders"],
        response_headers=[_ETAG],
        opt={**API, "scopes": ["orders:read"]},
    )
    async def get_order(
        request: Request[Any, Any, Any], order_id: Annotated[str, ORDER_ID]
    ) -> Response[schemas.OrderView]:
        """Read one of your orders."""
        caller = caller_of(request.scope)
        view = mapping.order_view(await orders.get_order(caller.tenant, order_id, partner=_partner(caller)))
        return Response(view, headers={"ETag": entity_tag(view.version)})

    @get(
        "/storefront/v2/orders/{order_id:str}/monitor",
        operation_id="monitorOrder",
        tags=["Orders"],
        opt={**API, "scopes": ["orders:read"]},
    )
    async def monitor_order(
        request: Request[Any, Any, Any], order_id: Annotated[str, ORDER_ID]
    ) -> schemas.OrderMonitor:
        """Follow an order: its state and everything that happened to it, oldest first."""
        caller = caller_of(request.scope)
        return mapping.order_monitor(*await orders.history(caller.tenant, order_id, partner=_partner(caller)))

    return [list_orders, get_order, monitor_order]


def _event_routes(items: ResolvesItems, events: EventStreams) -> list[HTTPRouteHandler]:
    @get(
        "/storefront/v2/events",
        operation_id="followEvents",
        tags=["Events"],
        opt={
            **API,
            "scopes": ["availability:read", "orders:read"],
            "cost": 2,
            "streaming": True,
            "events": {**MESSAGES, **NOTICES},
            "failures": [404],
        },
    )
    async def follow_events(
        request: Request[Any, Any, Any],
        last_event_id: Annotated[str | None, _LAST_EVENT] = None,
        event_type: Annotated[
            list[Literal["order.updated", "availability.changed", "return.updated", "invoice.issued"]] | None,
            QueryParameter(
                name="type",
                description="Only these messages; all without it. `return.updated` needs the scope returns:read.",
                min_items=1,
                max_items=4,
            ),
        ] = None,
        sku: Annotated[
            list[schemas.Sku] | None,
            QueryParameter(description="Availability of these articles only.", min_items=1, max_items=10),
        ] = None,
    ) -> EventStream:
        """Follow your orders and what you may sell, as it happens.

        The messages that your webhooks have, as server-sent events. The stream ends now and then (`stream.ended`, or
        without a word): connect again with the last id as Last-Event-ID, and nothing is missed or told twice.
        """
        caller = caller_of(request.scope)
        found = await items.by_sku(caller.tenant, sku) if sku else {}
        wanted = mapping.wanted(caller, event_type, sku or (), found)
        return EventStream(await events.open(caller, wanted, last_event_id, version="v2"))

    return [follow_events]


def _partner(caller: Caller) -> str:
    """Whose orders a caller of this zone may see: its partner's, and nobody's where a credential names none."""
    return caller.principal.partner or ""


def _order_cost(body: schemas.OrderInput) -> int:
    return len(body.lines) // 10


def _availability_cost(body: schemas.AvailabilityQuery) -> int:
    return len(body.skus) // 20
