"""Nobody reads, lists, changes, cancels or infers what another partner or another tenant has: every operation there is.

Each operation of each published contract is asked for by everybody who must not have it. What a stranger is told about
things of the first partner is compared with what it is told about things that nobody ever had: but for the ids
themselves, there is no difference. An operation, a public route or an input that nobody has classified fails.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from isolation_world import ALL_SCOPES, DRAWN, OWNED, PARTNER, WHOLE_TENANT, World, make_world
from operations import Operation, all_operations
from running_gateway import IMPATIENT, RunningGateway

from gateway.app import Core, Gateway
from gateway.settings import load_settings

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

OPERATIONS = {operation.route: operation for operation in all_operations()}
OF_PARTNERS = {route: each for route, each in OPERATIONS.items() if each.zone == "experience"}
OF_TENANTS = {route: each for route, each in OPERATIONS.items() if each.zone in ("experience", "process")}
# What needs no credential of ours, and what stands in its place.
PUBLIC = {
    "GET /livez": "tells nothing",
    "GET /readyz": "tells nothing of anybody",
    "POST /oauth2/token": "the client's own secret, key or certificate",
    "POST /oauth2/introspect": "the same; about a token of another's it is told that it is not active",
    "POST /oauth2/revoke": "the same; a token of another's stays in force",
    "GET /.well-known/oauth-authorization-server": "metadata",
    "GET /.well-known/oauth-protected-resource": "metadata",
    "GET /.well-known/jwks.json": "public keys",
    "GET /.well-known/api-catalog": "what is published",
    "POST /webhooks/v1/{instance}": "the vendor's signature",
}
_NEW = (
    re.compile(r"\b(?:[a-z]{2,8}_)[0-9a-hjkmnp-tv-z]{26}\b"),  # ids
    re.compile(r"\breq_[0-9a-f]{32}\b"),
    re.compile(r"\d{4}-\d{2}-\d{2}T[0-9:.]+(?:Z|\+00:00)"),
    re.compile(r"\b(?:cdk_live|cds|whsec)_[^\"]+"),
    re.compile(r"(?<=\")[a-z2-7]{16}(?=\")"),  # the visible part of an API key
)
_VOLATILE = {"date", "x-request-id", "ratelimit", "content-length"}


@pytest.fixture(scope="module")
async def world(gateway: RunningGateway) -> World:
    return await make_world(gateway)


@pytest.fixture(scope="module")
async def client(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, limits=IMPATIENT, trust_env=False, timeout=30) as client:
        yield client


async def ask(client: httpx.AsyncClient, request: httpx.Request, key: str | None) -> httpx.Response:
    """Send `request` at the gateway with `key`; None for nobody's, with a console's cookie beside it."""
    credential = {"Cookie": "crossdock_session=aaaa"} if key is None else {"X-Api-Key": key}
    return await client.request(
        request.method,
        str(client.base_url.join(request.url.raw_path.decode())),
        headers={name: value for name, value in request.headers.items() if name != "host"} | credential,
        content=request.content,
    )


def test_every_route_is_in_a_contract_or_public_for_a_reason(gateway: RunningGateway):
    routes = Gateway(Core(load_settings(gateway.settings_path))).routes.routes
    public = {route.id for route in routes if route.zone is None and not route.template.startswith("/apis")}
    assert public == set(PUBLIC)
    assert {route.id for route in routes if route.zone is not None} == set(OPERATIONS)
    aware = {route.id for route in routes if route.tenant_aware}
    assert aware == set(OF_TENANTS), "a route of a system is not tenant-aware; what is, is walked over here"
    assert {scope for route in routes for scope in route.scopes} <= set(ALL_SCOPES), (
        "give the world's callers this scope"
    )


@pytest.mark.parametrize("route", OPERATIONS)
async def test_a_credential_of_another_zone_or_without_the_scope_opens_nothing(client, world: World, route):
    operation = OPERATIONS[route]
    request = operation.request(world.theirs, body=False)
    told = {}
    for zone, key in world.owners.items():
        opens = zone == operation.zone or (zone, operation.zone) == ("system", "process")
        if not opens:
            answer = await ask(client, request, key)
            told[zone] = answer.status_code, answer.json()["code"]
    assert set(told.values()) == {(403, "authorise.zone")}, told
    for zone in {operation.zone, "system"} - ({"system"} if operation.zone == "experience" else set()):
        answer = await ask(client, request, world.unscoped[zone])
        assert (answer.status_code, answer.json()["code"]) == (403, "authorise.scope")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    answer = await ask(client, request, None)
    assert answer.status_code == 401, "a session of the console opens nothing here"
    assert "www-authenticate" in answer.headers


@pytest.mark.parametrize("route", [route for route, each in OPERATIONS.items() if each.zone == "system"])
async def test_another_tenants_operator_is_told_the_same_of_every_system(client, world: World, route):
    operation = OPERATIONS[route]
    for values in (world.theirs, world.ghost(WHOLE_TENANT)):
        answer = await ask(client, operation.request(values, body=False), world.strangers["system"])
        assert (answer.status_code, answer.json()["code"]) == (403, "authorise.tenant")


@pytest.mark.parametrize("route", OF_PARTNERS)
async def test_another_partner_of_the_tenant_learns_nothing_of_the_first(client, world: World, route):
    await assert_learns_nothing(client, world, OPERATIONS[route], world.peer, PARTNER)


@pytest.mark.parametrize("route", OF_TENANTS)
async def test_another_tenant_learns_nothing_of_the_first(client, world: World, route):
    operation = OPERATIONS[route]
    await assert_learns_nothing(client, world, operation, world.strangers[operation.zone], PARTNER, WHOLE_TENANT)


async def assert_learns_nothing(
    client: httpx.AsyncClient, world: World, operation: Operation, key: str, *levels: str
) -> None:
    """What the stranger is told of the first partner's things is what it is told of things that never were."""
    hidden = {name for name in operation.names("path") if OWNED.get(name) in levels}
    optional = [name for name in sorted(operation.optional()) if OWNED.get(name) in levels]
    for also in (frozenset[str](), *(frozenset({name}) for name in optional)):
        theirs = world.theirs
        if also:  # one identity and one key name one thing: what the first request made is the stranger's own by now
            theirs = {
                **theirs,
                **{
                    name: world.ghost(PARTNER)[name]
                    for name in (
                        "Idempotency-Key",
                        "external_number",
                        "LocationInput.id",
                        "CustomerInput.number",
                        "RuleInput.channel",
                        "SupplierInput.name",
                    )
                },
            }
        real, ghost = values_for(operation, theirs), values_for(operation, world.ghost(*levels))
        requests = [operation.request(values, also=also) for values in (real, ghost)]
        asked = [await ask(client, request, key) for request in requests]
        told = [comparable(*each) for each in zip(asked, requests, (real, ghost), strict=True)]
        assert told[0] == told[1], also
        assert asked[0].status_code < 500, asked[0].text
        assert "idempotent-replayed" not in asked[0].headers
        if hidden:
            assert asked[0].status_code == 404, asked[0].text
        text = asked[1].text + str(asked[1].headers)
        drawn = [name for name in DRAWN if OWNED[name] in levels and name not in also]
        assert [name for name in drawn if str(theirs[name]) in text] == [], "asked without naming any of them"


