"""The process API of exceptions, for operators: what stands still, how urgent it is, and what is done about it."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.canonical.trouble import TroubleClass
from gateway.kernel.errors import Invalid
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.exceptions import schemas
from process_apis.exceptions.bulk_routes import bulk_routes
from process_apis.exceptions.models import Entry, State, Wanted
from process_apis.exceptions.process import Exceptions

_ROOT = "/process/exceptions/v1/entries"
_API = {"zone": "process", "tenant_aware": True, "api": "exceptions", "version": "v1"}
_READ = {**_API, "scopes": ["exceptions:read"], "cost": 2}
_REPAIR = {
    **_API,
    "scopes": ["exceptions:repair"],
    "idempotency": Idempotency.OPTIONAL,
    "failures": (404, 409),
}
_APPROVE = {**_REPAIR, "scopes": ["exceptions:approve"]}
Text = Annotated[str | None, QueryParameter(max_length=200)]
Instant = Annotated[datetime | None, QueryParameter()]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=60)]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]


def routes(exceptions: Exceptions) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_reading(exceptions), *_deciding(exceptions), *bulk_routes(exceptions.bulks)]


def _reading(exceptions: Exceptions) -> list[HTTPRouteHandler]:
    @get(_ROOT, opt=_READ, operation_id="listTroubles")
    async def list_troubles(
        request: Request[Any, Any, Any],
        entry_state: Annotated[State | None, QueryParameter(name="state")] = None,
        kind: Text = None,
        error_class: Annotated[TroubleClass | None, QueryParameter(name="class")] = None,
        fault_domain: Text = None,
        error_code: Annotated[str | None, QueryParameter(name="error_code", max_length=200)] = None,
        about: Text = None,
        assignee: Annotated[str | None, QueryParameter(max_length=100, description="Empty: nobody's.")] = None,
        least_rank: Annotated[int | None, QueryParameter(ge=0, le=99)] = None,
        raised_from: Instant = None,
        raised_before: Instant = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.ExceptionPage:
        """List what stands still, the most urgent first; without a state, all that is not over."""
        wanted = Wanted(
            state=entry_state,
            kind=kind,
            error_class=error_class,
            fault_domain=fault_domain,
            code=error_code,
            about=about,
            assignee=assignee,
            least_rank=least_rank,
            raised_from=_zoned(raised_from, "raised_from"),
            raised_before=_zoned(raised_before, "raised_before"),
        )
        tenant = caller_of(request.scope).tenant
        found = await exceptions.listed(tenant, wanted, after=place_of(cursor), limit=limit)
        more = cursor_of(found[-1]) if len(found) == limit else None
        return schemas.ExceptionPage(items=[schemas.exception_view(each) for each in found], next_cursor=more)

    @get(f"{_ROOT}/{{entry_id:str}}", opt=_READ, operation_id="getTrouble")
    async def get_trouble(request: Request[Any, Any, Any], entry_id: FromPath[str]) -> schemas.ExceptionDetail:
        """Read one, with its history."""
        entry = await exceptions.get(caller_of(request.scope).tenant, entry_id)
        return schemas.ExceptionDetail(
            exception=schemas.exception_view(entry),
            history=[schemas.step_view(step) for step in await exceptions.history(entry)],
            revisions=[schemas.revision_view(each) for each in await exceptions.revisions(entry)],
        )

    @get(f"{_ROOT}/{{entry_id:str}}/payload", opt={**_APPROVE, "cost": 2}, operation_id="getTroublePayload")
    async def get_payload(request: Request[Any, Any, Any], entry_id: FromPath[str]) -> schemas.PayloadView:
        """Read what stands still, to edit it."""
        entry = await exceptions.get(caller_of(request.scope).tenant, entry_id)
        found = await exceptions.payload(entry)
        return schemas.PayloadView(version=entry.version, payload=None if found is None else dict(found))

    return [list_troubles, get_trouble, get_payload]


def _deciding(exceptions: Exceptions) -> list[HTTPRouteHandler]:
    one = f"{_ROOT}/{{entry_id:str}}"

    @post(f"{one}/assignment", status_code=200, opt=_REPAIR, operation_id="assignTrouble")
    async def assign_trouble(
        request: Request[Any, Any, Any], entry_id: FromPath[str], data: JSONBody[schemas.AssignmentInput]
    ) -> schemas.ExceptionView:
        """Make it somebody's, or give it back."""
        return schemas.exception_view(await exceptions.assign(caller_of(request.scope), entry_id, data.assignee))

    @post(f"{one}/retries", status_code=202, opt=_REPAIR, operation_id="retryTrouble")
    async def retry_trouble(request: Request[Any, Any, Any], entry_id: FromPath[str]) -> schemas.ExceptionView:
        """Have it tried again at once; it resolves itself when that goes well."""
        return schemas.exception_view(await exceptions.retry(caller_of(request.scope), entry_id))

    @post(f"{one}/revisions", status_code=202, opt=_APPROVE, operation_id="editTrouble")
    async def edit_trouble(
        request: Request[Any, Any, Any], entry_id: FromPath[str], data: JSONBody[schemas.EditInput]
    ) -> schemas.ExceptionView:
        """Put another payload in its place, as a revision, and have that tried."""
        edited = await exceptions.edit(
            caller_of(request.scope), entry_id, data.payload, reason=data.reason, version=data.version
        )
        return schemas.exception_view(edited)

    @post(f"{one}/ignoring", status_code=200, opt=_REPAIR, operation_id="ignoreTrouble")
    async def ignore_trouble(
        request: Request[Any, Any, Any], entry_id: FromPath[str], data: JSONBody[schemas.IgnoringInput]
    ) -> schemas.ExceptionView:
        """End it without doing what stands still, and say why."""
        return schemas.exception_view(await exceptions.ignore(caller_of(request.scope), entry_id, reason=data.reason))

    return [assign_trouble, retry_trouble, edit_trouble, ignore_trouble]


def cursor_of(entry: Entry) -> str:
    """Where the page after `entry` begins."""
    return f"{entry.rank}.{entry.entry}"


def place_of(cursor: str | None) -> tuple[int, str] | None:
    """What a cursor says; raises `Invalid` for what is none."""
    if cursor is None:
        return None
    rank, _, entry = cursor.partition(".")
    if not (rank.isascii() and rank.isdecimal() and len(rank) <= 2 and entry):  # noqa: PLR2004
        raise Invalid("this is not a cursor of ours: begin without one", code="exceptions.cursor")
    return int(rank), entry


def _zoned(at: datetime | None, name: str) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise Invalid(f"{name} needs a zone, as in 2026-11-22T10:00:00Z", code="exceptions.time")
    return at
