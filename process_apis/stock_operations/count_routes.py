"""Cycle counts for internal applications: ask, tell what was found, agree or not."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.stock_operations import count_schemas as schemas
from process_apis.stock_operations.counting import Counts
from process_apis.stock_operations.models import CountState
from process_apis.stock_operations.schemas import ReasonInput

_ROOT = "/process/stock-operations/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "stock-operations", "version": "v1"}
_READ = {**_API, "scopes": ["counts:read"], "cost": 1}
_WRITE = {
    **_API,
    "scopes": ["counts:write"],
    "cost": 2,
    "idempotency": Idempotency.OPTIONAL,
    "failures": (404, 409),
}
_DECIDE = {**_WRITE, "scopes": ["counts:approve"]}


def count_routes(counts: Counts) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_counting(counts), *_deciding(counts)]


def _counting(counts: Counts) -> list[HTTPRouteHandler]:
    @post(f"{_ROOT}/counts", status_code=201, opt=_WRITE, operation_id="askForCount")
    async def ask_for_count(request: Request[Any, Any, Any], data: JSONBody[schemas.CountInput]) -> schemas.CountView:
        """Have items counted; nobody who counts is told what is expected."""
        return schemas.count_view(await counts.ask(caller_of(request.scope), schemas.count_command_of(data)))

    @get(f"{_ROOT}/counts", opt=_READ, operation_id="listCounts")
    async def list_counts(
        request: Request[Any, Any, Any],
        count_state: Annotated[CountState | None, QueryParameter(name="state")] = None,
        location: Annotated[str | None, QueryParameter(max_length=100)] = None,
        open_only: Annotated[bool, QueryParameter(name="open", description="Only what is not over yet.")] = False,
        cursor: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.CountPage:
        """List counts, newest first."""
        found = await counts.listed(
            caller_of(request.scope).tenant,
            state=count_state,
            location=location,
            open_only=open_only,
            before=cursor,
            limit=limit,
        )
        more = found[-1].count if len(found) == limit else None
        return schemas.CountPage(items=[schemas.count_view(each) for each in found], next_cursor=more)

    @get(f"{_ROOT}/counts/{{count_id:str}}", opt=_READ, operation_id="getCount")
    async def get_count(request: Request[Any, Any, Any], count_id: FromPath[str]) -> schemas.CountView:
        """Read one count."""
        return schemas.count_view(await counts.get(caller_of(request.scope).tenant, count_id))

    return [ask_for_count, list_counts, get_count]


def _deciding(counts: Counts) -> list[HTTPRouteHandler]:
    one = f"{_ROOT}/counts/{{count_id:str}}"

    @post(f"{one}/results", status_code=200, opt=_WRITE, operation_id="reportCount")
    async def report_count(
        request: Request[Any, Any, Any], count_id: FromPath[str], data: JSONBody[schemas.CountResultInput]
    ) -> schemas.CountView:
        """Tell what was found: believed within tolerance, else counted again by somebody else, then decided."""
        return schemas.count_view(await counts.report(caller_of(request.scope), count_id, schemas.counted_of(data)))

    @post(f"{one}/approval", status_code=200, opt=_DECIDE, operation_id="approveCount")
    async def approve_count(
        request: Request[Any, Any, Any], count_id: FromPath[str], data: JSONBody[ReasonInput]
    ) -> schemas.CountView:
        """Agree to what was found; above a value the first to agree only proposes."""
        return schemas.count_view(await counts.approve(caller_of(request.scope), count_id, reason=data.reason))

    @post(f"{one}/rejection", status_code=200, opt=_DECIDE, operation_id="rejectCount")
    async def reject_count(
        request: Request[Any, Any, Any], count_id: FromPath[str], data: JSONBody[ReasonInput]
    ) -> schemas.CountView:
        """Believe the books, or give a count up that nobody took."""
        return schemas.count_view(await counts.reject(caller_of(request.scope), count_id, reason=data.reason))

    return [report_count, approve_count, reject_count]
