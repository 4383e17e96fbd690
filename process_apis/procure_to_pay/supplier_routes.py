"""Suppliers for internal applications: made known, brought through their onboarding, suspended."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.procure_to_pay import schemas
from process_apis.procure_to_pay.process import ProcureToPay

_ROOT = "/process/procure-to-pay/v1/suppliers"
_ONE = f"{_ROOT}/{{supplier_id:str}}"
_API = {"zone": "process", "tenant_aware": True, "api": "procure-to-pay", "version": "v1"}
_READ = {**_API, "scopes": ["suppliers:read"], "cost": 1}
_WRITE = {
    **_API, "scopes": ["suppliers:write"], "cost": 2, "idempotency": Idempotency.OPTIONAL, "failures": (404, 409),
}  # fmt: skip


def supplier_routes(process: ProcureToPay) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    suppliers = process.suppliers

    @get(_ROOT, opt=_READ, operation_id="listSuppliers")
    async def list_suppliers(
        request: Request[Any, Any, Any],
        cursor: Annotated[
            str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=40)
        ] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.SupplierPage:
        """List suppliers, the eldest first."""
        found = await suppliers.listed(caller_of(request.scope).tenant, after=cursor, limit=limit)
        more = found[-1].supplier if len(found) == limit else None
        return schemas.SupplierPage(items=[schemas.supplier_view(each) for each in found], next_cursor=more)

    @get(_ONE, opt=_READ, operation_id="getSupplier")
    async def get_supplier(request: Request[Any, Any, Any], supplier_id: FromPath[str]) -> schemas.SupplierView:
        """Read one supplier."""
        return schemas.supplier_view(await suppliers.get(caller_of(request.scope).tenant, supplier_id))

    @post(_ROOT, status_code=201, opt={**_WRITE, "failures": (409,)}, operation_id="addSupplier")
    async def add_supplier(
        request: Request[Any, Any, Any], data: JSONBody[schemas.SupplierInput]
    ) -> schemas.SupplierView:
        """Make a supplier known. Orders go out to it once its onboarding is through."""
        made = await suppliers.make_known(
            caller_of(request.scope), name=data.name, codes=data.codes, partner=data.partner
        )
        return schemas.supplier_view(made)

    @post(f"{_ONE}/changes", status_code=200, opt=_WRITE, operation_id="changeSupplier")
    async def change_supplier(
        request: Request[Any, Any, Any], supplier_id: FromPath[str], data: JSONBody[schemas.SupplierChangeInput]
    ) -> schemas.SupplierView:
        """Say what more systems call it, or which partner speaks for it."""
        found = await suppliers.change(caller_of(request.scope), supplier_id, codes=data.codes, partner=data.partner)
        return schemas.supplier_view(found)

    @post(f"{_ONE}/steps", status_code=200, opt=_WRITE, operation_id="finishSupplierStep")
    async def finish_step(
        request: Request[Any, Any, Any], supplier_id: FromPath[str], data: JSONBody[schemas.StepInput]
    ) -> schemas.SupplierView:
        """Note a step of onboarding as done: its papers were checked, terms agreed."""
        found = await suppliers.finish_step(caller_of(request.scope), supplier_id, data.step, data.note)
        return schemas.supplier_view(found)

    @post(f"{_ONE}/test-order", status_code=200, opt=_WRITE, operation_id="sendTestOrder")
    async def send_test_order(request: Request[Any, Any, Any], supplier_id: FromPath[str]) -> schemas.PurchaseView:
        """Send it an order that is no real one: acknowledging it is the last step of its onboarding."""
        return schemas.purchase_view(await process.samples.send(caller_of(request.scope), supplier_id))

    @post(f"{_ONE}/suspension", status_code=200, opt=_WRITE, operation_id="suspendSupplier")
    async def suspend_supplier(
        request: Request[Any, Any, Any], supplier_id: FromPath[str], data: JSONBody[schemas.SuspensionInput]
    ) -> schemas.SupplierView:
        """Send it no new orders, or again; what it has goes on."""
        found = await suppliers.suspend(
            caller_of(request.scope), supplier_id, suspended=data.suspended, reason=data.reason
        )
        return schemas.supplier_view(found)

    return [list_suppliers, get_supplier, add_supplier, change_supplier, finish_step, send_test_order, suspend_supplier]
