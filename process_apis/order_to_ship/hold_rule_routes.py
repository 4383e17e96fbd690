"""Rules that hold or refuse orders, for internal applications: read what holds and what held, make a new version."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.order_to_ship import hold_rule_schemas as schemas
from process_apis.order_to_ship.process import OrderToShip

_ROOT = "/process/order-to-ship/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "order-to-ship", "version": "v1"}
_READ = {**_API, "scopes": ["rules:read"], "cost": 1}
_PREVIEW = {**_READ, "cost": 20}
_WRITE = {**_API, "scopes": ["rules:write"], "cost": 5, "idempotency": Idempotency.OPTIONAL, "failures": (409,)}


def hold_rule_routes(orders: OrderToShip) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(f"{_ROOT}/hold-rules", opt=_READ, operation_id="listHoldRules")
    async def list_rules(request: Request[Any, Any, Any]) -> schemas.HoldRuleList:
        """Read what holds or refuses orders now, inactive rules too, and what is to come."""
        return schemas.HoldRuleList(
            rules=schemas.rule_views(await orders.hold_rules.known(caller_of(request.scope).tenant))
        )

    @get(f"{_ROOT}/hold-rule-versions", opt=_READ, operation_id="listHoldRuleVersions")
    async def list_versions(
        request: Request[Any, Any, Any],
        name: Annotated[str, QueryParameter(min_length=1, max_length=100)],
        before: Annotated[int | None, QueryParameter(ge=1, le=2**53)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.HoldRuleVersions:
        """Read the versions of one rule, the latest first: past, in force and to come."""
        found = await orders.hold_rules.versions(caller_of(request.scope).tenant, name, before=before, limit=limit)
        return schemas.HoldRuleVersions(
            versions=schemas.rule_views(found), next_before=found[-1].version if len(found) == limit else None
        )

    @post(f"{_ROOT}/hold-rules", status_code=201, opt=_WRITE, operation_id="changeHoldRule")
    async def change_rule(
        request: Request[Any, Any, Any], data: JSONBody[schemas.HoldRuleInput]
    ) -> schemas.HoldRuleView:
        """Make a new version of a rule. Every worker keeps to it within a second of its beginning."""
        return schemas.rule_view(await orders.hold_rules.change(caller_of(request.scope), schemas.change_of(data)))

    @post(f"{_ROOT}/hold-rule-previews", status_code=200, opt=_PREVIEW, operation_id="previewHoldRule")
    async def preview_rule(
        request: Request[Any, Any, Any], data: JSONBody[schemas.HoldRulePreviewInput]
    ) -> schemas.HoldRulePreview:
        """Tell what a rule would have held or refused of the orders placed last. Nothing is written.

        Orders are judged as they are now, with their customers and items of today, beside the other orders of their
        account as these stood when they were placed.
        """
        asked = schemas.change_of(data.rule)
        found = await orders.hold_previews.preview(caller_of(request.scope), asked, last=data.last)
        return schemas.preview_view(found)

    return [list_rules, list_versions, change_rule, preview_rule]
