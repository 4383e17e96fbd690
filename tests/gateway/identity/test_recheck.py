"""Whether a credential that opened a stream still holds, long after its request."""

import msgspec
import pytest

from gateway.identity import public_keys
from gateway.identity.partners import Standing
from gateway.kernel.errors import NotAuthenticated, Unavailable

from .conftest import HeldClock, bearer
from .crypto import Key
from .test_bindings import exchange, with_proof


def change(identity, **given):
    """What the watch does when the record says something new."""
    identity.trust._snapshot = msgspec.structs.replace(identity.trust.snapshot, epoch=2, **given)
    identity._forget(None)


async def verdict(identity, headers, principal):
    try:
        await identity.recheck(headers, principal)
    except (NotAuthenticated, Unavailable) as error:
        return error.code
    return "holds"


async def test_a_token_holds_until_it_expires_cached_or_not(make_identity, make_token):
    clock = HeldClock()
    identity = make_identity(clock)
    headers = bearer(make_token(exp=int(clock.now().timestamp()) + 200))
    principal = identity.authenticate(headers)
    for seconds in (1, 61, 150):
        clock.seconds = seconds
        assert await verdict(identity, headers, principal) == "holds"
    clock.seconds = 201
    assert await verdict(identity, headers, principal) == "token.expired"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"revoked_tokens": frozenset({"t1"})}, "token.revoked"),
        ({"generations": {"cli_1": 1}}, "token.revoked"),
        ({"standings": {"par_1": Standing(channel="web", plan="standard", suspended=True)}}, "partner.suspended"),
        ({"standings": {"par_1": Standing(channel="other", plan="standard", suspended=False)}}, "credential.changed"),
        ({"revoked_tokens": frozenset({"t2"})}, "holds"),
    ],
    ids=["this token", "all of the client", "suspended", "another channel", "another token"],
)
async def test_what_was_taken_away_is_found(make_identity, make_token, given, told):
    identity = make_identity()
    headers = bearer(make_token())
    principal = identity.authenticate(headers)
    change(identity, **given)
    assert await verdict(identity, headers, principal) == told
    assert await verdict(identity, headers, principal) == told


async def test_while_revocations_cannot_be_read_nothing_is_believed(make_identity, make_token):
    identity = make_identity()
    headers = bearer(make_token())
    principal = identity.authenticate(headers)
    identity.trust.until = 0.0
    assert await verdict(identity, headers, principal) == "identity.unavailable"


async def test_a_bound_token_needs_no_second_proof(make_identity, make_token):
    key = Key()
    token = make_token(cnf={"jkt": public_keys.thumbprint(key.jwk)})
    identity = make_identity()
    headers = with_proof(token, key.proof(url="https://api.example/shop/v1/orders", token=token))
    principal = await identity.authenticate(headers, exchange())
    assert await verdict(identity, headers, principal) == "holds"
    identity._bound.clear()
    assert await verdict(identity, headers, principal) == "holds"
    change(identity, revoked_tokens=frozenset({"t1"}))
    assert await verdict(identity, headers, principal) == "token.revoked"
