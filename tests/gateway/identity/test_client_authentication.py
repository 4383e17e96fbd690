"""Every way a client may prove itself at the token endpoint, and every way that must not do."""

import asyncio
from datetime import timedelta

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from gateway.identity.authorization_server import answer_token_request
from gateway.identity.client_proofs import register_client_certificates, register_client_keys
from gateway.identity.identity import Identity
from gateway.identity.options import ClientCertificates
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import NotFound, Rejected

from .conftest import OPTIONS, RING
from .crypto import ASSERTION_TYPE, Key, certificate, client_cert, from_now, pem, thumbprint
from .test_authorization_server import basic, form

pytestmark = pytest.mark.integration


@pytest.fixture
async def keyed(partner, store):
    """A partner whose client has a registered key, and its secret no more."""
    key = Key("2026-11")
    async with store.transaction() as connection:
        await register_client_keys(connection, tenant="acme", client_id=partner.client_id, jwks={"keys": [key.jwk]})
    return partner.client_id, key


@pytest.fixture
async def behind_proxy(store):
    """Verifiers by what the proxy in front of them promises about client certificates."""
    made = {}
    for believed in ClientCertificates:
        options = msgspec.structs.replace(OPTIONS, client_certificates=believed)
        made[believed.value] = Identity(store, RING, options, SystemClock())
        await made[believed.value].open()
    yield made
    for identity in made.values():
        await identity.close()


async def with_assertion(identity, assertion, **fields):
    asked = form(**{"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **fields})
    return await answer_token_request(identity, None, asked)


async def with_certificate(identity, client_id, made):
    return await answer_token_request(identity, None, form(client_id=client_id), certificate=client_cert(made))


def refused(reply):
    return (reply.status, reply.body["error"]) == (401, "invalid_client")


async def test_a_signed_assertion_gets_a_token(identity, keyed):
    client_id, key = keyed
    for audience in ("https://api.example/oauth2/token", "https://api.example", ["https://api.example"]):
        reply = await with_assertion(identity, key.assertion(client_id, audience))
        assert reply.status == 200
    assert (await with_assertion(identity, key.assertion(client_id), client_id=client_id)).status == 200


async def test_an_assertion_is_good_once_on_all_workers_together(identity, keyed, store):
    client_id, key = keyed
    other = Identity(store, RING, OPTIONS, SystemClock())
    await other.open()
    try:
        assertion = key.assertion(client_id)
        replies = await asyncio.gather(*(with_assertion(one, assertion) for one in (identity, other) * 5))
        assert sorted(reply.status for reply in replies) == [200] + [401] * 9
    finally:
        await other.close()


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "cli_other"},
        {"sub": None},
        {"audience": "https://other.example/oauth2/token"},
        {"audience": ["https://api.example", "https://other.example"]},
        {"audience": None},
        {"exp": None},
        {"exp": timedelta(minutes=-1)},
        {"exp": timedelta(days=1)},
        {"nbf": timedelta(minutes=10)},
        {"iat": timedelta(minutes=10)},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 256},
        {"jti": 7},
        {"header": {"kid": "another"}},
        {"header": {"jku": "https://evil.example/jwks"}},
        {"header": {"crit": ["exp"]}},
        {"header": {"typ": "at+jwt"}},
    ],
    ids=str,
)
async def test_an_assertion_that_is_not_quite_right_is_refused(claims, identity, keyed):
    client_id, key = keyed
    assert refused(await with_assertion(identity, key.assertion(client_id, **from_now(claims))))


async def test_an_assertion_under_another_key_or_algorithm_is_refused(identity, keyed):
    client_id, key = keyed
    claims = jwt.decode(key.assertion(client_id), options={"verify_signature": False})
    rsa = generate_private_key(65537, 2048)
    tries = [
        Key("2026-11").assertion(client_id),
        jwt.encode(claims, rsa, "RS256", headers={"kid": "2026-11"}),
        jwt.encode(claims, b"x" * 32, "HS256", headers={"kid": "2026-11"}),
        jwt.encode(claims, None, "none", headers={"kid": "2026-11"}),
        "not-a-jwt",
        "",
    ]
    for assertion in tries:
        assert refused(await with_assertion(identity, assertion))
    assert refused(await with_assertion(identity, key.assertion(client_id), client_assertion_type="urn:other"))


async def test_one_client_cannot_speak_for_another(identity, keyed):
    client_id, key = keyed
    reply = await with_assertion(identity, key.assertion(client_id), client_id="cli_other")
    assert (reply.status, reply.body["error"]) == (400, "invalid_request")


async def test_registering_keys_ends_the_secret_and_keeps_it_on_purpose(identity, partner, store):
    key = Key()
    async with store.transaction() as connection:
        kids = await register_client_keys(
            connection, tenant="acme", client_id=partner.client_id, jwks={"keys": [key.jwk]}, keep_secrets=True
        )
    assert len(kids[0]) == 43
    credentials = basic(partner.client_id, partner.client_secret)
    assert (await answer_token_request(identity, credentials, form())).status == 200
    assert (await with_assertion(identity, key.assertion(partner.client_id))).status == 200
    async with store.transaction() as connection:
        await register_client_keys(connection, tenant="acme", client_id=partner.client_id, jwks={"keys": [key.jwk]})
    assert refused(await answer_token_request(identity, credentials, form()))


