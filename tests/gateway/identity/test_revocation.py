import asyncio
import time
from datetime import UTC, datetime, timedelta

import jwt
import msgspec
import pytest

from gateway.identity.authorization_server import answer_token_request
from gateway.identity.clients import revoke_api_key, revoke_token, revoke_tokens
from gateway.identity.identity import Identity
from gateway.identity.partners import disable_partner
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import NotAuthenticated, Unavailable

from .conftest import OPTIONS, RING
from .test_authorization_server import basic, bearer, form

pytestmark = pytest.mark.integration


@pytest.fixture
async def two_verifiers(identity, store):
    other = Identity(store, RING, OPTIONS, SystemClock())
    await other.open()
    yield identity, other
    await other.close()


async def outcome(identity, headers):
    try:
        found = identity.authenticate(headers)
        if not isinstance(found, tuple) and hasattr(found, "__await__"):
            await found
    except NotAuthenticated as error:
        return error.code
    except Unavailable as error:
        return error.code
    return "accepted"


async def until(identity, headers, expected, accepted_for=60.0):
    """Ask with a warm cache until the verifier says `expected`; meanwhile it accepts for so many seconds at most.

    A machine that is held up reads the record late: what it cannot judge in time is refused too, and not accepted.
    """
    begun = asked = time.monotonic()
    while (found := await outcome(identity, headers)) != expected:
        assert found != "accepted" or asked - begun < accepted_for
        assert asked - begun < 60
        await asyncio.sleep(0.02)
        asked = time.monotonic()


async def token_of(identity, partner):
    return bearer(await answer_token_request(identity, basic(partner.client_id, partner.client_secret), form()))


@pytest.mark.parametrize("way", ["disable_partner", "revoke_tokens", "revoke_token"])
async def test_revoked_tokens_are_refused_within_the_bound_on_every_worker(way, two_verifiers, partner, store):
    headers = await token_of(two_verifiers[0], partner)
    for verifier in two_verifiers:
        assert await outcome(verifier, headers) == "accepted"
    async with store.transaction() as connection:
        if way == "disable_partner":
            await disable_partner(connection, tenant="acme", partner=partner.partner_id)
        elif way == "revoke_tokens":
            await revoke_tokens(connection, tenant="acme", client_id=partner.client_id)
        else:
            claims = jwt.decode(headers[b"authorization"][7:], options={"verify_signature": False})
            await revoke_token(
                connection,
                tenant="acme",
                client_id=partner.client_id,
                token_id=claims["jti"],
                expires_at=datetime.now(UTC) + timedelta(hours=1),
            )
    await asyncio.gather(*(until(verifier, headers, "token.revoked", OPTIONS.trust_for) for verifier in two_verifiers))


async def test_a_revoked_api_key_is_refused_within_the_bound_on_every_worker(two_verifiers, partner, store):
    headers = {b"x-api-key": partner.api_key.encode()}
    for verifier in two_verifiers:
        assert await outcome(verifier, headers) == "accepted"
        assert not hasattr(verifier.authenticate(headers), "__await__")
    key_id = partner.api_key.split("_")[2]
    async with store.transaction() as connection:
        await revoke_api_key(connection, tenant="acme", client_id=partner.client_id, key_id=key_id)
    await asyncio.gather(
        *(until(verifier, headers, "api_key.unknown", OPTIONS.trust_for) for verifier in two_verifiers)
    )


async def test_a_new_token_after_a_revocation_is_accepted(two_verifiers, partner, store):
    async with store.transaction() as connection:
        await revoke_tokens(connection, tenant="acme", client_id=partner.client_id)
    headers = await token_of(two_verifiers[0], partner)
    for verifier in two_verifiers:
        await verifier.trust.refresh()
        assert await outcome(verifier, headers) == "accepted"


async def test_a_worker_that_cannot_read_revocations_stops_believing_and_recovers(partner, store, monkeypatch):
    async def down(*_):
        raise Unavailable("down")

    options = msgspec.structs.replace(OPTIONS, trust_for=1.0)
    identity = Identity(store, RING, options, SystemClock())
    await identity.open()
    try:
        headers = await token_of(identity, partner)
        await until(identity, headers, "accepted")
        with monkeypatch.context() as patched:
            patched.setattr(identity.trust._store, "fetchrow", down)
            await until(identity, headers, "identity.unavailable")
            assert identity.trust.until < time.monotonic() < identity.trust.until + 60.0
        await until(identity, headers, "accepted")
    finally:
        await identity.close()


async def test_a_look_up_that_raced_a_revocation_is_not_remembered(identity, partner, store, monkeypatch):
    """The row is read, the key is revoked and the epoch noticed, and only then does the look-up end."""
    headers = {b"x-api-key": partner.api_key.encode()}
    read = identity.store.fetchrow
    first = True

    async def slow(query, *args):
        nonlocal first
        row = await read(query, *args)
        if first:
            first = False
            async with store.transaction() as connection:
                await revoke_api_key(
                    connection, tenant="acme", client_id=partner.client_id, key_id=partner.api_key.split("_")[2]
                )
            await identity.trust.refresh()
        return row

    monkeypatch.setattr(identity.store, "fetchrow", slow)
    assert await outcome(identity, headers) == "api_key.unknown"


async def test_a_wrong_secret_behind_a_right_key_id_is_refused(identity, partner):
    wrong = partner.api_key[:-4] + ("aaaa" if not partner.api_key.endswith("aaaa") else "bbbb")
    assert await outcome(identity, {b"x-api-key": wrong.encode()}) == "api_key.unknown"
    assert await outcome(identity, {b"x-api-key": partner.api_key.encode()}) == "accepted"
