"""What customer service does to orders that are under way: each once per action id, on the version that they saw."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, JSONBody

from gateway.kernel.entity_tags import entity_tag, expected_version
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.order_to_ship import schemas
from process_apis.order_to_ship import service_schemas as bodies
from process_apis.order_to_ship.models import Verb
from process_apis.order_to_ship.process import OrderToShip
from process_apis.order_to_ship.rework_rules import Intervention

_ORDER: Final = "/process/order-to-ship/v1/orders/{order_id:str}"
_OPT: Final[dict[str, Any]] = {
    "zone": "process",
    "tenant_aware": True,
    "api": "order-to-ship",
    "version": "v1",
    "scopes": ["orders:repair"],
    "cost": 5,
    "idempotency": Idempotency.OPTIONAL,
    "failures": (404, 409, 412, 428),
}
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="The ETag you saw.", max_length=40)]


def service_routes(orders: OrderToShip) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    async def done(
        request: Request[Any, Any, Any],
        order_id: str,
        verb: Verb,
        data: bodies.HoldInput,
        if_match: str | None,
        lines: Sequence[bodies.LineShareInput] = (),
    ) -> Response[schemas.OrderView]:
        asked = Intervention(
            action=data.action,
            verb=verb,
            reason=data.reason,
            version=expected_version(if_match),
            lines=bodies.lines_of(lines),
        )
        order = await orders.interventions.intervene(caller_of(request.scope), order_id, asked)
        return Response(schemas.order_view(order), status_code=202, headers={"ETag": entity_tag(order.version)})

    @post(f"{_ORDER}/hold", status_code=202, operation_id="holdOrder", opt=_OPT)
    async def hold_order(
        request: Request[Any, Any, Any],
        order_id: FromPath[str],
        data: JSONBody[bodies.HoldInput],
        if_match: IfMatch = None,
    ) -> Response[schemas.OrderView]:
        """Hold an order: what a warehouse has of it and has not begun is taken back. Releasing lets it go on."""
        return await done(request, order_id, Verb.HOLD, data, if_match)

    @post(f"{_ORDER}/reallocations", status_code=202, operation_id="reallocateOrder", opt=_OPT)
    async def reallocate_order(
        request: Request[Any, Any, Any],
        order_id: FromPath[str],
        data: JSONBody[bodies.ReallocationInput],
        if_match: IfMatch = None,
    ) -> Response[schemas.OrderView]:
        """Serve lines from elsewhere, once no system has them any more; the monitor tells how far it is."""
        return await done(request, order_id, Verb.REALLOCATE, data, if_match, data.lines)

    @post(f"{_ORDER}/splits", status_code=202, operation_id="splitOrder", opt=_OPT)
    async def split_order(
        request: Request[Any, Any, Any],
        order_id: FromPath[str],
        data: JSONBody[bodies.SplitInput],
        if_match: IfMatch = None,
    ) -> Response[schemas.OrderView]:
        """Let lines, or parts of them, leave apart from the rest: each part is handed over by itself."""
        return await done(request, order_id, Verb.SPLIT, data, if_match, data.lines)

    @post(f"{_ORDER}/line-cancellations", status_code=202, operation_id="cancelLines", opt=_OPT)
    async def cancel_lines(
        request: Request[Any, Any, Any],
        order_id: FromPath[str],
        data: JSONBody[bodies.LineCancellationInput],
        if_match: IfMatch = None,
    ) -> Response[schemas.OrderView]:
        """Cancel lines or part of them, once no system has them any more. What was shipped stays."""
        return await done(request, order_id, Verb.CANCEL, data, if_match, data.lines)

    return [hold_order, reallocate_order, split_order, cancel_lines]
