"""Tokens bound to a DPoP key or a certificate, in the hands of their owner and of somebody else."""

import asyncio
import time
from datetime import timedelta

import msgspec
import pytest

from gateway.cache.valkey import Cache
from gateway.identity import public_keys
from gateway.identity.authorization_server import answer_token_request
from gateway.identity.identity import Identity
from gateway.identity.options import ClientCertificates
from gateway.identity.replays import Replays
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.exchange import Exchange

from .conftest import OPTIONS, RING
from .crypto import Key, certificate, client_cert, from_now, thumbprint
from .test_authorization_server import basic, form

URL = "https://api.example/shop/v1/orders"


def exchange(method="GET", path="/shop/v1/orders", made=None):
    asked = Exchange({"method": method, "path": path, "headers": []}, None, 0.0)
    asked.path = path
    if made is not None:
        asked.notes["forwarding"] = {b"client-cert": client_cert(made)}
    return asked


def with_proof(token, proof, scheme=b"DPoP"):
    headers = {b"authorization": scheme + b" " + token}
    return headers if proof is None else {**headers, b"dpop": proof}


async def verdict(identity, headers, asked):
    try:
        found = identity.authenticate(headers, asked)
        if hasattr(found, "__await__"):
            found = await found
    except NotAuthenticated as error:
        return error.code
    return found.tenant


@pytest.fixture
def key():
    return Key()


@pytest.fixture
def bound(make_token, key):
    return make_token(cnf={"jkt": public_keys.thumbprint(key.jwk)})


async def test_a_proof_for_the_request_opens_it_again_and_again_with_a_new_proof(make_identity, bound, key):
    identity = make_identity()
    for _ in range(3):
        headers = with_proof(bound, key.proof(url=URL, token=bound))
        assert await verdict(identity, headers, exchange()) == "acme"
        assert await verdict(identity, headers, exchange()) == "dpop.replayed"
    assert len(identity._tokens) == 0


async def test_a_bound_token_under_the_wrong_scheme_is_refused(make_identity, make_token, bound, key):
    identity = make_identity()
    proof = key.proof(url=URL, token=bound)
    assert await verdict(identity, with_proof(bound, proof, b"Bearer"), exchange()) == "token.scheme"
    plain = make_token()
    assert await verdict(identity, with_proof(plain, key.proof(url=URL, token=plain)), exchange()) == "token.scheme"
    assert await verdict(identity, with_proof(bound, None), exchange()) == "dpop.invalid"
    assert await verdict(identity, with_proof(bound, proof), None) == "token.unproved"


