"""Bulks for operators: plan, begin (by a second person above a size), progress, cancel."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.exceptions import schemas
from process_apis.exceptions.bulk import Bulks

_ROOT = "/process/exceptions/v1/bulks"
_API = {"zone": "process", "tenant_aware": True, "api": "exceptions", "version": "v1"}
_READ = {**_API, "scopes": ["exceptions:read"], "cost": 2}
_REPAIR = {
    **_API,
    "scopes": ["exceptions:repair"],
    "idempotency": Idempotency.OPTIONAL,
    "failures": (404, 409),
}
_APPROVE = {**_REPAIR, "scopes": ["exceptions:approve"]}
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=40)]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]


def bulk_routes(bulks: Bulks) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_seeing(bulks), *_running(bulks)]


def _seeing(bulks: Bulks) -> list[HTTPRouteHandler]:
    @post(_ROOT, status_code=201, opt={**_REPAIR, "failures": ()}, operation_id="planBulk")
    async def plan_bulk(request: Request[Any, Any, Any], data: JSONBody[schemas.BulkInput]) -> schemas.BulkView:
        """Name every exception that fits and takes the verb; nothing is done before it is begun."""
        planned = await bulks.plan(caller_of(request.scope), data.verb, schemas.wanted_of(data), reason=data.reason)
        return schemas.bulk_view(planned)

    @get(_ROOT, opt=_READ, operation_id="listBulks")
    async def list_bulks(request: Request[Any, Any, Any], cursor: Cursor = None, limit: Limit = 50) -> schemas.BulkPage:
        """List bulks with their progress, newest first."""
        found = await bulks.listed(caller_of(request.scope).tenant, before=cursor, limit=limit)
        more = found[-1].bulk if len(found) == limit else None
        return schemas.BulkPage(items=[schemas.bulk_view(each) for each in found], next_cursor=more)

    @get(f"{_ROOT}/{{bulk_id:str}}", opt=_READ, operation_id="getBulk")
    async def get_bulk(request: Request[Any, Any, Any], bulk_id: FromPath[str]) -> schemas.BulkView:
        """Read one with its progress."""
        return schemas.bulk_view(await bulks.get(caller_of(request.scope).tenant, bulk_id))

    return [plan_bulk, list_bulks, get_bulk]


def _running(bulks: Bulks) -> list[HTTPRouteHandler]:
    one = f"{_ROOT}/{{bulk_id:str}}"

    @post(f"{one}/start", status_code=202, opt=_REPAIR, operation_id="startBulk")
    async def start_bulk(request: Request[Any, Any, Any], bulk_id: FromPath[str]) -> schemas.BulkView:
        """Have the worker run it, where it is not too large for one person."""
        return schemas.bulk_view(await bulks.begin(caller_of(request.scope), bulk_id))

    @post(f"{one}/approval", status_code=202, opt=_APPROVE, operation_id="approveBulk")
    async def approve_bulk(request: Request[Any, Any, Any], bulk_id: FromPath[str]) -> schemas.BulkView:
        """Have the worker run it, whatever its size: by another person than who planned it."""
        return schemas.bulk_view(await bulks.begin(caller_of(request.scope), bulk_id, approving=True))

    @post(f"{one}/cancellation", status_code=200, opt=_REPAIR, operation_id="cancelBulk")
    async def cancel_bulk(request: Request[Any, Any, Any], bulk_id: FromPath[str]) -> schemas.BulkView:
        """Do no more of it; what was done stays done."""
        return schemas.bulk_view(await bulks.cancel(caller_of(request.scope), bulk_id))

    return [start_bulk, approve_bulk, cancel_bulk]
