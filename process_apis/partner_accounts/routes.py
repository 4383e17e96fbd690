"""The process API of partner accounts: for onboarding applications and operators."""

from typing import Annotated, Any, Final

from litestar import Request, Response, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from gateway.kernel.entity_tags import entity_tag, expected_version
from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.partner_accounts import schemas
from process_apis.partner_accounts.process import PartnerAdministration

_API: Final[dict[str, Any]] = {"zone": "process", "tenant_aware": True, "api": "partner-accounts", "version": "v1"}
_READ: Final = {**_API, "scopes": ["partners:read"]}
_WRITE: Final = {**_API, "scopes": ["partners:administer"], "cost": 5, "idempotency": Idempotency.OPTIONAL}
_GUARDED: Final = {**_WRITE, "failures": (409, 412, 428)}
_ROOT: Final = "/process/partner-accounts/v1"
_CLIENT: Final = f"{_ROOT}/partners/{{partner_id:str}}/clients/{{client_id:str}}"
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="The ETag you saw.", max_length=40)]
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description="`*`: only if there is none.", max_length=40)
]


def routes(accounts: PartnerAdministration) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [
        *_reading(accounts),
        *_partners(accounts),
        *_standing(accounts),
        *_credentials(accounts),
        *_proofs(accounts),
        *_plans(accounts),
    ]


def _tagged(body: Any, version: int, *, status: int = 200, location: str | None = None) -> Response[Any]:
    headers = {"ETag": entity_tag(version), "Cache-Control": "no-store"}
    if location is not None:
        headers["Location"] = location
    return Response(body, status_code=status, headers=headers)