WRONG = {
    "method": {"method": "POST"},
    "path": {"url": "https://api.example/shop/v1/orders/1"},
    "host": {"url": "https://evil.example/shop/v1/orders"},
    "scheme": {"url": "http://api.example/shop/v1/orders"},
    "port": {"url": "https://api.example:8443/shop/v1/orders"},
    "no htu": {"htu": None},
    "htu no text": {"htu": 5},
    "no htm": {"htm": None},
    "old": {"iat": timedelta(minutes=-10)},
    "future": {"iat": timedelta(minutes=10)},
    "iat text": {"iat": "now"},
    "iat true": {"iat": True},
    "no iat": {"iat": None},
    "no jti": {"jti": None},
    "jti empty": {"jti": ""},
    "jti long": {"jti": "x" * 300},
    "no ath": {"ath": None},
    "ath of another token": {"ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"},
    "typ": {"header": {"typ": "JWT"}},
    "jku": {"header": {"jku": "https://evil.example/"}},
    "crit": {"header": {"crit": ["exp"]}},
    "no jwk": {"header": {"jwk": None}},
    "private jwk": {"header": {"jwk": {**Key().jwk, "d": "AA"}}},
    "another jwk": {"header": {"jwk": Key().jwk}},
    "symmetric jwk": {"header": {"jwk": {"kty": "oct", "k": "AA"}}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_proof_that_is_not_quite_right_is_refused(wrong, make_identity, bound, key):
    proof = key.proof(**{"url": URL, "token": bound, **from_now(wrong)})
    assert await verdict(make_identity(), with_proof(bound, proof), exchange()) == "dpop.invalid"


@pytest.mark.parametrize("proof", [b"", b"x", b"a.b.c", b"x" * 9_000, b"\xff.\xff.\xff"])
async def test_a_proof_that_is_none_is_refused(proof, make_identity, bound):
    assert await verdict(make_identity(), with_proof(bound, proof), exchange()) == "dpop.invalid"


async def test_a_proof_with_the_right_key_in_its_header_and_another_signature_is_refused(make_identity, bound, key):
    public = {name: key.jwk[name] for name in ("kty", "crv", "x", "y")}
    forged = Key().proof(url=URL, token=bound, header={"jwk": public})
    assert await verdict(make_identity(), with_proof(bound, forged), exchange()) == "dpop.invalid"


@pytest.mark.parametrize("url", [URL.upper().replace("/SHOP/V1/ORDERS", "/shop/v1/orders"), URL + "?a=1#b",
                                 "https://api.example:443/shop/v1/%6Frders"])  # fmt: skip
async def test_other_spellings_of_the_same_address_are_the_same(url, make_identity, bound, key):
    proof = key.proof(url=url, token=bound)
    assert await verdict(make_identity(), with_proof(bound, proof), exchange()) == "acme"


async def test_where_nonces_are_asked_for_a_proof_needs_a_fresh_one(key_set, bound, key, make_identity, monkeypatch):
    identity = make_identity(options=msgspec.structs.replace(OPTIONS, dpop_nonces=True))
    with pytest.raises(NotAuthenticated) as error:
        await identity.authenticate(with_proof(bound, key.proof(url=URL, token=bound)), exchange())
    assert error.value.code == "dpop.nonce"
    nonce = error.value.context["dpop_nonce"]
    fresh = with_proof(bound, key.proof(url=URL, token=bound, nonce=nonce))
    assert await verdict(identity, fresh, exchange()) == "acme"
    for wrong in ("1.1.00", nonce[:-1] + ("0" if nonce[-1] != "0" else "1"), "2" + nonce[1:], "x", 7):
        headers = with_proof(bound, key.proof(url=URL, token=bound, nonce=wrong))
        assert await verdict(identity, headers, exchange()) == "dpop.nonce"
    later = time.time() + 200
    monkeypatch.setattr("gateway.identity.dpop.time.time", lambda: later)
    stale = with_proof(bound, key.proof(url=URL, token=bound, nonce=nonce, iat=int(later)))
    assert await verdict(identity, stale, exchange()) == "dpop.nonce"


async def test_a_certificate_bound_token_needs_its_certificate_cached_or_not(make_identity, make_token):
    mine, other = certificate(), certificate()
    token = make_token(cnf={"x5t#S256": thumbprint(mine)})
    headers = {b"authorization": b"Bearer " + token}
    identity = make_identity(options=msgspec.structs.replace(OPTIONS, client_certificates=ClientCertificates.ANY))
    assert await verdict(identity, headers, exchange(made=other)) == "token.certificate"
    for _ in range(2):
        assert await verdict(identity, headers, exchange(made=mine)) == "acme"
        assert await verdict(identity, headers, exchange(made=other)) == "token.certificate"
        assert await verdict(identity, headers, exchange()) == "token.certificate"
    assert await verdict(make_identity(), headers, exchange(made=mine)) == "token.certificate"


@pytest.mark.parametrize("cnf", [{}, {"jwk": {}}, {"jkt": 5}, "x", {"jkt": "a", "kid": "b"}])
async def test_a_binding_that_is_not_known_is_refused_and_not_ignored(cnf, make_identity, make_token):
    headers = {b"authorization": b"Bearer " + make_token(cnf=cnf)}
    assert await verdict(make_identity(), headers, exchange()) == "token.confirmation"


@pytest.fixture
async def two_workers(valkey_url, make_identity):
    caches = [Cache(valkey_url, timeout=30.0) for _ in range(2)]
    for cache in caches:
        await cache.open()
    yield [make_identity(cache=cache) for cache in caches], caches
    for cache in caches:
        await cache.close()


@pytest.mark.integration
async def test_a_proof_is_good_once_on_all_workers_together(two_workers, bound, key):
    identities, _ = two_workers
    headers = with_proof(bound, key.proof(url=URL, token=bound))
    verdicts = await asyncio.gather(*(verdict(one, headers, exchange()) for one in identities * 5))
    assert sorted(verdicts) == ["acme", *["dpop.replayed"] * 9]


@pytest.mark.integration
async def test_without_the_cache_a_proof_is_good_once_per_worker(two_workers, bound, key):
    """The bound that docs/partner.md publishes."""
    identities, caches = two_workers
    for cache in caches:
        await cache.close()
    headers = with_proof(bound, key.proof(url=URL, token=bound))
    verdicts = [await verdict(one, headers, exchange()) for one in identities * 3]
    assert sorted(verdicts) == ["acme", "acme", *["dpop.replayed"] * 4]


@pytest.mark.integration
async def test_the_token_endpoint_binds_a_token_to_the_key_of_a_proof(identity, partner, key):
    credentials = basic(partner.client_id, partner.client_secret)
    proof = key.proof("POST", "https://api.example/oauth2/token")
    reply = await answer_token_request(identity, credentials, form(), proof=proof)
    assert (reply.status, reply.body["token_type"]) == (200, "DPoP")
    token = reply.body["access_token"].encode()
    assert await verdict(identity, with_proof(token, key.proof(url=URL, token=token)), exchange()) == "acme"
    thief = Key()
    assert await verdict(identity, with_proof(token, thief.proof(url=URL, token=token)), exchange()) == "dpop.invalid"
    again = await answer_token_request(identity, credentials, form(), proof=proof)
    assert (again.status, again.body["error"]) == (400, "invalid_dpop_proof")
    wrong = await answer_token_request(identity, credentials, form(), proof=key.proof("POST", URL))
    assert (wrong.status, wrong.body["error"]) == (400, "invalid_dpop_proof")


@pytest.mark.integration
async def test_the_token_endpoint_names_the_nonce_to_use(store, partner, key):
    identity = Identity(store, RING, msgspec.structs.replace(OPTIONS, dpop_nonces=True), SystemClock())
    await identity.open()
    try:
        credentials, url = basic(partner.client_id, partner.client_secret), "https://api.example/oauth2/token"
        first = await answer_token_request(identity, credentials, form(), proof=key.proof("POST", url))
        assert (first.status, first.body["error"]) == (400, "use_dpop_nonce")
        proof = key.proof("POST", url, nonce=first.headers["dpop-nonce"])
        assert (await answer_token_request(identity, credentials, form(), proof=proof)).status == 200
    finally:
        await identity.close()


async def test_a_worker_remembers_a_bounded_number_of_proofs():
    replays = Replays(SystemClock(), None, seconds=60, size=100)
    for number in range(1_000):
        assert await replays.is_first(b"%d" % number)
    assert len(replays._seen) <= 100
    assert not await replays.is_first(b"999")
