"""Token forms that must never open a door: each 401 or 400, and nobody asked anything for them."""

import base64
import json
from datetime import timedelta

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.identity.federated_issuer import FederatedGrant, FederatedIssuer
from gateway.identity.grants import ClientKind
from gateway.kernel.context import Zone
from gateway.kernel.errors import Invalid, NotAuthenticated
from gateway.kernel.exchange import Exchange, Route
from policies.authenticate.policy import Authenticate

from .conftest import OPTIONS, bearer
from .crypto import from_now

EVIL = "https://evil.example/keys"
REFUSED = (NotAuthenticated, Invalid)


class NoWayOut:
    """Fails the test when anything is to be fetched."""

    def session(self, name, base_url, limits=None):
        raise AssertionError(f"{name} would ask {base_url}")


OUTSIDE = FederatedIssuer(
    name="idp",
    issuer="https://idp.example",
    audience="https://api.example",
    grants=(FederatedGrant(when={"client_id": "cli_1"}, tenant="acme", kind=ClientKind.OPERATOR),),
)


@pytest.fixture
def door(make_identity):
    """The policy on a verifier that also trusts an outside issuer, and no way to ask it."""
    identity = make_identity(options=msgspec.structs.replace(OPTIONS, issuers=(OUTSIDE,)), outbound=NoWayOut())
    identity._cold_interval = 0.0
    policy = Authenticate(identity)

    def ask(headers, query=b""):
        made = Exchange({"method": "GET", "path": "/x", "headers": [], "query_string": query}, None, 0.0)
        made.route = Route(id="GET /x", method="GET", template="/x", api="a", version="v1", zone=Zone.EXPERIENCE)
        made.request_id = made.correlation_id = "r"
        made.path, made.headers = "/x", headers
        return policy.admit(made)

    return ask


def segment(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


async def settled(found):
    if found is not None:
        await found


async def refused(door, headers, query=b""):
    with pytest.raises(REFUSED) as error:
        await settled(door(headers, query))
    assert "evil" not in error.value.detail


def test_the_form_that_is_right_opens(door, make_token):
    assert door(bearer(make_token())) is None


@pytest.mark.parametrize("issuer", ["https://api.example", "https://idp.example"])
@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "hs256", "RS256 ", None, 5, ["RS256"]]
)
@pytest.mark.parametrize("signature", [b"", b"AAAA"])
async def test_no_other_algorithm(door, make_token, issuer, algorithm, signature):
    header = {"alg": algorithm, "kid": "k1", "typ": "at+jwt"}
    token = b".".join((segment(header), segment({**claims_of(make_token()), "iss": issuer}), signature))
    await refused(door, bearer(token))


@pytest.mark.parametrize("form", [Encoding.PEM, Encoding.DER])
async def test_our_public_key_is_no_shared_secret(door, make_token, private_key, form):
    secret = private_key.public_key().public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    unsigned = segment({"alg": "HS256", "kid": "k1", "typ": "at+jwt"}) + b"." + segment(claims_of(make_token()))
    signer = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    await refused(door, bearer(unsigned + b"." + segment(signer.sign(unsigned, secret))))


NAMES_A_KEY = {
    "jku": EVIL,
    "x5u": EVIL,
    "x5c": ["AAAA"],
    "jwk": {"kty": "oct", "k": "AA"},
    "crit": ["exp"],
    "zip": "DEF",
}


@pytest.mark.parametrize("issuer", ["https://api.example", "https://idp.example"])
@pytest.mark.parametrize("name", NAMES_A_KEY)
async def test_a_header_that_brings_a_key_is_refused_and_nothing_is_fetched(door, make_token, name, issuer):
    claims = {**claims_of(make_token()), "iss": issuer}
    header = {"alg": "RS256", "kid": "k1", "typ": "at+jwt", name: NAMES_A_KEY[name]}
    token = b".".join((segment(header), segment(claims), b"AAAA"))
    await refused(door, bearer(token))


CLAIMS = {
    "aud": ["https://evil.example", None, 5, [], ["x"]],
    "iss": ["https://evil.example", "https://api.example/", "HTTPS://API.EXAMPLE", None, ""],
    "exp": [None, timedelta(minutes=-1), "never", -1, 0],
    "nbf": [None, timedelta(minutes=10), "x"],
    "iat": [None, timedelta(minutes=10), "x"],
    "sub": [None, 5],
    "jti": [None],
    "client_id": [None],
    "crossdock": [None, {}, {"tenant": "acme"}, {"tenant": "acme", "kind": "root"}, "x"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in CLAIMS.items() for value in values], ids=str
)
async def test_claims_that_do_not_hold(door, make_token, name, value):
    await refused(door, bearer(make_token(**from_now({name: value}))))


@pytest.mark.parametrize("typ", ["JWT", "at+jwt2", "", None, 5, "dpop+jwt", "application/at+jws"])
async def test_another_type(door, make_token, typ):
    await refused(door, bearer(make_token(header={"typ": typ})))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
async def test_a_token_that_was_touched_anywhere_is_refused(door, make_token, data):
    token = bytearray(make_token(jti="touched"))
    where = data.draw(st.integers(0, len(token) - 2))  # the last character holds bits that mean nothing
    token[where] = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[where]))
    await refused(door, bearer(bytes(token)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    garbage=st.one_of(
        st.binary(max_size=300),
        st.lists(st.binary(max_size=40), max_size=6).map(lambda parts: b".".join(map(segment, parts))),
    )
)
async def test_garbage_is_refused(door, garbage):
    await refused(door, bearer(garbage))


@pytest.mark.parametrize("size", [8_193, 100_000])
async def test_an_oversize_token_is_refused(door, make_token, size):
    await refused(door, bearer(make_token(padding="x" * size)))


async def test_two_credentials_or_one_in_the_wrong_place_are_refused(door, make_token):
    token = make_token()
    await refused(door, {**bearer(token), b"x-api-key": b"cdk_live_x"})
    await refused(door, bearer(token), b"access_token=" + token)
    await refused(door, {}, b"access_token=" + token)
    await refused(door, bearer(token + b", Bearer " + token))
    await refused(door, bearer(token + b" " + token))
    await refused(door, {b"authorization": b"Basic " + token})
    await refused(door, {b"authorization": token})
