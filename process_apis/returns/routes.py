"""Returns for internal applications: ask, decide, receive, dispose, credit.

Commands that make something bear the caller's own action id and may be repeated; all others may be repeated as such.
"""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.returns import schemas
from process_apis.returns.models import Return, ReturnState
from process_apis.returns.process import Returns

_ROOT = "/process/returns/v1"
_ONE = f"{_ROOT}/returns/{{return_id:str}}"
_API = {"zone": "process", "tenant_aware": True, "api": "returns", "version": "v1"}
_READ = {**_API, "scopes": ["returns:read"], "cost": 1}
_WRITE = {
    **_API,
    "scopes": ["returns:write"],
    "cost": 2,
    "idempotency": Idempotency.OPTIONAL,
    "failures": (404, 409),
}
_APPROVE = {**_WRITE, "scopes": ["returns:approve"]}


def routes(returns: Returns) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_asking(returns), *_deciding(returns), *_ending(returns), *_handling(returns), *_mending(returns)]


def _asking(returns: Returns) -> list[HTTPRouteHandler]:
    @post(f"{_ROOT}/returns", status_code=201, opt={**_WRITE, "body_cost": _lines}, operation_id="askForReturn")
    async def ask_for_return(
        request: Request[Any, Any, Any], data: JSONBody[schemas.ReturnInput]
    ) -> schemas.ReturnView:
        """Have goods of an order come back: authorised at once where the rules allow it, else a person decides."""
        return _view(returns, await returns.authorisations.ask(caller_of(request.scope), schemas.command_of(data)))

    @get(f"{_ROOT}/returns", opt=_READ, operation_id="listReturns")
    async def list_returns(
        request: Request[Any, Any, Any],
        return_state: Annotated[ReturnState | None, QueryParameter(name="state")] = None,
        order: Annotated[str | None, QueryParameter(max_length=40)] = None,
        open_only: Annotated[bool, QueryParameter(name="open", description="Only what is not over yet.")] = False,
        cursor: Annotated[
            str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=40)
        ] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.ReturnPage:
        """List returns, newest first."""
        found = await returns.listed(
            caller_of(request.scope).tenant,
            state=return_state,
            order=order,
            open_only=open_only,
            before=cursor,
            limit=limit,
        )
        more = found[-1].return_id if len(found) == limit else None
        return schemas.ReturnPage(items=[_view(returns, each) for each in found], next_cursor=more)

    @get(_ONE, opt=_READ, operation_id="getReturn")
    async def get_return(request: Request[Any, Any, Any], return_id: FromPath[str]) -> schemas.ReturnView:
        """Read one return."""
        return _view(returns, await returns.get(caller_of(request.scope).tenant, return_id))

    return [ask_for_return, list_returns, get_return]


def _deciding(returns: Returns) -> list[HTTPRouteHandler]:
    @post(f"{_ONE}/authorisation", status_code=200, opt=_APPROVE, operation_id="authoriseReturn")
    async def authorise_return(
        request: Request[Any, Any, Any], return_id: FromPath[str], data: JSONBody[schemas.AuthorisationInput]
    ) -> schemas.ReturnView:
        """Authorise beyond the rules, more than was asked, or what came unasked; audited with the reason."""
        decided = await returns.authorisations.decide(
            caller_of(request.scope),
            return_id,
            authorise=True,
            reason=data.reason,
            amounts=schemas.amounts_of(data.lines),
        )
        return _view(returns, decided)

    @post(f"{_ONE}/refusal", status_code=200, opt=_APPROVE, operation_id="refuseReturn")
    async def refuse_return(
        request: Request[Any, Any, Any], return_id: FromPath[str], data: JSONBody[schemas.ReturnReasonInput]
    ) -> schemas.ReturnView:
        """Refuse it, before anything came."""
        decided = await returns.authorisations.decide(
            caller_of(request.scope), return_id, authorise=False, reason=data.reason, amounts={}
        )
        return _view(returns, decided)

    @post(f"{_ONE}/refused-lines", status_code=200, opt=_APPROVE, operation_id="refuseReturnLines")
    async def refuse_return_lines(
        request: Request[Any, Any, Any], return_id: FromPath[str], data: JSONBody[schemas.RefusedLinesInput]
    ) -> schemas.ReturnView:
        """Say how much of what came is not credited, in all, by line."""
        known = await returns.authorisations.refuse_lines(
            caller_of(request.scope), return_id, amounts=schemas.amounts_of(data.lines), reason=data.reason
        )
        return _view(returns, known)

    return [authorise_return, refuse_return, refuse_return_lines]


