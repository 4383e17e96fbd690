"""The process API of reconciliation, for internal applications: runs, findings, decisions.

Runs are made by the worker's schedule and by `crossdock reconcile`: what they read takes longer than a request may.
"""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.reconciliation import schemas
from process_apis.reconciliation.models import Cause, State, What
from process_apis.reconciliation.process import Reconciliation

_ROOT = "/process/reconciliation/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "reconciliation", "version": "v1"}
_READ = {**_API, "scopes": ["reconciliation:read"], "cost": 2}
_DECIDE = {
    **_API,
    "scopes": ["reconciliation:decide"],
    "idempotency": Idempotency.OPTIONAL,
    "failures": (404, 409),
}
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=40)]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]


def routes(reconciliation: Reconciliation) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_reading(reconciliation), *_deciding(reconciliation)]


def _reading(reconciliation: Reconciliation) -> list[HTTPRouteHandler]:
    @get(f"{_ROOT}/runs", opt=_READ, operation_id="listRuns")
    async def list_runs(
        request: Request[Any, Any, Any],
        what: Annotated[What | None, QueryParameter()] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.RunPage:
        """List comparisons, newest first."""
        tenant = caller_of(request.scope).tenant
        found = await reconciliation.runs(tenant, what=what, before=cursor, limit=limit)
        more = found[-1].run if len(found) == limit else None
        return schemas.RunPage(items=[schemas.run_view(each) for each in found], next_cursor=more)

    @get(f"{_ROOT}/runs/{{run_id:str}}", opt=_READ, operation_id="getRun")
    async def get_run(request: Request[Any, Any, Any], run_id: FromPath[str]) -> schemas.RunView:
        """Read one comparison."""
        return schemas.run_view(await reconciliation.get_run(caller_of(request.scope).tenant, run_id))

    @get(f"{_ROOT}/findings", opt=_READ, operation_id="listFindings")
    async def list_findings(
        request: Request[Any, Any, Any],
        what: Annotated[What | None, QueryParameter()] = None,
        cause: Annotated[Cause | None, QueryParameter()] = None,
        finding_state: Annotated[State | None, QueryParameter(name="state")] = None,
        source: Annotated[str | None, QueryParameter(max_length=100)] = None,
        location: Annotated[str | None, QueryParameter(max_length=100)] = None,
        run: Annotated[str | None, QueryParameter(max_length=40)] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.FindingPage:
        """List differences by cause, newest first."""
        found = await reconciliation.findings(
            caller_of(request.scope).tenant,
            what=what,
            cause=cause,
            state=finding_state,
            source=source,
            location=location,
            run=run,
            before=cursor,
            limit=limit,
        )
        more = found[-1].finding if len(found) == limit else None
        return schemas.FindingPage(items=[schemas.finding_view(each) for each in found], next_cursor=more)

    @get(f"{_ROOT}/findings/{{finding_id:str}}", opt=_READ, operation_id="getFinding")
    async def get_finding(request: Request[Any, Any, Any], finding_id: FromPath[str]) -> schemas.FindingView:
        """Read one difference with the events that show its cause."""
        return schemas.finding_view(await reconciliation.get_finding(caller_of(request.scope).tenant, finding_id))

    return [list_runs, get_run, list_findings, get_finding]


def _deciding(reconciliation: Reconciliation) -> list[HTTPRouteHandler]:
    @post(f"{_ROOT}/findings/{{finding_id:str}}/acceptance", status_code=200, opt=_DECIDE, operation_id="acceptFinding")
    async def accept_finding(
        request: Request[Any, Any, Any], finding_id: FromPath[str], data: JSONBody[schemas.DecisionInput]
    ) -> schemas.FindingView:
        """Acknowledge what the owner says, or correct the ERP. Above a size the first to accept only proposes."""
        caller = caller_of(request.scope)
        decided = await reconciliation.desk.decide(
            caller.tenant,
            finding_id,
            "accept",
            actor=caller.principal.subject,
            reason=data.reason,
            correlation_id=caller.correlation_id,
        )
        return schemas.finding_view(decided)

    @post(f"{_ROOT}/findings/{{finding_id:str}}/rejection", status_code=200, opt=_DECIDE, operation_id="rejectFinding")
    async def reject_finding(
        request: Request[Any, Any, Any], finding_id: FromPath[str], data: JSONBody[schemas.DecisionInput]
    ) -> schemas.FindingView:
        """Leave the difference as it is, and say why."""
        caller = caller_of(request.scope)
        decided = await reconciliation.desk.decide(
            caller.tenant,
            finding_id,
            "reject",
            actor=caller.principal.subject,
            reason=data.reason,
            correlation_id=caller.correlation_id,
        )
        return schemas.finding_view(decided)

    return [accept_finding, reject_finding]
