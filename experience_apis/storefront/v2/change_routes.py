"""The storefront's change of an order, version 2, and what became of one whose answer was lost."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, JSONBody

from experience_apis.storefront.v2 import change_mapping, change_schemas, mapping
from experience_apis.storefront.v2.parameters import API, ORDER_ID
from gateway.kernel.context import Caller
from gateway.kernel.entity_tags import entity_tag, expected_version
from gateway.kernel.errors import Conflict
from gateway.kernel.exchange import Idempotency, Reply, caller_of
from process_apis.order_to_ship.models import Order
from process_apis.order_to_ship.process import OrderToShip

_IF_MATCH: Final = HeaderParameter(
    name="If-Match",
    description="The ETag of the order you saw.",
    max_length=40,
    examples=[Example(value=entity_tag(1))],
)
_EXAMPLE: Final[Mapping[str, Any]] = {
    "reference": "PO-2026-0042/1",
    "lines": [{"line": 1, "quantity": {"amount": "2", "unit": "EA"}}],
    "requested_date": "2026-12-08",
}
_ACCEPTED: Final = 202
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(change_schemas.ChangeInput).decode


def routes(orders: OrderToShip) -> list[HTTPRouteHandler]:
    """The handler, bound to the process."""

    @post(
        "/storefront/v2/orders/{order_id:str}/changes",
        status_code=_ACCEPTED,
        operation_id="changeOrder",
        tags=["Orders"],
        opt={
            **API,
            "scopes": ["orders:write"],
            "cost": 2,
            "body_cost": _change_cost,
            "idempotency": Idempotency.REQUIRED,
            "failures": [404, 409, 412, 428],
            "example": _EXAMPLE,
            "links": {"monitorOrder": {"order_id": "$response.body#/order_id"}},
        },
    )
    async def change_order(
        request: Request[Any, Any, Any],
        order_id: Annotated[str, ORDER_ID],
        data: JSONBody[change_schemas.ChangeInput],
        if_match: Annotated[str | None, _IF_MATCH] = None,
    ) -> Response[change_schemas.ChangeView]:
        """Change an order that nobody picks yet: quantities up and down (`0`: none of the line), and where and when.

        It is `done`, or `requested` while the systems that have the order give it back; the monitor tells. What is
        ordered more is promised in full or not at all. 409 `order.picking_began` when it is too late: cancel nothing,
        have returned what is too much and order what is missing.
        """
        caller, asked = caller_of(request.scope), change_mapping.intervention(data, expected_version(if_match))
        partner = caller.principal.partner or ""
        try:
            order = await orders.interventions.amend(caller, order_id, asked, partner=partner)
        except Conflict as refused:
            raise mapping.refusal(refused) from refused
        return Response(
            change_mapping.change_view(order),
            status_code=_ACCEPTED,
            headers={"ETag": entity_tag(order.version)},
        )

    return [change_order]


class RecallsChange:
    """What a lost `changeOrder` asked for."""

    def __init__(self, orders: OrderToShip) -> None:
        self._orders = orders

    async def recall_outcome(
        self, *, caller: Caller, path_params: Mapping[str, str], body: bytes, **_: object
    ) -> Reply | None:
        """202 once this change is in the record, else None."""
        asked, partner = change_mapping.intervention(_decode(body), None), caller.principal.partner or ""
        order_id = path_params["order_id"]
        if not await self._orders.interventions.is_amended(caller.tenant, order_id, asked, partner=partner):
            return None
        return _reply(await self._orders.get_order(caller.tenant, order_id, partner=partner))


def _reply(order: Order) -> Reply:
    headers = [(b"content-type", b"application/json"), (b"etag", entity_tag(order.version).encode())]
    return Reply(_ACCEPTED, headers, _encode(change_mapping.change_view(order)))


def _change_cost(body: change_schemas.ChangeInput) -> int:
    return len(body.lines) // 10
