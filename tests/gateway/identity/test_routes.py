"""The token endpoint and everything behind a credential, through the real door with the real policies."""

import json
from urllib.parse import urlencode

import pytest
from litestar import Response, post

from gateway.cache.valkey import Cache
from gateway.edge.front_door import FrontDoor
from gateway.edge.litestar_app import make_litestar
from gateway.identity.identity import Identity
from gateway.identity.routes import make_routes
from gateway.kernel.clock import SystemClock
from policies.authenticate.policy import Authenticate
from policies.authorise.options import AuthoriseOptions
from policies.authorise.policy import Authorise
from policies.canonical_request.policy import CanonicalRequest
from policies.idempotency.policy import IdempotencyPolicy
from policies.message_hygiene.policy import MessageHygiene
from policies.rate_limit.options import Limit, PlanLimits, RateLimitOptions
from policies.rate_limit.policy import LineCost, PreAuthenticationLimit, RateLimit
from policies.trace.policy import Trace
from policies.validate_request.policy import ValidateRequest
from policies.validate_response.policy import ValidateResponse
from policies.version.policy import Version

from .conftest import OPTIONS, RING

pytestmark = pytest.mark.integration
ORDERS = {"zone": "experience", "api": "shop", "version": "v1", "idempotency": "required", "body": True}


class Answer:
    def __init__(self, messages):
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.json = json.loads(b"".join(message.get("body", b"") for message in messages[1:]))


@pytest.fixture
async def door(store, valkey_url):
    clock, cache = SystemClock(), Cache(valkey_url, timeout=30.0)
    await cache.open()
    identity = Identity(store, RING, OPTIONS, clock)
    await identity.open()
    executed = []

    @post("/shop/v1/orders", opt={**ORDERS, "scopes": ["orders:write"]})
    async def place() -> Response[bytes]:
        executed.append(1)
        return Response(b'{"id": %d}' % len(executed), media_type="application/json", status_code=201)

    @post("/shop/v1/secrets", opt={**ORDERS, "scopes": ["secrets:write"]})
    async def secrets() -> None:
        return None

    @post("/process/v1/orders", opt={**ORDERS, "zone": "process"})
    async def process() -> None:
        return None

    router, table = make_litestar([place, secrets, process, *make_routes(identity)])
    limits = RateLimitOptions(plans={"standard": PlanLimits(default=Limit(rate="60/hour", burst=20))})
    rate_limit = RateLimit(cache, clock, limits)
    address = PreAuthenticationLimit(cache, clock, limits)
    chain = [
        CanonicalRequest(),
        MessageHygiene(),
        Trace(),
        address,
        Version(table, clock),
        Authenticate(identity),
        Authorise(AuthoriseOptions(tenant="acme")),
        rate_limit,
        IdempotencyPolicy(store, RING),
        ValidateRequest(),
        LineCost(rate_limit),
        ValidateResponse(),
    ]
    front = FrontDoor(router, table, chain, clock)

    async def send(method, path, *, body=None, **headers):
        fields = [(b"host", b"api.example")]
        fields += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if body is not None:
            fields.append((b"content-length", b"%d" % len(body)))
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": fields,
            "client": ("192.0.2.7", 4711),
            "server": ("127.0.0.1", 80),
            "extensions": {},
        }
        messages = []

        async def receive():
            return {"type": "http.request", "body": body or b"", "more_body": False}

        async def collect(message):
            messages.append(message)

        await front(scope, receive, collect)
        return Answer(messages)

    yield send
    await rate_limit.limiter.close()
    await address.limiter.close()
    await identity.close()
    await cache.close()


async def token(door, partner, **fields):
    given = {"grant_type": "client_credentials", "client_id": partner.client_id, "client_secret": partner.client_secret}
    return await door(
        "POST",
        "/oauth2/token",
        body=urlencode({**given, **fields}).encode(),
        content_type="application/x-www-form-urlencoded",
    )


async def test_a_partner_gets_a_token_and_orders_once_although_it_asks_twice(door, partner):
    got = await token(door, partner)
    assert got.status == 200
    assert got.headers["cache-control"] == "no-store"
    given = {
        "authorization": f"Bearer {got.json['access_token']}",
        "content_type": "application/json",
        "idempotency_key": '"one"',
        "body": b"{}",
    }
    first = await door("POST", "/shop/v1/orders", **given)
    again = await door("POST", "/shop/v1/orders", **{**given, "idempotency_key": "one"})
    assert (first.status, first.json) == (again.status, again.json) == (201, {"id": 1})
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["ratelimit"].startswith('"burst";r=18;')
    by_key = await door(
        "POST", "/shop/v1/orders", x_api_key=partner.api_key, content_type="application/json",
        idempotency_key="two", body=b"{}",
    )  # fmt: skip
    assert by_key.json == {"id": 2}


async def test_refusals_are_problems_with_their_challenge(door, partner):
    common = {"content_type": "application/json", "idempotency_key": "k", "body": b"{}"}
    nobody = await door("POST", "/shop/v1/orders", **common)
    assert (nobody.status, nobody.json["code"]) == (401, "credential.missing")
    assert nobody.headers["www-authenticate"] == 'Bearer realm="crossdock"'
    wrong = await door("POST", "/shop/v1/orders", authorization="Bearer x.y.z", **common)
    assert (wrong.status, wrong.json["code"]) == (401, "token.malformed")
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    both = await door("POST", "/shop/v1/orders", authorization="Bearer x", x_api_key=partner.api_key, **common)
    assert (both.status, both.json["code"]) == (400, "credential.multiple")
    scope = await door("POST", "/shop/v1/secrets", x_api_key=partner.api_key, **common)
    assert (scope.status, scope.json["code"]) == (403, "authorise.scope")
    assert 'error="insufficient_scope"' in scope.headers["www-authenticate"]
    zone = await door("POST", "/process/v1/orders", x_api_key=partner.api_key, **common)
    assert (zone.status, zone.json["code"]) == (403, "authorise.zone")
    for answer in (nobody, wrong, both, scope, zone):
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_quota_that_is_used_up_is_429_with_the_time_to_wait(door, partner):
    given = {"x_api_key": partner.api_key, "content_type": "application/json", "body": b"{}"}
    answers = [await door("POST", "/shop/v1/orders", **given) for _ in range(22)]
    assert [answer.status for answer in answers] == [400] * 20 + [429] * 2
    last = answers[-1]
    assert last.json["code"] == "rate_limit.exceeded"
    assert 0 < int(last.headers["retry-after"]) <= 60
    assert last.headers["ratelimit-policy"] == '"burst";q=20;w=1200, "rate";q=60;w=3600'
    assert answers[0].json["code"] == "idempotency_key.missing"


async def test_errors_of_the_token_endpoint_are_those_of_rfc_6749(door, partner):
    refused = await token(door, partner, client_secret="wrong")
    assert (refused.status, refused.json["error"]) == (401, "invalid_client")
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert (await token(door, partner, grant_type="password")).json["error"] == "unsupported_grant_type"
    wrong_type = await door("POST", "/oauth2/token", body=b"{}", content_type="application/json")
    assert wrong_type.status == 415


async def test_metadata_and_keys_are_public(door):
    metadata = await door("GET", "/.well-known/oauth-authorization-server")
    assert metadata.json["issuer"] == OPTIONS.issuer
    assert metadata.json["token_endpoint"] == f"{OPTIONS.issuer}/oauth2/token"
    keys = await door("GET", "/.well-known/jwks.json")
    assert {key["alg"] for key in keys.json["keys"]} == {"RS256"}
    assert len(keys.json["keys"]) == 2
