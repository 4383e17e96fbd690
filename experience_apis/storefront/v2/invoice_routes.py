"""The storefront's operations on invoices, version 2: a handler is one process call and one mapping call."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import PathParameter

from experience_apis.storefront.v2 import invoice_mapping, invoice_schemas, schemas
from experience_apis.storefront.v2.parameters import API
from gateway.kernel.exchange import caller_of
from process_apis.order_to_ship.process import OrderToShip

_READ: Final[Mapping[str, Any]] = {**API, "scopes": ["orders:read"], "failures": [404]}
_ROOT: Final = "/storefront/v2/orders/{order_id:str}/invoices"
_ORDER_ID: Final = PathParameter(
    description="An order's id, from the answer that accepted it.",
    max_length=30,
    pattern=schemas.ORDER_ID,
    examples=[Example(value="ord_01kaj7q5wzf8m0e3r6t9y2b4c7")],
)
_INVOICE_ID: Final = PathParameter(
    description="An invoice's id, from the list of the order's invoices.",
    max_length=30,
    pattern=invoice_schemas.INVOICE_ID,
    examples=[Example(value="inv_0c5s7a9zrgfra74dykee89w10t")],
)
_OF_LISTED: Final = {"order_id": "$request.path.order_id", "invoice_id": "$response.body#/items/0/id"}


def routes(orders: OrderToShip) -> list[HTTPRouteHandler]:
    """Every handler of invoices, bound to the process."""

    @get(
        _ROOT,
        operation_id="listInvoices",
        tags=["Invoices"],
        opt={**_READ, "cost": 2, "links": {"getInvoice": _OF_LISTED}},
    )
    async def list_invoices(
        request: Request[Any, Any, Any], order_id: Annotated[str, _ORDER_ID]
    ) -> invoice_schemas.InvoiceList:
        """List the invoices of one of your orders: each shipment is billed once."""
        caller = caller_of(request.scope)
        order = await orders.get_order(caller.tenant, order_id, partner=caller.principal.partner or "")
        return invoice_mapping.invoice_list(order)

    @get(f"{_ROOT}/{{invoice_id:str}}", operation_id="getInvoice", tags=["Invoices"], opt=_READ)
    async def get_invoice(
        request: Request[Any, Any, Any],
        order_id: Annotated[str, _ORDER_ID],
        invoice_id: Annotated[str, _INVOICE_ID],
    ) -> invoice_schemas.InvoiceView:
        """Read one invoice of one of your orders."""
        caller = caller_of(request.scope)
        order = await orders.get_order(caller.tenant, order_id, partner=caller.principal.partner or "")
        return invoice_mapping.invoice_view(order, invoice_id)

    return [list_invoices, get_invoice]