def _ending(returns: Returns) -> list[HTTPRouteHandler]:
    @post(f"{_ONE}/cancellation", status_code=200, opt=_WRITE, operation_id="cancelReturn")
    async def cancel_return(
        request: Request[Any, Any, Any], return_id: FromPath[str], data: JSONBody[schemas.ReturnReasonInput]
    ) -> schemas.ReturnView:
        """Give an authorisation up before anything came."""
        known = await returns.authorisations.cancel(caller_of(request.scope), return_id, reason=data.reason)
        return _view(returns, known)

    @post(f"{_ONE}/closure", status_code=200, opt=_WRITE, operation_id="closeReturn")
    async def close_return(
        request: Request[Any, Any, Any], return_id: FromPath[str], data: JSONBody[schemas.ReturnReasonInput]
    ) -> schemas.ReturnView:
        """Expect no more of it: what came is credited once it is decided about, the rest is given up."""
        known = await returns.authorisations.close(caller_of(request.scope), return_id, reason=data.reason)
        return _view(returns, known)

    return [cancel_return, close_return]


def _handling(returns: Returns) -> list[HTTPRouteHandler]:
    @post(f"{_ONE}/receipts", status_code=202, opt=_WRITE, operation_id="receiveReturn")
    async def receive_return(
        request: Request[Any, Any, Any], return_id: FromPath[str], data: JSONBody[schemas.ReturnReceiptInput]
    ) -> schemas.ReturnView:
        """Tell what came back to a location that we hold; its lines count it in a moment."""
        known = await returns.dispositions.receive(
            caller_of(request.scope),
            return_id,
            action=data.action,
            at=data.occurred_at,
            lines=schemas.came(data.lines),
        )
        return _view(returns, known)

    @post(f"{_ONE}/dispositions", status_code=202, opt=_WRITE, operation_id="disposeReturn")
    async def dispose_return(
        request: Request[Any, Any, Any], return_id: FromPath[str], data: JSONBody[schemas.DispositionInput]
    ) -> schemas.ReturnView:
        """Have a received quantity put where it belongs, by who holds the goods; its movement makes it."""
        known = await returns.dispositions.ask(caller_of(request.scope), return_id, schemas.disposition_of(data))
        return _view(returns, known)

    return [receive_return, dispose_return]


def _mending(returns: Returns) -> list[HTTPRouteHandler]:
    disposition, credit = f"{_ROOT}/dispositions/{{disposition_id:str}}", f"{_ROOT}/credits/{{credit_id:str}}"

    @post(f"{disposition}/retry", status_code=200, opt=_WRITE, operation_id="retryDisposition")
    async def retry_disposition(request: Request[Any, Any, Any], disposition_id: FromPath[str]) -> schemas.ReturnView:
        """Ask again for a disposition that was refused."""
        return _view(returns, await returns.dispositions.retry(caller_of(request.scope), disposition_id))

    @post(f"{disposition}/withdrawal", status_code=200, opt=_WRITE, operation_id="withdrawDisposition")
    async def withdraw_disposition(
        request: Request[Any, Any, Any], disposition_id: FromPath[str], data: JSONBody[schemas.ReturnReasonInput]
    ) -> schemas.ReturnView:
        """Ask no more for a disposition that was refused."""
        caller = caller_of(request.scope)
        return _view(returns, await returns.dispositions.withdraw(caller, disposition_id, reason=data.reason))

    @post(f"{credit}/retry", status_code=200, opt=_WRITE, operation_id="retryCredit")
    async def retry_credit(request: Request[Any, Any, Any], credit_id: FromPath[str]) -> schemas.ReturnView:
        """Ask the ERP again for a credit note that it refused."""
        return _view(returns, await returns.credits.retry(caller_of(request.scope), credit_id))

    @post(f"{credit}/settlement", status_code=200, opt=_APPROVE, operation_id="settleCredit")
    async def settle_credit(
        request: Request[Any, Any, Any], credit_id: FromPath[str], data: JSONBody[schemas.CreditNumberInput]
    ) -> schemas.ReturnView:
        """Say that a person issued the credit note, and under which number."""
        return _view(returns, await returns.credits.settle(caller_of(request.scope), credit_id, number=data.number))

    return [retry_disposition, withdraw_disposition, retry_credit, settle_credit]


def _view(returns: Returns, known: Return) -> schemas.ReturnView:
    return schemas.return_view(known, returns.needs(known))


def _lines(body: schemas.ReturnInput) -> int:
    return len(body.lines) // 10
