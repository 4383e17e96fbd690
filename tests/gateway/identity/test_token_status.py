import pytest

from gateway.identity.authorization_server import answer_token_request
from gateway.identity.clients import add_client, disable_client
from gateway.identity.grants import ClientKind
from gateway.identity.identity import Identity
from gateway.identity.partners import add_partner
from gateway.identity.token_status import introspect, revoke
from gateway.kernel.clock import SystemClock

from .conftest import OPTIONS, RING
from .test_authorization_server import basic, form
from .test_revocation import outcome, until

pytestmark = pytest.mark.integration


@pytest.fixture
async def clients(store, partner):
    """One client of each kind, and strangers: another partner, and an operator of another tenant."""
    made = {"partner": partner}
    async with store.transaction() as connection:
        for name, tenant, kind in (
            ("application", "acme", ClientKind.APPLICATION),
            ("operator", "acme", ClientKind.OPERATOR),
            ("foreign operator", "other", ClientKind.OPERATOR),
        ):
            made[name] = await add_client(connection, RING, tenant=tenant, name=name, kind=kind, scopes=["a"])
        made["other partner"] = await add_partner(
            connection, RING, tenant="acme", name="Other", channel="web", plan="standard", accounts=["C-9"]
        )
    return made


def credentials(client):
    return basic(client.client_id, client.client_secret)


async def token_of(identity, client):
    return (await answer_token_request(identity, credentials(client), form())).body["access_token"]


async def asked(identity, client, token):
    return (await introspect(identity, credentials(client), f"token={token}".encode())).body


def headers(token):
    return {b"authorization": b"Bearer " + token.encode()}


async def test_an_active_token_is_described(identity, clients):
    token = await token_of(identity, clients["partner"])
    told = await asked(identity, clients["operator"], token)
    assert {**told, "exp": 0, "iat": 0, "jti": ""} == {
        "active": True,
        "scope": "availability:read items:read orders:read orders:write returns:read returns:write",
        "client_id": clients["partner"].client_id,
        "sub": clients["partner"].client_id,
        "token_type": "Bearer",
        "exp": 0,
        "iat": 0,
        "iss": OPTIONS.issuer,
        "aud": OPTIONS.issuer,
        "jti": "",
    }
    assert told["exp"] - told["iat"] == 600


@pytest.mark.parametrize(
    ("asker", "active"),
    [
        ("partner", True),
        ("application", True),
        ("operator", True),
        ("other partner", False),
        ("foreign operator", False),
    ],
)
async def test_who_may_not_ask_about_a_token_hears_that_it_is_not_active(asker, active, identity, clients):
    told = await asked(identity, clients[asker], await token_of(identity, clients["partner"]))
    assert told["active"] is active
    assert active or told == {"active": False}


@pytest.mark.parametrize("token", ["x.y.z", "cdk_live_x", "a" * 4_000, "eyJhbGciOiJub25lIn0.e30."])
async def test_what_is_no_token_of_ours_is_not_active(token, identity, clients):
    assert await asked(identity, clients["operator"], token) == {"active": False}


async def test_the_endpoints_need_a_client_and_a_token(identity, clients):
    for endpoint in (introspect, revoke):
        nobody = await endpoint(identity, None, b"token=x")
        assert (nobody.status, nobody.body["error"]) == (401, "invalid_client")
        assert nobody.headers["www-authenticate"].startswith("Basic")
        bearer = await endpoint(identity, "Bearer x.y.z", b"token=x")
        assert bearer.status == 401
        nothing = await endpoint(identity, credentials(clients["operator"]), b"")
        assert (nothing.status, nothing.body["error"]) == (400, "invalid_request")


async def test_a_token_of_a_disabled_client_is_not_active_at_once(identity, clients, store):
    token = await token_of(identity, clients["partner"])
    async with store.transaction() as connection:
        await disable_client(connection, tenant="acme", client_id=clients["partner"].client_id)
    assert await asked(identity, clients["operator"], token) == {"active": False}


async def test_a_revoked_token_is_refused_here_at_once_and_elsewhere_within_the_bound(identity, clients, store):
    other = Identity(store, RING, OPTIONS, SystemClock())
    await other.open()
    try:
        token, kept = [await token_of(identity, clients["partner"]) for _ in range(2)]
        for verifier in (identity, other):
            assert await outcome(verifier, headers(token)) == await outcome(verifier, headers(kept)) == "accepted"
        for _ in range(2):
            reply = await revoke(identity, credentials(clients["partner"]), f"token={token}".encode())
            assert (reply.status, reply.body) == (200, None)
        assert await outcome(identity, headers(token)) == "token.revoked"
        assert await asked(identity, clients["partner"], token) == {"active": False}
        await until(other, headers(token), "token.revoked", OPTIONS.trust_for)
        for verifier in (identity, other):
            assert verifier._tokens.get(headers(kept)[b"authorization"], SystemClock().monotonic()) is not None
        assert await store.fetchval("select count(*) from store.audit where action = 'token.revoked'") == 1
    finally:
        await other.close()


@pytest.mark.parametrize("asker", ["other partner", "foreign operator"])
async def test_nobody_revokes_a_token_that_is_not_his(asker, identity, clients):
    token = await token_of(identity, clients["partner"])
    reply = await revoke(identity, credentials(clients[asker]), f"token={token}".encode())
    assert reply.status == 200
    assert await outcome(identity, headers(token)) == "accepted"


async def test_an_operator_revokes_a_partners_token(identity, clients):
    token = await token_of(identity, clients["partner"])
    await revoke(identity, credentials(clients["operator"]), f"token={token}&token_type_hint=access_token".encode())
    assert await outcome(identity, headers(token)) == "token.revoked"
