"""The process API of orders, for internal applications: place, read, follow, cancel, and mend what is stuck."""

from typing import Annotated, Any

from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.canonical.order import OrderState
from gateway.kernel.entity_tags import entity_tag
from gateway.kernel.exchange import Idempotency, caller_of, held_key_of
from process_apis.order_to_ship import schemas
from process_apis.order_to_ship.hold_rule_routes import hold_rule_routes
from process_apis.order_to_ship.models import PlacedAnswer
from process_apis.order_to_ship.process import OrderToShip
from process_apis.order_to_ship.recalling import placed_reply
from process_apis.order_to_ship.service_routes import service_routes

_API = {"zone": "process", "tenant_aware": True, "api": "order-to-ship", "version": "v1"}
_ROOT = "/process/order-to-ship/v1"
_WEEK = 7 * 86_400
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=40)]


def _cost(data: schemas.OrderInput) -> int:
    return len(data.lines) // 10


def routes(orders: OrderToShip) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    own = [*_writing(orders), *_reading(orders), *_mending(orders)]
    return [*own, *service_routes(orders), *hold_rule_routes(orders)]


def _writing(orders: OrderToShip) -> list[HTTPRouteHandler]:
    @post(
        f"{_ROOT}/orders",
        operation_id="placeOrder",
        opt={
            **_API,
            "scopes": ["orders:write"],
            "cost": 2,
            "body_cost": _cost,
            "idempotency": Idempotency.REQUIRED,
            "idempotency_retention": _WEEK,
        },
    )
    async def place_order(
        request: Request[Any, Any, Any], data: JSONBody[schemas.OrderInput]
    ) -> Response[schemas.OrderView]:
        """Place an order. 201 means that it is accepted and its stock promised; the same content again returns it."""
        held = held_key_of(request.scope)
        answer = None if held is None else PlacedAnswer(held, placed_reply)
        placed = await orders.place_order(schemas.place_order(data, caller_of(request.scope)), answer)
        view = schemas.order_view(placed.order)
        return Response(view, status_code=201, headers={"Location": f"{_ROOT}/orders/{view.id}"})

    @post(
        f"{_ROOT}/orders/{{order_id:str}}/cancellation",
        status_code=202,
        operation_id="cancelOrder",
        opt={**_API, "scopes": ["orders:write"], "idempotency": Idempotency.REQUIRED},
    )
    async def cancel_order(
        request: Request[Any, Any, Any], order_id: FromPath[str], data: JSONBody[schemas.ReasonInput]
    ) -> schemas.OrderView:
        """Ask for a cancel. It is done once every system that holds the order has confirmed; its monitor tells."""
        return schemas.order_view(await orders.cancel_order(caller_of(request.scope), order_id, reason=data.reason))

    return [place_order, cancel_order]


def _reading(orders: OrderToShip) -> list[HTTPRouteHandler]:
    @get(f"{_ROOT}/orders", operation_id="listOrders", opt={**_API, "scopes": ["orders:read"], "cost": 2})
    async def list_orders(
        request: Request[Any, Any, Any],
        partner: Annotated[str | None, QueryParameter(max_length=100)] = None,
        order_state: Annotated[OrderState | None, QueryParameter(name="state")] = None,
        cursor: Cursor = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.OrderPage:
        """List orders, newest first."""
        tenant = caller_of(request.scope).tenant
        found = await orders.list_orders(tenant, partner=partner, state=order_state, before=cursor, limit=limit)
        more = found[-1].order_id if len(found) == limit else None
        return schemas.OrderPage(items=[schemas.summary_view(order) for order in found], next_cursor=more)

    @get(f"{_ROOT}/orders/{{order_id:str}}", operation_id="getOrder", opt={**_API, "scopes": ["orders:read"]})
    async def get_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> Response[schemas.OrderView]:
        """Read an order."""
        order = await orders.get_order(caller_of(request.scope).tenant, order_id)
        return Response(schemas.order_view(order), headers={"ETag": entity_tag(order.version)})

    @get(
        f"{_ROOT}/orders/{{order_id:str}}/monitor", operation_id="monitorOrder", opt={**_API, "scopes": ["orders:read"]}
    )
    async def monitor_order(request: Request[Any, Any, Any], order_id: FromPath[str]) -> schemas.MonitorView:
        """Follow an order: what was asked of which system, and what is wrong."""
        return schemas.monitor_view(await orders.monitor(caller_of(request.scope).tenant, order_id))

    return [list_orders, get_order, monitor_order]


def _mending(orders: OrderToShip) -> list[HTTPRouteHandler]:
    @delete(
        f"{_ROOT}/orders/{{order_id:str}}/hold",
        status_code=200,
        operation_id="releaseHold",
        opt={**_API, "scopes": ["orders:repair"], "idempotency": Idempotency.OPTIONAL},
    )
    async def release_hold(
        request: Request[Any, Any, Any],
        order_id: FromPath[str],
        reason: Annotated[str, QueryParameter(min_length=1, max_length=100)],
    ) -> schemas.OrderView:
        """Let a held order go on, on the caller's responsibility."""
        return schemas.order_view(await orders.release_hold(caller_of(request.scope), order_id, reason=reason))

    @get(f"{_ROOT}/exceptions", operation_id="listExceptions", opt={**_API, "scopes": ["orders:read"], "cost": 2})
    async def list_exceptions(
        request: Request[Any, Any, Any],
        exception_state: Annotated[str | None, QueryParameter(name="state", pattern="^(open|resolved)$")] = "open",
        order: Annotated[str | None, QueryParameter(max_length=40)] = None,
        cursor: Cursor = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.ExceptionPage:
        """List what needs a person, newest first."""
        found = await orders.list_exceptions(
            caller_of(request.scope).tenant, state=exception_state, order_id=order, before=cursor, limit=limit
        )
        more = found[-1].exception_id if len(found) == limit else None
        return schemas.ExceptionPage(items=[schemas.exception_view(one) for one in found], next_cursor=more)

    @post(
        f"{_ROOT}/exceptions/{{exception_id:str}}/retries",
        status_code=202,
        operation_id="retryException",
        opt={**_API, "scopes": ["orders:repair"], "idempotency": Idempotency.OPTIONAL},
    )
    async def retry_exception(request: Request[Any, Any, Any], exception_id: FromPath[str]) -> schemas.ExceptionView:
        """Resolve an exception and try again, at once, what it stopped."""
        return schemas.exception_view(await orders.retry_exception(caller_of(request.scope), exception_id))

    return [release_hold, list_exceptions, retry_exception]