def _reading(accounts: PartnerAdministration) -> list[HTTPRouteHandler]:
    @get(f"{_ROOT}/partners", operation_id="listPartners", opt={**_READ, "cost": 2})
    async def list_partners(
        request: Request[Any, Any, Any],
        cursor: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> schemas.PartnerPage:
        """List partners, closed ones too."""
        found = await accounts.list_partners(caller_of(request.scope).tenant, after=cursor, limit=limit)
        more = found[-1].partner_id if len(found) == limit else None
        return schemas.PartnerPage(items=[schemas.summary_view(each) for each in found], next_cursor=more)

    @get(f"{_ROOT}/partners/{{partner_id:str}}", operation_id="getPartner", opt=_READ)
    async def get_partner(request: Request[Any, Any, Any], partner_id: FromPath[str]) -> Response[schemas.PartnerView]:
        """Read a partner, its clients and its live keys."""
        account = await accounts.account(caller_of(request.scope).tenant, partner_id)
        return _tagged(schemas.partner_view(account), account.partner.version)

    return [list_partners, get_partner]


def _partners(accounts: PartnerAdministration) -> list[HTTPRouteHandler]:
    @post(f"{_ROOT}/partners", operation_id="addPartner", opt={**_WRITE, "failures": (409,)})
    async def add_partner(
        request: Request[Any, Any, Any], data: JSONBody[schemas.PartnerInput]
    ) -> Response[schemas.PartnerMade]:
        """Add a partner. Its secrets are in this answer and nowhere else."""
        account, made = await accounts.add(caller_of(request.scope), schemas.add_partner(data))
        location = f"{_ROOT}/partners/{made.partner_id}"
        return _tagged(schemas.partner_made(account, made), account.partner.version, status=201, location=location)

    @put(f"{_ROOT}/partners/{{partner_id:str}}", operation_id="changePartner", opt=_GUARDED)
    async def change_partner(
        request: Request[Any, Any, Any],
        partner_id: FromPath[str],
        data: JSONBody[schemas.PartnerChange],
        if_match: IfMatch = None,
    ) -> Response[schemas.PartnerView]:
        """Replace channel, plan and accounts."""
        changed = schemas.change_partner(data)
        account = await accounts.change(caller_of(request.scope), partner_id, changed, expected_version(if_match))
        return _tagged(schemas.partner_view(account), account.partner.version)

    @delete(f"{_ROOT}/partners/{{partner_id:str}}", operation_id="closePartner", opt=_GUARDED)
    async def close_partner(
        request: Request[Any, Any, Any], partner_id: FromPath[str], if_match: IfMatch = None
    ) -> None:
        """Shut a partner out for good."""
        await accounts.close(caller_of(request.scope), partner_id, expected_version(if_match))

    return [add_partner, change_partner, close_partner]


def _standing(accounts: PartnerAdministration) -> list[HTTPRouteHandler]:
    @put(f"{_ROOT}/partners/{{partner_id:str}}/suspension", operation_id="suspendPartner", opt=_GUARDED)
    async def suspend_partner(
        request: Request[Any, Any, Any],
        partner_id: FromPath[str],
        data: JSONBody[schemas.SuspensionInput],
        if_match: IfMatch = None,
    ) -> Response[schemas.PartnerView]:
        """Shut the door to a partner for now. Its accepted orders go on."""
        version = expected_version(if_match)
        account = await accounts.suspend(caller_of(request.scope), partner_id, data.reason, version)
        return _tagged(schemas.partner_view(account), account.partner.version)

    @delete(
        f"{_ROOT}/partners/{{partner_id:str}}/suspension", status_code=200, operation_id="resumePartner", opt=_GUARDED
    )
    async def resume_partner(
        request: Request[Any, Any, Any], partner_id: FromPath[str], if_match: IfMatch = None
    ) -> Response[schemas.PartnerView]:
        """Open the door to a partner again."""
        account = await accounts.resume(caller_of(request.scope), partner_id, expected_version(if_match))
        return _tagged(schemas.partner_view(account), account.partner.version)

    return [suspend_partner, resume_partner]


def _credentials(accounts: PartnerAdministration) -> list[HTTPRouteHandler]:
    @post(f"{_CLIENT}/api-keys", operation_id="addApiKey", opt={**_WRITE, "failures": (409,)})
    async def add_api_key(
        request: Request[Any, Any, Any],
        partner_id: FromPath[str],
        client_id: FromPath[str],
        data: JSONBody[schemas.KeyInput],
    ) -> schemas.KeyMade:
        """Make an API key, beside the one there is or in its place. At most two live."""
        caller = caller_of(request.scope)
        made = await accounts.new_key(caller, partner_id, client_id, data.replace_after_seconds)
        return schemas.KeyMade(api_key=made)

    @delete(f"{_ROOT}/partners/{{partner_id:str}}/api-keys/{{key_id:str}}", operation_id="revokeApiKey", opt=_WRITE)
    async def revoke_api_key(request: Request[Any, Any, Any], partner_id: FromPath[str], key_id: FromPath[str]) -> None:
        """End an API key: every worker refuses it within five seconds."""
        await accounts.revoke_key(caller_of(request.scope), partner_id, key_id)

    @post(f"{_CLIENT}/secrets", operation_id="rotateClientSecret", opt=_WRITE)
    async def rotate_client_secret(
        request: Request[Any, Any, Any],
        partner_id: FromPath[str],
        client_id: FromPath[str],
        data: JSONBody[schemas.SecretInput],
    ) -> schemas.SecretMade:
        """Make a new client secret."""
        caller = caller_of(request.scope)
        made = await accounts.new_secret(caller, partner_id, client_id, data.overlap_seconds)
        return schemas.SecretMade(client_id=made.client_id, client_secret=made.client_secret)

    @put(f"{_CLIENT}/scopes", operation_id="setClientScopes", opt=_WRITE)
    async def set_scopes(
        request: Request[Any, Any, Any],
        partner_id: FromPath[str],
        client_id: FromPath[str],
        data: JSONBody[schemas.ScopesInput],
    ) -> schemas.PartnerView:
        """Say what a client may do. Its present tokens are revoked."""
        account = await accounts.set_scopes(caller_of(request.scope), partner_id, client_id, tuple(data.scopes))
        return schemas.partner_view(account)

    return [add_api_key, revoke_api_key, rotate_client_secret, set_scopes]


def _proofs(accounts: PartnerAdministration) -> list[HTTPRouteHandler]:
    @put(f"{_CLIENT}/keys", operation_id="setClientKeys", opt=_WRITE)
    async def set_keys(
        request: Request[Any, Any, Any],
        partner_id: FromPath[str],
        client_id: FromPath[str],
        data: JSONBody[schemas.KeysInput],
    ) -> schemas.KeysMade:
        """Say with which public keys a client signs its assertions (`private_key_jwt`)."""
        caller = caller_of(request.scope)
        kids = await accounts.set_keys(caller, partner_id, client_id, data.as_jwks(), keep_secrets=data.keep_secrets)
        return schemas.KeysMade(kids=kids)

    @put(f"{_CLIENT}/certificates", status_code=204, operation_id="setClientCertificates", opt=_WRITE)
    async def set_certificates(
        request: Request[Any, Any, Any],
        partner_id: FromPath[str],
        client_id: FromPath[str],
        data: JSONBody[schemas.CertificatesInput],
    ) -> None:
        """Say with which certificates a client proves itself (mutual TLS)."""
        await accounts.set_certificates(
            caller_of(request.scope),
            partner_id,
            client_id,
            names=data.names,
            certificates=data.certificates,
            keep_secrets=data.keep_secrets,
        )

    return [set_keys, set_certificates]


def _plans(accounts: PartnerAdministration) -> list[HTTPRouteHandler]:
    @get(f"{_ROOT}/plans", operation_id="listPlans", opt=_READ)
    async def list_plans(request: Request[Any, Any, Any]) -> schemas.PlanList:
        """List the plans of the record. Those of the settings stand beside them."""
        found = await accounts.list_plans(caller_of(request.scope).tenant)
        return schemas.PlanList(items=[schemas.plan_view(each) for each in found])

    @get(f"{_ROOT}/plans/{{plan_name:str}}", operation_id="getPlan", opt=_READ)
    async def get_plan(request: Request[Any, Any, Any], plan_name: FromPath[str]) -> Response[schemas.PlanView]:
        """Read a plan."""
        plan = await accounts.plan(caller_of(request.scope).tenant, plan_name)
        return _tagged(schemas.plan_view(plan), plan.version)

    @put(f"{_ROOT}/plans/{{plan_name:str}}", operation_id="putPlan", opt=_GUARDED)
    async def put_plan(
        request: Request[Any, Any, Any],
        plan_name: FromPath[str],
        data: JSONBody[schemas.PlanInput],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[schemas.PlanView]:
        """Add a plan (`If-None-Match: *`) or replace the one you saw (`If-Match`)."""
        if if_none_match is not None and (if_none_match.strip() != "*" or if_match is not None):
            raise Rejected("send If-None-Match: * or If-Match with one ETag", code="precondition.required")
        expected = None if if_none_match is not None else expected_version(if_match)
        plan = await accounts.put_plan(
            caller_of(request.scope), plan_name, data.description, data.as_stored(), expected
        )
        return _tagged(schemas.plan_view(plan), plan.version)

    @delete(f"{_ROOT}/plans/{{plan_name:str}}", operation_id="dropPlan", opt=_GUARDED)
    async def drop_plan(request: Request[Any, Any, Any], plan_name: FromPath[str], if_match: IfMatch = None) -> None:
        """Remove a plan that no partner is on."""
        await accounts.drop_plan(caller_of(request.scope), plan_name, expected_version(if_match))

    return [list_plans, get_plan, put_plan, drop_plan]
