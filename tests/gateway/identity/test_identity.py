import asyncio

import pytest

from gateway.identity.identity import Identity
from gateway.identity.options import IdentityOptions
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Principal
from gateway.kernel.errors import Invalid, Misconfigured, NotAuthenticated, Unavailable
from gateway.store.postgres import Store

from .conftest import RING, HeldClock, bearer


def test_a_token_is_verified_once_and_then_found_by_its_bytes(make_identity, make_token, monkeypatch):
    identity = make_identity()
    headers = bearer(make_token())
    first = identity.authenticate(headers)
    monkeypatch.setattr("gateway.identity.identity.verify_token", lambda *_: pytest.fail("verified again"))
    assert identity.authenticate(headers) is first
    assert isinstance(first, Principal)


def test_a_credential_with_the_end_of_a_verified_one_is_not_believed(make_identity, make_token):
    identity = make_identity()
    verified = bearer(make_token())
    identity.authenticate(verified)
    forged = b"Bearer forged" + verified[b"authorization"][-64:]
    with pytest.raises(NotAuthenticated):
        identity.authenticate({b"authorization": forged})
    assert identity.authenticate(verified)


def test_a_cached_token_ends_when_it_expires(make_identity, make_token):
    clock = HeldClock()
    identity = make_identity(clock)
    headers = bearer(make_token(exp=int(clock.now().timestamp()) + 30))
    identity.authenticate(headers)
    clock.seconds = 31
    assert identity._tokens.get(headers[b"authorization"], clock.monotonic()) is None


def test_a_cached_token_is_verified_again_after_a_minute(make_identity, make_token, monkeypatch):
    clock = HeldClock()
    identity = make_identity(clock)
    headers = bearer(make_token())
    identity.authenticate(headers)
    clock.seconds = 61
    monkeypatch.setattr("gateway.identity.identity.verify_token", lambda *_: (_ for _ in ()).throw(LookupError))
    with pytest.raises(LookupError):
        identity.authenticate(headers)


def test_the_cache_is_bounded(make_identity, make_token):
    identity = make_identity()
    identity._tokens._size = 3
    for number in range(5):
        identity.authenticate(bearer(make_token(jti=str(number))))
    assert len(identity._tokens) == 3


def test_two_credentials_are_refused_as_a_bad_request(make_identity, make_token):
    with pytest.raises(Invalid) as refused:
        make_identity().authenticate({**bearer(make_token()), b"x-api-key": b"cdk_live_x_y"})
    assert refused.value.syntax
    assert refused.value.code == "credential.multiple"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "credential.missing"),
        ({b"authorization": b"Basic dTpw"}, "credential.scheme"),
        ({b"authorization": b"Bearer"}, "credential.scheme"),
        ({b"authorization": b""}, "credential.scheme"),
        ({b"authorization": b"Bearer not-a-token"}, "token.malformed"),
        ({b"x-api-key": b"hello"}, "api_key.malformed"),
        ({b"x-api-key": b"cdk_test_" + b"a" * 16 + b"_" + b"a" * 40}, "api_key.wrong_environment"),
    ],
)
def test_no_or_no_valid_credential_is_told_apart_by_code(headers, code, make_identity):
    with pytest.raises(NotAuthenticated) as refused:
        make_identity().authenticate(headers)
    assert refused.value.code == code


def test_a_token_of_a_revoked_generation_is_refused(make_identity, make_token):
    identity = make_identity(generations={"cli_1": 1})
    with pytest.raises(NotAuthenticated) as refused:
        identity.authenticate(bearer(make_token()))
    assert refused.value.code == "token.revoked"


def test_a_token_revoked_by_its_id_is_refused(make_identity, make_token):
    identity = make_identity(revoked_tokens=frozenset({"t1"}))
    with pytest.raises(NotAuthenticated):
        identity.authenticate(bearer(make_token()))
    assert identity.authenticate(bearer(make_token(jti="t2")))


def test_without_knowledge_of_revocations_nothing_is_believed_not_even_the_cache(make_identity, make_token):
    clock = HeldClock()
    identity = make_identity(clock)
    headers = bearer(make_token())
    identity.trust.until = clock.monotonic() + 5
    identity.authenticate(headers)
    clock.seconds = 5
    api_key = {b"x-api-key": b"cdk_live_" + b"a" * 16 + b"_" + b"a" * 40}
    for credential in (headers, bearer(make_token(jti="other")), api_key):
        with pytest.raises(Unavailable):
            identity.authenticate(credential)


def test_cold_verifications_are_bounded_and_warm_ones_go_on(make_identity, make_token, private_key):
    clock = HeldClock()
    identity = make_identity(clock)
    identity._cold_interval = 0.1
    warm = bearer(make_token(jti="warm"))
    identity.authenticate(warm)
    accepted = refused = 0
    for number in range(30):
        try:
            identity.authenticate(bearer(make_token(jti=str(number))))
            accepted += 1
        except Unavailable:
            refused += 1
    assert accepted <= 10
    assert refused >= 20
    assert identity.authenticate(warm)
    clock.seconds = 1
    assert identity.authenticate(bearer(make_token(jti="later")))


async def test_api_key_lookups_are_bounded_and_one_key_is_looked_up_once(make_identity, monkeypatch):
    identity = make_identity()
    asked = []

    async def slow(query, key_id):
        asked.append(key_id)
        await asyncio.sleep(30)

    monkeypatch.setattr(identity.store, "fetchrow", slow)
    keys = [b"cdk_live_%016d_" % number + b"a" * 40 for number in range(identity.options.lookups + 1)]
    keys = [key.translate(bytes.maketrans(b"0189", b"abcd")) for key in keys]
    waiting = [asyncio.ensure_future(identity.authenticate({b"x-api-key": key})) for key in keys[:-1]]
    waiting.append(asyncio.ensure_future(identity.authenticate({b"x-api-key": keys[0]})))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        identity.authenticate({b"x-api-key": keys[-1]})
    await asyncio.sleep(0)
    assert len(asked) == len(set(asked))
    for task in (*waiting, *identity._lookups.values()):
        task.cancel()
    await asyncio.gather(*waiting, *identity._lookups.values(), return_exceptions=True)


@pytest.mark.parametrize(
    "given",
    [
        {"issuer": "http://api.example"},
        {"issuer": "https://api.example/"},
        {"environment": "Live_1"},
        {"token_lifetime": 5},
        {"trust_for": 1.0},
    ],
)
def test_options_that_would_not_be_safe_refuse_to_start(given):
    with pytest.raises(Misconfigured):
        IdentityOptions(**given)


def test_before_it_is_open_nothing_is_believed():
    identity = Identity(Store("postgresql://127.0.0.1:1/none"), RING, IdentityOptions(), SystemClock())
    with pytest.raises(Unavailable):
        _ = identity.trust.snapshot
