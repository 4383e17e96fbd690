"""Claims for internal applications: reserve, extend, allocate, hand over, release, cancel, read.

Every command bears the caller's own action id and may be repeated; what was done the first time is answered again. What
an accepted order holds is for the process that accepted it: here it may be read and nothing else.
"""

from datetime import timedelta
from typing import Annotated, Any, Protocol, TypedDict

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from gateway.canonical.order import ORDER_PREFIX
from gateway.kernel.context import Caller
from gateway.kernel.errors import NotAllowed
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.availability import claim_schemas as schemas
from process_apis.availability.process import Availability
from process_apis.availability.schemas import claim_view

_ROOT = "/process/availability/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}
_READ = {**_API, "scopes": ["claims:read"], "cost": 1}
_WRITE = {**_API, "scopes": ["claims:write"], "idempotency": Idempotency.OPTIONAL, "failures": (409,)}
_OVERRIDE = "claims:override"
_ACCEPTED = f"{ORDER_PREFIX}_"


def claim_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_making(availability), *_ending(availability), *_dating(availability)]


def _dating(availability: Availability) -> list[HTTPRouteHandler]:
    @post(
        f"{_ROOT}/dated-claims",
        status_code=201,
        opt={**_WRITE, "cost": 2, "body_cost": _lines},
        operation_id="claimAhead",
    )
    async def claim_ahead(
        request: Request[Any, Any, Any], data: JSONBody[schemas.DatedClaimInput]
    ) -> schemas.ClaimedList:
        """Promise an order goods for a date, also such as are still to come: all lines or none."""
        caller = caller_of(request.scope)
        _outside(data.order)
        dated = schemas.dated_request_of(data, caller, action=_action(caller, data.action))
        return schemas.claimed_list(list(await availability.claim_ahead(caller.tenant, dated)))

    @get(f"{_ROOT}/late-claims", opt=_READ, operation_id="listLateClaims")
    async def list_late_claims(
        request: Request[Any, Any, Any],
        cursor: Annotated[str, QueryParameter(max_length=40)] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> schemas.LateClaimList:
        """List promises that no known supply covers by their date: whom to tell, or to find other goods for."""
        rows = await availability.late_claims(caller_of(request.scope).tenant, after=cursor, limit=limit)
        return schemas.late_claim_list(rows, limit)

    return [claim_ahead, list_late_claims]


def _making(availability: Availability) -> list[HTTPRouteHandler]:
    claims = availability.claims

    @get(f"{_ROOT}/claims", opt=_READ, operation_id="listClaims")
    async def list_claims(
        request: Request[Any, Any, Any], order: Annotated[str, QueryParameter(min_length=1, max_length=200)]
    ) -> schemas.ClaimList:
        """Read what an order holds and held; empty for an order that never did."""
        tenant = caller_of(request.scope).tenant
        rows = await availability.claims_of(tenant, order)
        why = await availability.substitutes.chosen(tenant, order) if any(row["kit"] for row in rows) else ()
        return schemas.ClaimList(
            claims=[claim_view(row) for row in rows], substitutions=schemas.substitution_views(why)
        )

    @post(
        f"{_ROOT}/claims",
        status_code=201,
        opt={**_WRITE, "cost": 2, "body_cost": _lines},
        operation_id="reserveStock",
    )
    async def reserve_stock(
        request: Request[Any, Any, Any], data: JSONBody[schemas.ReservationInput]
    ) -> schemas.ClaimedList:
        """Promise stock to an order under the channel's rule: all lines or none, unless `fill` says otherwise."""
        caller = caller_of(request.scope)
        _outside(data.order)
        if data.override_reason is not None and _OVERRIDE not in caller.principal.scopes:
            raise NotAllowed(
                f"promising what the rule keeps back needs the scope {_OVERRIDE}: leave override_reason out",
                code="claim.override_not_allowed",
            )
        request_for = schemas.request_of(data, caller, action=_action(caller, data.action))
        made = await claims.reserve(caller.tenant, request_for)
        late = availability.arrive_late(caller.tenant, request_for, made)
        return schemas.claimed_list(list(made), schemas.lacking_of(request_for, made), late)

    @post(f"{_ROOT}/claim-extensions", status_code=200, opt=_WRITE, operation_id="extendClaims")
    async def extend_claims(
        request: Request[Any, Any, Any], data: JSONBody[schemas.ExtensionInput]
    ) -> schemas.ClaimedList:
        """Let reservations expire later."""
        caller, by = caller_of(request.scope), timedelta(seconds=data.expires_in)
        found = await claims.extend(**_command(caller, data), by=by)
        return schemas.claimed_list(list(found))

    @post(f"{_ROOT}/claim-allocations", status_code=200, opt=_WRITE, operation_id="allocateClaims")
    async def allocate_claims(
        request: Request[Any, Any, Any], data: JSONBody[schemas.AllocationInput]
    ) -> schemas.ClaimedList:
        """Turn reservations into allocations, which do not expire; answers all that the order holds."""
        caller = caller_of(request.scope)
        found = await claims.allocate(**_command(caller, data), handed=data.handed)
        return schemas.claimed_list(list(found))

    return [list_claims, reserve_stock, extend_claims, allocate_claims]


def _ending(availability: Availability) -> list[HTTPRouteHandler]:
    claims = availability.claims

    @post(f"{_ROOT}/claim-transfers", status_code=200, opt=_WRITE, operation_id="transferClaims")
    async def transfer_claims(
        request: Request[Any, Any, Any], data: JSONBody[schemas.TransferInput]
    ) -> schemas.ClaimedList:
        """Hand over what one order holds to another, as from a basket to its order; nobody can come in between."""
        caller = caller_of(request.scope)
        found = await claims.transfer(**_command(caller, data), to=_outside(data.to))
        return schemas.claimed_list(list(found))

    @post(f"{_ROOT}/claim-releases", status_code=200, opt=_WRITE, operation_id="releaseClaims")
    async def release_claims(
        request: Request[Any, Any, Any], data: JSONBody[schemas.ReleaseInput]
    ) -> schemas.ClaimedList:
        """Give back what is open of an order or of some of its lines; answers what was given back."""
        caller = caller_of(request.scope)
        found = await claims.release(**_command(caller, data), lines=data.lines)
        return schemas.claimed_list(list(found))

    @post(f"{_ROOT}/claim-cancellations", status_code=200, opt=_WRITE, operation_id="cancelClaims")
    async def cancel_claims(
        request: Request[Any, Any, Any], data: JSONBody[schemas.CancellationInput]
    ) -> schemas.ClaimedList:
        """Give back everything, and promise this order nothing more: a reservation on its way is refused."""
        caller = caller_of(request.scope)
        found = await claims.cancel(**_command(caller, data))
        return schemas.claimed_list(list(found))

    return [transfer_claims, release_claims, cancel_claims]


class _Command(TypedDict):
    tenant: str
    action: str
    order: str
    correlation_id: str


class _Names(Protocol):
    """What every command names."""

    action: str
    order: str


def _command(caller: Caller, data: _Names) -> _Command:
    return {
        "tenant": caller.tenant,
        "action": _action(caller, data.action),
        "order": _outside(data.order),
        "correlation_id": caller.correlation_id,
    }


def _action(caller: Caller, action: str) -> str:
    """An action id of this caller's own: nobody uses up another's, or a process's."""
    return f"{caller.principal.subject}/{action}"


def _outside(order: str) -> str:
    if order.startswith(_ACCEPTED):
        raise NotAllowed(
            "what an accepted order holds follows the order: change or cancel the order itself, and name what you "
            "reserve for by an id of your own",
            code="claim.accepted_order",
        )
    return order


def _lines(body: schemas.ReservationInput | schemas.DatedClaimInput) -> int:
    return len(body.lines) // 10
