"""The storefront's operations on returns, version 2: a handler is one process call and one mapping call."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from litestar import Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter

from experience_apis.storefront.v2 import return_mapping, return_schemas, schemas
from experience_apis.storefront.v2.parameters import API, CURSOR
from gateway.kernel.cursors import Cursors
from gateway.kernel.errors import Conflict, Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.returns.models import ReturnState
from process_apis.returns.process import Returns

_ROOT: Final = "/storefront/v2/returns"
_ONE: Final = f"{_ROOT}/{{return_id:str}}"
_RETURN_ID: Final = PathParameter(
    description="A return's id, from the answer that took it or a list.", max_length=30, pattern=schemas.RETURN_ID
)
_OF_RETURN: Final = {"return_id": "$response.body#/id"}
_OF_LISTED: Final = {"return_id": "$response.body#/items/0/id"}
_EXAMPLE: Final[Mapping[str, Any]] = {
    "reference": "RMA-2026-0017",
    "order_id": "ord_01kaj7q5wzf8m0e3r6t9y2b4c7",
    "lines": [{"line": 1, "quantity": {"amount": "1"}, "reason": "damaged"}],
    "note": "The box was open",
}


def routes(returns: Returns, cursors: Cursors) -> list[HTTPRouteHandler]:
    """Every handler of returns, bound to the process."""
    return [*_asking(returns), *_reading(returns, cursors)]


def _asking(returns: Returns) -> list[HTTPRouteHandler]:
    @post(
        _ROOT,
        operation_id="askReturn",
        tags=["Returns"],
        response_headers=[ResponseHeader(name="Location", description="Where the return can be read.", value="")],
        opt={
            **API,
            "scopes": ["returns:write"],
            "cost": 2,
            "body_cost": _return_cost,
            "idempotency": Idempotency.REQUIRED,
            "idempotency_retention": 7 * 86_400,
            "failures": [404],
            "example": _EXAMPLE,
            "links": {"getReturn": _OF_RETURN, "cancelReturn": _OF_RETURN},
        },
    )
    async def ask_return(
        request: Request[Any, Any, Any], data: JSONBody[return_schemas.ReturnInput]
    ) -> Response[return_schemas.ReturnView]:
        """Ask to send goods of one of your orders back.

        Within what we agreed on it is `authorised` at once, later than that it is `requested` and somebody decides.
        409 when it cannot come back so: an unknown line, unit or reason, or more than was shipped and is not on its
        way back already; `code` and `errors` say which.
        """
        caller, command = caller_of(request.scope), return_mapping.ask_return(data)
        try:
            known = await returns.authorisations.ask(caller, command, partner=caller.principal.partner or "")
        except (Conflict, Rejected) as refused:
            raise return_mapping.refusal(refused) from refused
        view = return_mapping.return_view(known)
        return Response(view, status_code=201, headers={"Location": f"{_ROOT}/{view.id}"})

    @post(
        f"{_ONE}/cancellation",
        status_code=200,
        operation_id="cancelReturn",
        tags=["Returns"],
        opt={
            **API,
            "scopes": ["returns:write"],
            "idempotency": Idempotency.REQUIRED,
            "example": {"reason": "the buyer keeps it"},
            "links": {"getReturn": _OF_RETURN},
        },
    )
    async def cancel_return(
        request: Request[Any, Any, Any],
        return_id: Annotated[str, _RETURN_ID],
        data: JSONBody[return_schemas.ReturnCancellationInput],
    ) -> return_schemas.ReturnView:
        """Say that nothing comes back after all. 409 when goods have come, or it is over."""
        caller = caller_of(request.scope)
        partner = caller.principal.partner or ""
        known = await returns.authorisations.cancel(caller, return_id, reason=data.reason, partner=partner)
        return return_mapping.return_view(known)

    return [ask_return, cancel_return]


def _reading(returns: Returns, cursors: Cursors) -> list[HTTPRouteHandler]:
    @get(
        _ROOT,
        operation_id="listReturns",
        tags=["Returns"],
        opt={
            **API,
            "scopes": ["returns:read"],
            "cost": 2,
            "links": {"getReturn": _OF_LISTED, "cancelReturn": _OF_LISTED},
        },
    )
    async def list_returns(
        request: Request[Any, Any, Any],
        cursor: Annotated[str | None, CURSOR] = None,
        limit: Annotated[int, QueryParameter(description="How many at most.", ge=1, le=100)] = 50,
        return_state: Annotated[
            ReturnState | None, QueryParameter(name="state", description="Only returns in this state.")
        ] = None,
        order: Annotated[
            str | None,
            QueryParameter(description="Only returns of this order.", max_length=30, pattern=schemas.ORDER_ID),
        ] = None,
    ) -> return_schemas.ReturnPage:
        """List your returns, newest first."""
        caller = caller_of(request.scope)
        scope = f"{caller.tenant}/{caller.principal.partner}/returns"
        found = await returns.listed(
            caller.tenant,
            partner=caller.principal.partner or "",
            state=return_state,
            order=order,
            before=cursors.open(scope, cursor),
            limit=limit,
        )
        more = cursors.seal(scope, found[-1].return_id) if len(found) == limit else None
        return return_schemas.ReturnPage(items=[return_mapping.return_view(known) for known in found], next_cursor=more)

    @get(_ONE, operation_id="getReturn", tags=["Returns"], opt={**API, "scopes": ["returns:read"]})
    async def get_return(
        request: Request[Any, Any, Any], return_id: Annotated[str, _RETURN_ID]
    ) -> return_schemas.ReturnView:
        """Read one of your returns."""
        caller = caller_of(request.scope)
        known = await returns.get(caller.tenant, return_id, partner=caller.principal.partner or "")
        return return_mapping.return_view(known)

    return [list_returns, get_return]


def _return_cost(body: return_schemas.ReturnInput) -> int:
    return len(body.lines) // 10
