"""Rules of channels for internal applications: read what holds and what held, make a new version."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.availability import rule_schemas as schemas
from process_apis.availability.preview_schemas import PreviewInput, PreviewView, preview_view
from process_apis.availability.process import Availability

_ROOT = "/process/availability/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}
_READ = {**_API, "scopes": ["rules:read"], "cost": 1}
_WRITE = {**_API, "scopes": ["rules:write"], "idempotency": Idempotency.OPTIONAL, "failures": (409,)}


def rule_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    rules = availability.rules

    @get(f"{_ROOT}/channel-rules", opt=_READ, operation_id="listChannelRules")
    async def list_rules(
        request: Request[Any, Any, Any],
        cursor: Annotated[str | None, QueryParameter(max_length=100)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.RulePage:
        """Read the version in force of every channel that has a rule; a channel without one may sell everything."""
        found = await rules.in_force(caller_of(request.scope).tenant, after=cursor, limit=limit)
        return schemas.RulePage(
            rules=[schemas.rule_view(each) for each in found],
            next_cursor=found[-1].channel if len(found) == limit else None,
        )

    @get(f"{_ROOT}/channel-rule-versions", opt=_READ, operation_id="listChannelRuleVersions")
    async def list_versions(
        request: Request[Any, Any, Any],
        channel: Annotated[str, QueryParameter(min_length=1, max_length=100)],
        before: Annotated[int | None, QueryParameter(ge=1, le=2**53)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.RuleVersionPage:
        """Read the versions of one channel's rule, the latest first: past, in force and to come."""
        tenant = caller_of(request.scope).tenant
        found = await rules.versions(tenant, channel, before=before, limit=limit)
        return schemas.RuleVersionPage(
            versions=[schemas.rule_view(each) for each in found],
            next_before=found[-1].version if len(found) == limit else None,
        )

    @post(
        f"{_ROOT}/channel-rules",
        status_code=201,
        opt={**_WRITE, "cost": 5},
        operation_id="changeChannelRule",
    )
    async def change_rule(request: Request[Any, Any, Any], data: JSONBody[schemas.RuleInput]) -> schemas.RuleView:
        """Make a new version of a channel's rule. Claims keep to it from that instant on, answers within a second."""
        caller = caller_of(request.scope)
        return schemas.rule_view(await availability.change_rule(caller.tenant, schemas.change_of(data, caller)))

    @post(
        f"{_ROOT}/channel-rule-previews",
        status_code=200,
        opt={**_READ, "cost": 50, "idempotency": Idempotency.OPTIONAL},
        operation_id="previewChannelRule",
    )
    async def preview_rule(request: Request[Any, Any, Any], data: JSONBody[PreviewInput]) -> PreviewView:
        """Try terms without setting them: which figures change, of this channel and of those it keeps stock from."""
        tenant, terms = caller_of(request.scope).tenant, schemas.terms_of(data.terms)
        await rules.check(tenant, terms)
        found = await availability.previewer.preview(
            tenant, data.channel, terms, at=data.at, offset=data.offset, limit=data.limit
        )
        return preview_view(data.channel, found)

    return [list_rules, list_versions, change_rule, preview_rule]
