"""The supplier's operations, version 1: a handler is one process call and one mapping call."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from experience_apis.supplier.v1 import mapping, schemas
from gateway.kernel.cursors import Cursors
from gateway.kernel.entity_tags import entity_tag, expected_version
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.procure_to_pay.models import Purchase
from process_apis.procure_to_pay.process import ProcureToPay

_API: Final[Mapping[str, Any]] = {"zone": "experience", "tenant_aware": True, "api": "supplier", "version": "v1"}
_READ: Final = {**_API, "scopes": ["purchase-orders:read"]}
_WRITE: Final = {
    **_API,
    "scopes": ["purchase-orders:write"],
    "idempotency": Idempotency.OPTIONAL,
    "cost": 2,
    "failures": (404, 409),
}
_ROOT: Final = "/supplier/v1/purchase-orders"
_ONE: Final = f"{_ROOT}/{{purchase_id:str}}"
_PURCHASE_ID: Final = PathParameter(
    description="An order's id, from the list of orders.", max_length=30, pattern=schemas.PURCHASE_ID
)
_CURSOR: Final = QueryParameter(description="`next_cursor` of the page before.", max_length=400, pattern=schemas.CURSOR)
_IF_MATCH: Final = HeaderParameter(name="If-Match", description="The ETag of the order you saw.", max_length=40)


def routes(*, procurement: ProcureToPay, cursors: Cursors) -> list[HTTPRouteHandler]:
    """Every handler of this version, bound to the process that it calls."""
    return [*_reading(procurement, cursors), *_saying(procurement)]


def _reading(procurement: ProcureToPay, cursors: Cursors) -> list[HTTPRouteHandler]:
    suppliers = procurement.suppliers

    @get("/supplier/v1/standing", operation_id="getStanding", tags=["Onboarding"], opt=_READ)
    async def get_standing(request: Request[Any, Any, Any]) -> schemas.SupplierStandingView:
        """Read how far your onboarding is: orders go out to you once nothing of it is missing."""
        caller = caller_of(request.scope)
        supplier = await suppliers.of_partner(caller.tenant, caller.principal.partner)
        return mapping.standing_view(await suppliers.get(caller.tenant, supplier))

    @get(_ROOT, operation_id="listPurchaseOrders", tags=["Purchase orders"], opt={**_READ, "cost": 2})
    async def list_orders(
        request: Request[Any, Any, Any],
        open_only: Annotated[bool, QueryParameter(name="open", description="Only what is not over yet.")] = False,
        cursor: Annotated[str | None, _CURSOR] = None,
        limit: Annotated[int, QueryParameter(description="How many at most.", ge=1, le=100)] = 50,
    ) -> schemas.PurchaseOrderPage:
        """List your purchase orders, the newest first."""
        caller = caller_of(request.scope)
        supplier = await suppliers.of_partner(caller.tenant, caller.principal.partner)
        scope = f"{caller.tenant}/{caller.principal.partner}/purchase-orders"
        found = await procurement.listed(
            caller.tenant,
            supplier=supplier,
            open_only=open_only,
            before=cursors.open(scope, cursor),
            limit=limit,
            approved_only=True,
        )
        more = cursors.seal(scope, found[-1].purchase) if len(found) == limit else None
        return schemas.PurchaseOrderPage(items=[mapping.order_view(each) for each in found], next_cursor=more)

    @get(_ONE, operation_id="getPurchaseOrder", tags=["Purchase orders"], opt={**_READ, "failures": (404,)})
    async def get_order(
        request: Request[Any, Any, Any], purchase_id: Annotated[str, _PURCHASE_ID]
    ) -> Response[schemas.PurchaseOrderView]:
        """Read one purchase order and how it stands."""
        caller = caller_of(request.scope)
        supplier = await suppliers.of_partner(caller.tenant, caller.principal.partner)
        return _answer(await procurement.dialogue.get(caller.tenant, purchase_id, supplier=supplier))

    return [get_standing, list_orders, get_order]


def _saying(procurement: ProcureToPay) -> list[HTTPRouteHandler]:
    suppliers, dialogue = procurement.suppliers, procurement.dialogue

    @post(
        f"{_ONE}/acknowledgements",
        status_code=200,
        operation_id="acknowledgePurchaseOrder",
        tags=["Purchase orders"],
        opt={**_WRITE, "failures": (404, 409, 412, 428)},
    )
    async def acknowledge(
        request: Request[Any, Any, Any],
        purchase_id: Annotated[str, _PURCHASE_ID],
        data: JSONBody[schemas.AcknowledgementInput],
        if_match: Annotated[str | None, _IF_MATCH] = None,
    ) -> Response[schemas.PurchaseOrderView]:
        """Answer an order line by line, by the codes of X12 element 668.

        A line may be split over several. The same answer again changes nothing; of each line the answer with the
        highest `sequence` holds. An unknown code is never taken as an acceptance.
        """
        caller = caller_of(request.scope)
        supplier = await suppliers.of_partner(caller.tenant, caller.principal.partner)
        said, seen = mapping.acknowledgement(data), expected_version(if_match)
        return _answer(await dialogue.acknowledge(caller, purchase_id, said, supplier=supplier, expected=seen))

    @post(
        f"{_ONE}/ship-notices",
        status_code=200,
        operation_id="advisePurchaseOrder",
        tags=["Purchase orders"],
        opt=_WRITE,
    )
    async def advise(
        request: Request[Any, Any, Any],
        purchase_id: Annotated[str, _PURCHASE_ID],
        data: JSONBody[schemas.ShipNoticeInput],
    ) -> Response[schemas.PurchaseOrderView]:
        """Say what is on its way; the same number with a higher `sequence` replaces it, without lines takes it back."""
        caller = caller_of(request.scope)
        supplier = await suppliers.of_partner(caller.tenant, caller.principal.partner)
        return _answer(await dialogue.advise(caller, purchase_id, mapping.ship_notice(data), supplier=supplier))

    @post(f"{_ONE}/invoices", status_code=200, operation_id="billPurchaseOrder", tags=["Invoices"], opt=_WRITE)
    async def bill(
        request: Request[Any, Any, Any], purchase_id: Annotated[str, _PURCHASE_ID], data: JSONBody[schemas.InvoiceInput]
    ) -> Response[schemas.PurchaseOrderView]:
        """Bill an order. Your number is used once, for ever; the answer says whether it agrees with what came."""
        caller = caller_of(request.scope)
        supplier = await suppliers.of_partner(caller.tenant, caller.principal.partner)
        return _answer(await dialogue.bill(caller, purchase_id, mapping.invoice(data), supplier=supplier))

    return [acknowledge, advise, bill]


def _answer(purchase: Purchase) -> Response[schemas.PurchaseOrderView]:
    return Response(mapping.order_view(purchase), headers={"ETag": entity_tag(purchase.version)})