async def test_two_ways_at_once_are_refused(identity, keyed, partner):
    client_id, key = keyed
    both = await answer_token_request(
        identity,
        basic(client_id, partner.client_secret),
        form(client_assertion_type=ASSERTION_TYPE, client_assertion=key.assertion(client_id)),
    )
    assert (both.status, both.body["error"]) == (400, "invalid_request")
    secret = await with_assertion(identity, key.assertion(client_id), client_secret="x")
    assert (secret.status, secret.body["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": "u7k", "e": "AQAB"},
        {**Key().jwk, "d": "AA"},
        {**Key().jwk, "use": "enc"},
        "text",
    ],
    ids=range(7),
)
async def test_a_key_that_is_private_weak_or_broken_is_not_registered(jwk, partner, store):
    with pytest.raises(Rejected) as error:
        async with store.transaction() as connection:
            await register_client_keys(connection, tenant="acme", client_id=partner.client_id, jwks={"keys": [jwk]})
    assert error.value.code == "client.bad_key"


async def test_the_keys_of_another_tenants_client_cannot_be_set(partner, store):
    with pytest.raises(NotFound):
        async with store.transaction() as connection:
            await register_client_keys(
                connection, tenant="other", client_id=partner.client_id, jwks={"keys": [Key().jwk]}
            )


async def register(store, partner, **given):
    async with store.transaction() as connection:
        await register_client_certificates(connection, tenant="acme", client_id=partner.client_id, **given)


async def test_a_verified_certificate_with_a_registered_name_gets_a_token_bound_to_it(behind_proxy, partner, store):
    await register(store, partner, names=["dns:Partner.example"])
    made = certificate()
    reply = await with_certificate(behind_proxy["verified"], partner.client_id, made)
    assert reply.status == 200
    claims = jwt.decode(reply.body["access_token"], options={"verify_signature": False})
    assert claims["cnf"] == {"x5t#S256": thumbprint(made)}
    await register(store, partner, names=["dn:CN=partner.example"])
    assert (await with_certificate(behind_proxy["verified"], partner.client_id, made)).status == 200


async def test_a_name_counts_only_where_the_proxy_verifies_certificates(behind_proxy, partner, store):
    """Anybody can write any name into a certificate of his own."""
    await register(store, partner, names=["dns:partner.example"])
    for believed in ("any", "ignored"):
        assert refused(await with_certificate(behind_proxy[believed], partner.client_id, certificate()))


async def test_a_registered_self_signed_certificate_gets_a_token_and_its_double_does_not(behind_proxy, partner, store):
    made = certificate()
    await register(store, partner, certificates=[pem(made)])
    for believed in ("any", "verified"):
        assert (await with_certificate(behind_proxy[believed], partner.client_id, made)).status == 200
        assert refused(await with_certificate(behind_proxy[believed], partner.client_id, certificate()))
        assert refused(await with_certificate(behind_proxy[believed], "cli_other", made))
    assert refused(await with_certificate(behind_proxy["ignored"], partner.client_id, made))


@pytest.mark.parametrize("given", [{"begins": 1, "days": 2}, {"begins": -2, "days": -1}], ids=["not yet", "expired"])
async def test_a_certificate_out_of_its_time_is_refused(given, behind_proxy, partner, store):
    made = certificate(**given)
    await register(store, partner, certificates=[pem(made)], names=["dns:partner.example"])
    assert refused(await with_certificate(behind_proxy["verified"], partner.client_id, made))


@pytest.mark.parametrize("field", [b"", b"::", b":AAAA:", b"AAAA", b":AAAA:, :AAAA:", b":!:", b"\xff", b":" * 3])
async def test_a_client_cert_that_cannot_be_read_is_refused(field, behind_proxy, partner):
    reply = await answer_token_request(behind_proxy["any"], None, form(client_id=partner.client_id), certificate=field)
    assert refused(reply)


@pytest.mark.parametrize("given", [{"names": ["partner.example"]}, {"names": ["dn:"]}, {"certificates": [b"no"]}])
async def test_a_certificate_that_cannot_be_matched_is_not_registered(given, partner, store):
    with pytest.raises(Rejected) as error:
        await register(store, partner, **given)
    assert error.value.code == "client.bad_certificate"


async def test_a_secret_over_a_connection_with_a_certificate_gets_a_token_bound_to_it(behind_proxy, partner):
    made = certificate()
    reply = await answer_token_request(
        behind_proxy["any"], basic(partner.client_id, partner.client_secret), form(), certificate=client_cert(made)
    )
    claims = jwt.decode(reply.body["access_token"], options={"verify_signature": False})
    assert claims["cnf"] == {"x5t#S256": thumbprint(made)}
