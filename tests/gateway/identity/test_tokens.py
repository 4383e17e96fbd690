import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.grants import ClientKind, Grant
from gateway.identity.signing_keys import KeySet
from gateway.identity.tokens import issue_token, verify_token
from gateway.kernel.context import Zone
from gateway.kernel.errors import NotAuthenticated

from .conftest import OPTIONS


def unsigned(header, claims):
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    return b".".join((*parts, b""))


def refused(token, key_set):
    with pytest.raises(NotAuthenticated) as error:
        verify_token(token, key_set, OPTIONS)
    assert token.decode("latin-1") not in error.value.detail
    return error.value.code


def test_a_token_of_ours_is_accepted(key_set):
    grant = Grant(tenant="acme", kind=ClientKind.PARTNER, partner="par_1", channel="web", plan="gold", generation=3)
    token = issue_token(key_set.current, OPTIONS, grant, client_id="cli_1", scope="a b").encode()
    verified = verify_token(token, key_set, OPTIONS)
    principal = verified.principal
    assert (principal.tenant, principal.partner, principal.channel, principal.plan) == ("acme", "par_1", "web", "gold")
    assert principal.zones == {Zone.EXPERIENCE}
    assert principal.scopes == {"a", "b"}
    assert (principal.subject, principal.credential) == ("cli_1", "client:cli_1")
    assert verified.generation == 3
    assert time.time() + 300 < principal.expires_at <= time.time() + 600
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": "k1", "typ": "at+jwt"}


@pytest.mark.parametrize(
    ("kind", "zones"),
    [("partner", {"experience"}), ("application", {"process"}), ("operator", {"system", "process"})],
)
def test_zones_follow_from_the_kind_of_client(kind, zones, make_token, key_set):
    token = make_token(crossdock={"tenant": "acme", "kind": kind})
    assert verify_token(token, key_set, OPTIONS).principal.zones == zones


def test_alg_none_is_refused(make_token, key_set):
    claims = jwt.decode(make_token(), options={"verify_signature": False})
    for none in ("none", "None", "nOnE", ""):
        token = unsigned({"alg": none, "kid": "k1", "typ": "at+jwt"}, claims)
        assert refused(token, key_set) in ("token.algorithm", "token.malformed")


def test_the_public_key_as_an_hmac_secret_is_refused(make_token, key_set, private_key):
    pem = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(make_token(), options={"verify_signature": False})
    signing_input = unsigned({"alg": "HS256", "kid": "k1", "typ": "at+jwt"}, claims).rstrip(b".")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signing_input, pem)
    token = signing_input + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
    assert refused(token, key_set) == "token.algorithm"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_another_algorithm_of_the_same_key_is_refused(algorithm, make_token, key_set):
    assert refused(make_token(algorithm=algorithm), key_set) == "token.algorithm"


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}},
        {"crit": ["exp"]},
        {"crit": ["made-up"], "made-up": True},
        {"zip": "DEF"},
    ],
    ids=lambda header: next(iter(header)),
)
def test_headers_that_bring_a_key_or_demand_an_extension_are_refused(header, make_token, key_set):
    assert refused(make_token(header=header), key_set) in ("token.refused_header", "token.malformed")


def test_a_key_brought_along_in_the_header_is_not_used(make_token, key_set):
    attacker = generate_private_key(65537, 2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(attacker.public_key(), as_dict=True)
    assert refused(make_token(key=attacker, header={"jwk": jwk}), key_set) == "token.refused_header"


def test_a_signature_by_another_key_is_refused(make_token, key_set):
    assert refused(make_token(key=generate_private_key(65537, 2048)), key_set) == "token.invalid"


@pytest.mark.parametrize("kid", ["k2", "", "../../etc/passwd", None, 5])
def test_an_unknown_key_id_is_refused(kid, make_token, key_set):
    token = make_token(header={"kid": "k2"})
    if not isinstance(kid, str):
        claims = jwt.decode(token, options={"verify_signature": False})
        token = unsigned({"alg": "RS256", "typ": "at+jwt", "kid": kid}, claims)
    assert refused(token, key_set) in ("token.unknown_key", "token.malformed")


@pytest.mark.parametrize("typ", ["JWT", "id+jwt", "at+jwt2"])
def test_a_jwt_of_another_type_is_refused(typ, make_token, key_set):
    assert refused(make_token(header={"typ": typ}), key_set) == "token.type"


def test_the_long_form_of_the_type_is_accepted(make_token, key_set):
    assert verify_token(make_token(header={"typ": "application/AT+JWT"}), key_set, OPTIONS).client_id == "cli_1"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "https://other.example"},
        {"aud": None},
        {"aud": []},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 32503680000},
        {"nbf": None},
        {"iat": 32503680000},
        {"iat": None},
        {"sub": None},
        {"jti": None},
        {"client_id": None},
        {"crossdock": None},
        {"crossdock": {"tenant": "acme", "kind": "root"}},
        {"crossdock": {"kind": "partner"}},
        {"crossdock": {"tenant": 5, "kind": "partner"}},
    ],
    ids=str,
)
def test_a_missing_or_wrong_claim_is_refused(claims, make_token, key_set):
    assert refused(make_token(**claims), key_set) == "token.invalid"


def test_an_expired_token_is_refused_and_told_so(make_token, key_set):
    assert refused(make_token(exp=int(time.time()) - 6), key_set) == "token.expired"


@pytest.mark.parametrize(
    "change",
    [lambda t: t[:-3] + b"AAA", lambda t: t.replace(b".", b"..", 1), lambda t: t + b"." + t, lambda _: b"x" * 9000],
)
def test_a_damaged_token_is_refused(change, make_token, key_set):
    refused(change(make_token()), key_set)


def test_duplicate_header_members_do_not_smuggle_another_algorithm(make_token, key_set):
    token = make_token()
    head = b'{"alg":"none","alg":"HS256","kid":"k1","typ":"at+jwt"}'
    encoded = base64.urlsafe_b64encode(head).rstrip(b"=")
    assert refused(b".".join((encoded, *token.split(b".")[1:])), key_set) == "token.algorithm"


@given(token=st.one_of(st.binary(max_size=300), st.from_regex(rb"[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*")))
def test_no_bytes_at_all_raise_anything_but_not_authenticated(token):
    with pytest.raises(NotAuthenticated):
        verify_token(token, KeySet({}, None, []), OPTIONS)
