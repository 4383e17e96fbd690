import base64
from urllib.parse import quote, urlencode

import pytest

from gateway.identity.authorization_server import answer_token_request
from gateway.identity.clients import add_client, disable_client, rotate_client_secret
from gateway.identity.grants import ClientKind
from gateway.identity.identity import Identity
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Zone

from .conftest import OPTIONS, RING

pytestmark = pytest.mark.integration


def basic(client_id, secret):
    return "Basic " + base64.b64encode(f"{quote(client_id)}:{quote(secret)}".encode()).decode()


def form(**fields):
    return urlencode({"grant_type": "client_credentials", **fields}).encode()


def bearer(reply):
    return {b"authorization": f"Bearer {reply.body['access_token']}".encode()}


async def test_a_client_gets_a_token_with_basic_credentials(identity, partner):
    reply = await answer_token_request(identity, basic(partner.client_id, partner.client_secret), form())
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert {**reply.body, "access_token": "x"} == {
        "token_type": "Bearer",
        "access_token": "x",
        "expires_in": 600,
        "scope": "availability:read items:read orders:read orders:write returns:read returns:write",
    }
    principal = identity.authenticate(bearer(reply))
    assert (principal.tenant, principal.partner, principal.plan) == ("acme", partner.partner_id, "gold")


async def test_a_client_gets_a_token_with_credentials_in_the_form_and_only_the_scopes_it_asks_for(identity, partner):
    asked = form(client_id=partner.client_id, client_secret=partner.client_secret, scope="orders:read")
    reply = await answer_token_request(identity, None, asked)
    assert reply.body["scope"] == "orders:read"
    assert identity.authenticate(bearer(reply)).scopes == {"orders:read"}


async def test_a_scope_the_client_does_not_have_is_refused(identity, partner):
    asked = form(scope="orders:read system:all")
    reply = await answer_token_request(identity, basic(partner.client_id, partner.client_secret), asked)
    assert (reply.status, reply.body["error"]) == (400, "invalid_scope")


async def test_unknown_client_wrong_secret_and_disabled_client_look_the_same(identity, partner, store):
    answers = [
        await answer_token_request(identity, basic(partner.client_id, "wrong"), form()),
        await answer_token_request(identity, basic("cli_unknown", partner.client_secret), form()),
        await answer_token_request(identity, None, form(client_id="cli_unknown", client_secret="x")),
        await answer_token_request(identity, None, form(client_id=partner.client_id)),
        await answer_token_request(identity, None, form()),
        await answer_token_request(identity, "Basic !!!", form()),
        await answer_token_request(identity, "Basic /////w==", form()),
    ]
    async with store.transaction() as connection:
        await disable_client(connection, tenant="acme", client_id=partner.client_id)
    answers.append(await answer_token_request(identity, basic(partner.client_id, partner.client_secret), form()))
    for answer in answers:
        assert (answer.status, answer.body["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert len({str(answer.body) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_request"),
        (b"grant_type=password&username=u&password=p", "unsupported_grant_type"),
        (b"grant_type=%22%5C", "invalid_request"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (b"grant_type=client_credentials&scope=%ff", "invalid_request"),
        (b"\xff\xfe", "invalid_request"),
        (b'{"grant_type": "client_credentials"}', "invalid_request"),
        (b"&".join(b"a%d=1" % n for n in range(50)), "invalid_request"),
        (b"grant_type=client_credentials&scope=" + b"x" * 9000, "invalid_request"),
    ],
)
async def test_a_broken_request_is_answered_in_the_words_of_rfc_6749(body, error, identity, partner):
    reply = await answer_token_request(identity, basic(partner.client_id, partner.client_secret), body)
    assert (reply.status, reply.body["error"]) == (400, error)


async def test_two_ways_of_authenticating_at_once_are_refused(identity, partner):
    asked = form(client_id=partner.client_id, client_secret=partner.client_secret)
    reply = await answer_token_request(identity, basic(partner.client_id, partner.client_secret), asked)
    assert (reply.status, reply.body["error"]) == (400, "invalid_request")


async def test_both_secrets_work_while_they_overlap(identity, partner, store):
    async with store.transaction() as connection:
        new = await rotate_client_secret(connection, RING, tenant="acme", client_id=partner.client_id, overlap=60)
    for secret in (partner.client_secret, new.client_secret):
        assert (await answer_token_request(identity, basic(partner.client_id, secret), form())).status == 200
    async with store.transaction() as connection:
        await rotate_client_secret(connection, RING, tenant="acme", client_id=partner.client_id, overlap=0)
    for secret in (partner.client_secret, new.client_secret):
        assert (await answer_token_request(identity, basic(partner.client_id, secret), form())).status == 401


async def test_applications_and_operators_open_their_own_zones(identity, store):
    for kind, zones in (
        (ClientKind.APPLICATION, {Zone.PROCESS}),
        (ClientKind.OPERATOR, {Zone.PROCESS, Zone.SYSTEM}),
    ):
        async with store.transaction() as connection:
            made = await add_client(connection, RING, tenant="acme", name=kind, kind=kind, scopes=["a"])
        reply = await answer_token_request(identity, basic(made.client_id, made.client_secret), form())
        assert identity.authenticate(bearer(reply)).zones == zones
        assert made.client_secret not in repr(made)


async def test_a_token_of_one_worker_is_accepted_by_another(identity, partner, store):
    reply = await answer_token_request(identity, basic(partner.client_id, partner.client_secret), form())
    other = Identity(store, RING, OPTIONS, SystemClock())
    await other.open()
    try:
        assert other.authenticate(bearer(reply)).partner == partner.partner_id
    finally:
        await other.close()
