"""Purchase orders for internal applications: where they stand, what buyers decide, what suppliers said by other ways.

Everything that is told may be told again as it is.
"""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.procure_to_pay import schemas
from process_apis.procure_to_pay.models import PurchaseState
from process_apis.procure_to_pay.process import ProcureToPay
from process_apis.procure_to_pay.supplier_routes import supplier_routes

_ROOT = "/process/procure-to-pay/v1/purchases"
_ONE = f"{_ROOT}/{{purchase_id:str}}"
_API = {"zone": "process", "tenant_aware": True, "api": "procure-to-pay", "version": "v1"}
_READ = {**_API, "scopes": ["purchases:read"], "cost": 1}
_WRITE = {
    **_API, "scopes": ["purchases:write"], "cost": 2, "idempotency": Idempotency.OPTIONAL, "failures": (404, 409),
}  # fmt: skip
_DECIDE = {**_WRITE, "scopes": ["purchases:decide"]}
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=40)]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]


def routes(process: ProcureToPay) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_reading(process), *_telling(process), *_deciding(process), *supplier_routes(process)]


def _reading(process: ProcureToPay) -> list[HTTPRouteHandler]:
    @get(_ROOT, opt=_READ, operation_id="listPurchases")
    async def list_purchases(
        request: Request[Any, Any, Any],
        purchase_state: Annotated[PurchaseState | None, QueryParameter(name="state")] = None,
        supplier: Annotated[str | None, QueryParameter(max_length=40)] = None,
        open_only: Annotated[bool, QueryParameter(name="open", description="Only what is not over yet.")] = False,
        needing: Annotated[bool, QueryParameter(description="Only what a person should look at.")] = False,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.PurchasePage:
        """List purchase orders, the newest first."""
        found = await process.listed(
            caller_of(request.scope).tenant,
            state=purchase_state,
            supplier=supplier,
            open_only=open_only,
            needing=needing,
            before=cursor,
            limit=limit,
        )
        more = found[-1].purchase if len(found) == limit else None
        return schemas.PurchasePage(items=[schemas.purchase_view(each) for each in found], next_cursor=more)

    @get(_ONE, opt=_READ, operation_id="getPurchase")
    async def get_purchase(request: Request[Any, Any, Any], purchase_id: FromPath[str]) -> schemas.PurchaseView:
        """Read one purchase order."""
        return schemas.purchase_view(await process.dialogue.get(caller_of(request.scope).tenant, purchase_id))

    return [list_purchases, get_purchase]


def _telling(process: ProcureToPay) -> list[HTTPRouteHandler]:
    dialogue = process.dialogue

    @post(f"{_ONE}/acknowledgements", status_code=200, opt=_WRITE, operation_id="recordAcknowledgement")
    async def record_acknowledgement(
        request: Request[Any, Any, Any], purchase_id: FromPath[str], data: JSONBody[schemas.AcknowledgementInput]
    ) -> schemas.PurchaseView:
        """Record what a supplier answered, line by line, by the codes of X12 element 668."""
        found = await dialogue.acknowledge(caller_of(request.scope), purchase_id, data.said())
        return schemas.purchase_view(found)

    @post(f"{_ONE}/ship-notices", status_code=200, opt=_WRITE, operation_id="recordShipNotice")
    async def record_ship_notice(
        request: Request[Any, Any, Any], purchase_id: FromPath[str], data: JSONBody[schemas.ShipNoticeInput]
    ) -> schemas.PurchaseView:
        """Record what a supplier said is on its way."""
        return schemas.purchase_view(await dialogue.advise(caller_of(request.scope), purchase_id, data.said()))

    @post(f"{_ONE}/invoices", status_code=200, opt=_WRITE, operation_id="recordSupplierInvoice")
    async def record_invoice(
        request: Request[Any, Any, Any], purchase_id: FromPath[str], data: JSONBody[schemas.InvoiceInput]
    ) -> schemas.PurchaseView:
        """Record a supplier's invoice: it is matched with order and receipts, pending, or blocked with its reasons."""
        return schemas.purchase_view(await dialogue.bill(caller_of(request.scope), purchase_id, data.said()))

    return [record_acknowledgement, record_ship_notice, record_invoice]


def _deciding(process: ProcureToPay) -> list[HTTPRouteHandler]:
    deciding = process.deciding

    @post(f"{_ONE}/decisions", status_code=200, opt=_DECIDE, operation_id="decidePurchase")
    async def decide_purchase(
        request: Request[Any, Any, Any], purchase_id: FromPath[str], data: JSONBody[schemas.DecisionInput]
    ) -> schemas.PurchaseView:
        """Accept or refuse one of the order's `needs`: a departure from it, an over-receipt, a blocked invoice."""
        return schemas.purchase_view(await deciding.decide(caller_of(request.scope), purchase_id, data.said()))

    @post(f"{_ONE}/closures", status_code=200, opt=_DECIDE, operation_id="closePurchaseLine")
    async def close_purchase_line(
        request: Request[Any, Any, Any], purchase_id: FromPath[str], data: JSONBody[schemas.ClosureInput]
    ) -> schemas.PurchaseView:
        """Wait no more for what is open of a line; what comes all the same counts."""
        return schemas.purchase_view(await deciding.close_line(caller_of(request.scope), purchase_id, data.said()))

    @post(f"{_ONE}/returns", status_code=200, opt=_DECIDE, operation_id="recordSentBack")
    async def record_sent_back(
        request: Request[Any, Any, Any], purchase_id: FromPath[str], data: JSONBody[schemas.SentBackInput]
    ) -> schemas.PurchaseView:
        """Note goods that went back to the supplier: they are not to be billed."""
        return schemas.purchase_view(await deciding.send_back(caller_of(request.scope), purchase_id, data.said()))

    return [decide_purchase, close_purchase_line, record_sent_back]