def values_for(operation: Operation, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Cursors of partners are sealed, those of applications are the last id seen."""
    return values if operation.zone == "experience" else {**values, "cursor": values["order_id"]}


def comparable(
    answer: httpx.Response, request: httpx.Request, values: Mapping[str, Any]
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body without what differs from request to request; what was asked for is one word."""
    sent = unquote(str(request.url)) + str(request.headers.raw) + request.content.decode()
    asked = {str(value) for name, value in values.items() if name in OWNED and str(value) in sent}

    def plain(text: str) -> str:
        for value in sorted(asked, key=len, reverse=True):
            text = text.replace(value, "<asked>")
        for pattern in _NEW:
            text = pattern.sub("<new>", text)
        return text

    headers = {name: plain(value) for name, value in answer.headers.items() if name not in _VOLATILE}
    return answer.status_code, headers, plain(answer.text)


async def test_what_is_compared_is_there_for_its_owner_and_after_all_of_this_as_it_was(client, world: World):
    """Every id is alive (or the comparison says nothing), and what strangers sent changed nothing."""
    seen = {}
    for operation in OF_TENANTS.values():
        if operation.method == "GET" and operation.names("path"):
            answer = await ask(client, operation.request(world.theirs), world.owners[operation.zone])
            assert answer.status_code == 200, (operation.route, answer.text)
            seen[operation.route] = answer
    await everything_by_strangers(client, world)
    for route, before in seen.items():
        operation = OPERATIONS[route]
        after = await ask(client, operation.request(world.theirs), world.owners[operation.zone])
        assert (after.json(), after.headers.get("etag")) == (before.json(), before.headers.get("etag"))
    for zone, path in (("process", "/process/partner-notifications/v1/messages"), ("process", EXCEPTIONS)):
        listed = (await client.get(path, headers={"X-Api-Key": world.owners[zone]})).text
        assert world.theirs["message_id" if path != EXCEPTIONS else "exception_id"] in listed


EXCEPTIONS = "/process/order-to-ship/v1/exceptions"


async def everything_by_strangers(client: httpx.AsyncClient, world: World) -> None:
    for operation in OF_TENANTS.values():
        if operation.method != "GET":
            for key in (world.peer, world.strangers["process"], world.strangers["experience"]):
                await ask(client, operation.request(values_for(operation, world.theirs)), key)


async def test_the_token_of_a_stranger_is_like_no_token_at_introspection_and_revocation(client, gateway):
    def of(partner):
        return (partner.client_id, partner.client_secret)

    granted = await client.post("/oauth2/token", auth=of(gateway.first), data={"grant_type": "client_credentials"})
    token = granted.json()["access_token"]
    for path in ("/oauth2/introspect", "/oauth2/revoke"):
        told = [await client.post(path, auth=of(gateway.second), data={"token": text}) for text in (token, "no-token")]
        assert (told[0].status_code, told[0].content) == (told[1].status_code, told[1].content)
        assert told[0].status_code == 200
    asked = await client.get("/storefront/v1/items", headers={"Authorization": f"Bearer {token}"})
    assert asked.status_code == 200, "it is in force still"
    own = await client.post("/oauth2/introspect", auth=of(gateway.first), data={"token": token})
    assert own.json()["active"] is True
