import asyncio

import pytest

from gateway.identity.authorization_server import answer_token_request
from gateway.identity.identity import Identity
from gateway.identity.signing_keys import rotate_signing_keys, withdraw_signing_key
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import NotAuthenticated

from .conftest import OPTIONS, RING
from .test_authorization_server import basic, bearer, form

pytestmark = pytest.mark.integration
RSA_KEY = bytes.fromhex("2a864886f70d010101")  # rsaEncryption (RFC 8017, appendix C), in every PKCS #8 key of ours


@pytest.fixture(autouse=True)
async def no_keys_yet(store):
    await store.execute("delete from identity.signing_key")


async def token_of(identity, partner):
    return bearer(await answer_token_request(identity, basic(partner.client_id, partner.client_secret), form()))


async def rotate(store, **given):
    async with store.transaction() as connection:
        return await rotate_signing_keys(connection, RING, token_lifetime=600, **given)


async def test_workers_starting_together_make_one_current_and_one_next_key(store):
    workers = [Identity(store, RING, OPTIONS, SystemClock()) for _ in range(3)]
    await asyncio.gather(*(worker.open() for worker in workers))
    try:
        rows = await store.fetch("select state from identity.signing_key order by state")
        assert [row["state"] for row in rows] == ["current", "next"]
        assert len({worker.trust.snapshot.keys.current.kid for worker in workers}) == 1
    finally:
        await asyncio.gather(*(worker.close() for worker in workers))


async def test_private_keys_are_sealed_at_rest_and_only_public_ones_are_published(identity, store):
    for row in await store.fetch("select private_key from identity.signing_key"):
        assert RSA_KEY not in row["private_key"]
    for jwk in identity.trust.snapshot.keys.jwks:
        assert set(jwk) == {"kty", "use", "alg", "kid", "n", "e"}


async def test_the_next_key_is_published_before_it_signs(identity, store):
    before = identity.trust.snapshot.keys
    following = next(jwk["kid"] for jwk in before.jwks if jwk["kid"] != before.current.kid)
    await rotate(store)
    await identity.trust.refresh()
    assert identity.trust.snapshot.keys.current.kid == following


async def test_tokens_of_the_key_before_are_accepted_while_keys_overlap(identity, partner, store):
    old = await token_of(identity, partner)
    await rotate(store)
    await identity.trust.refresh()
    new = await token_of(identity, partner)
    assert identity.authenticate(old)
    assert identity.authenticate(new)
    assert len(identity.trust.snapshot.keys.jwks) == 3


async def test_a_worker_that_has_not_noticed_the_rotation_accepts_tokens_of_the_new_key(identity, partner, store):
    late = Identity(store, RING, OPTIONS, SystemClock())
    await late.open()
    try:
        late.trust._task.cancel()
        await rotate(store)
        await identity.trust.refresh()
        assert late.authenticate(await token_of(identity, partner))
    finally:
        await late.close()


async def test_a_retired_key_no_longer_verifies(identity, partner, store):
    old = await token_of(identity, partner)
    await rotate(store)
    await store.execute("update identity.signing_key set retire_at = now() where state = 'previous'")
    await store.execute("update identity.epoch set epoch = epoch + 1")
    await identity.trust.refresh()
    with pytest.raises(NotAuthenticated):
        identity.authenticate(old)


async def test_a_withdrawn_key_ends_its_tokens_at_once(identity, partner, store):
    old = await token_of(identity, partner)
    async with store.transaction() as connection:
        await withdraw_signing_key(connection, RING, identity.trust.snapshot.keys.current.kid)
    await identity.trust.refresh()
    with pytest.raises(NotAuthenticated):
        identity.authenticate(old)
    assert identity.authenticate(await token_of(identity, partner))


async def test_only_the_first_of_many_workers_rotates_a_key_that_is_due(identity, store):
    await store.execute(
        "update identity.signing_key set current_since = now() - interval '31 days' where state = 'current'"
    )
    done = await asyncio.gather(*(rotate(store, younger_than=30 * 86_400) for _ in range(3)))
    assert sorted(done) == [False, False, True]
