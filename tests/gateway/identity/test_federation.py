"""Access tokens of an outside issuer, over real HTTP, with rotation and outage."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import jwt
import msgspec
import pytest

from gateway.identity.federated_issuer import FederatedGrant, FederatedIssuer
from gateway.identity.grants import ClientKind
from gateway.identity.options import IdentityOptions
from gateway.identity.partners import disable_partner
from gateway.kernel.context import Zone
from gateway.kernel.errors import Misconfigured, NotAuthenticated, Unavailable
from gateway.outbound.door import Outbound

from .conftest import OPTIONS
from .crypto import Key, from_now
from .small_issuer import SmallIssuer

pytestmark = pytest.mark.integration
GRANT = FederatedGrant(
    when={"client_id": "shop-backend"},
    tenant="acme",
    kind=ClientKind.APPLICATION,
    scopes={"stock.read": "availability:read", "orders.write": "orders:write"},
)


class MovingClock:
    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.seconds)

    def monotonic(self):
        return time.monotonic() + self.seconds


@pytest.fixture
async def issuer():
    made = SmallIssuer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def federated(issuer, make_identity):
    """A verifier that trusts the issuer, and the clock it goes by."""
    clock = MovingClock()
    outbound = Outbound(clock)
    made = []

    def make(**given):
        settings = {
            "name": "partner-idp",
            "issuer": issuer.url,
            "audience": "https://api.example",
            "algorithms": ("ES256",),
            "grants": (GRANT,),
        }
        outside = FederatedIssuer(**{**settings, **given})
        identity = make_identity(clock, options=msgspec.structs.replace(OPTIONS, issuers=(outside,)), outbound=outbound)
        made.append(identity)
        return identity, clock

    yield make
    for identity in made:
        await identity.federation.close()
    await outbound.close()


async def ask(identity, token):
    try:
        found = identity.authenticate({b"authorization": b"Bearer " + token})
        return await found if hasattr(found, "__await__") else found
    except (NotAuthenticated, Unavailable) as error:
        return error.code


async def test_a_token_grants_what_the_settings_say_and_nothing_that_it_claims(federated, issuer):
    identity, _ = federated()
    claimed = {"tenant": "other", "kind": "operator", "partner": "par_1", "crossdock": {"tenant": "other"}}
    principal = await ask(identity, issuer.token(**claimed))
    assert (principal.tenant, principal.partner, principal.zones) == ("acme", None, {Zone.PROCESS})
    assert principal.scopes == {"availability:read"}
    assert (principal.subject, principal.credential) == ("partner-idp:u-1", "issuer:partner-idp:u-1")


async def test_a_second_look_at_a_token_asks_nobody(federated, issuer):
    identity, _ = federated()
    token = issuer.token()
    await ask(identity, token)
    assert not hasattr(identity.authenticate({b"authorization": b"Bearer " + token}), "__await__")
    assert issuer.asked == {"/.well-known/openid-configuration": 1, "/jwks": 1}


async def test_a_configured_key_set_needs_no_discovery(federated, issuer):
    identity, _ = federated(jwks_uri=f"{issuer.url}/keys?v=1")
    assert (await ask(identity, issuer.token())).tenant == "acme"
    assert issuer.asked == {"/keys?v=1": 1}


WRONG = {
    "audience": ({"aud": "https://other.example"}, "token.invalid"),
    "no audience": ({"aud": None}, "token.invalid"),
    "expired": ({"exp": timedelta(minutes=-1)}, "token.expired"),
    "no exp": ({"exp": None}, "token.invalid"),
    "not yet": ({"nbf": timedelta(minutes=10)}, "token.invalid"),
    "lives too long": ({"exp": timedelta(days=1)}, "token.lifetime"),
    "no subject": ({"sub": None}, "token.invalid"),
    "typ": ({"header": {"typ": "JWT"}}, "token.type"),
    "another client": ({"client_id": "unknown"}, "token.no_grant"),
    "no client": ({"client_id": None}, "token.no_grant"),
    "unknown binding": ({"cnf": {"jwk": {}}}, "token.confirmation"),
    "jku": ({"header": {"jku": "http://127.0.0.1:1/"}}, "token.refused_header"),
    "signature": ({"key": Key("k1")}, "token.invalid"),
}


@pytest.mark.parametrize(("wrong", "code"), WRONG.values(), ids=WRONG)
async def test_a_token_that_is_not_quite_right_is_refused(wrong, code, federated, issuer):
    identity, _ = federated()
    assert await ask(identity, issuer.token(**from_now(wrong))) == code


async def test_the_public_key_as_an_hmac_secret_and_no_signature_are_refused(federated, issuer):
    identity, _ = federated()
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    for key, algorithm in ((b"x" * 32, "HS256"), (None, "none")):
        token = jwt.encode(claims, key, algorithm, headers={"kid": "k1", "typ": "at+jwt"})
        assert await ask(identity, token.encode()) == "token.algorithm"


async def test_a_key_of_ours_does_not_sign_for_an_outside_issuer_nor_theirs_for_us(federated, issuer, make_token):
    identity, _ = federated()
    assert await ask(identity, make_token(iss=issuer.url)) == "token.algorithm"
    ours = issuer.token(iss="https://api.example", crossdock={"tenant": "acme", "kind": "operator"}, nbf=1)
    assert await ask(identity, ours) in ("token.algorithm", "token.unknown_key")
    assert await ask(identity, issuer.token(iss="https://unknown.example")) in ("token.algorithm", "token.unknown_key")


async def test_a_rotation_is_noticed_at_the_first_unknown_key(federated, issuer):
    identity, clock = federated()
    await ask(identity, issuer.token())
    issuer.keys = {"k2": Key("k2")}
    clock.seconds += 31
    assert (await ask(identity, issuer.token("k2"))).tenant == "acme"
    assert await ask(identity, issuer.token("k1", key=Key("k1"))) == "token.unknown_key"
    assert issuer.asked["/jwks"] == 2


async def test_a_thousand_unknown_keys_cause_one_fetch_in_an_interval(federated, issuer):
    identity, clock = federated()
    await ask(identity, issuer.token())
    stranger = Key("s")
    identity._cold_interval = 0.0
    for interval in (1, 2):
        clock.seconds += 31
        tokens = [issuer.token(f"random-{interval}-{number}", key=stranger) for number in range(500)]
        for start in range(0, 500, 50):
            codes = await asyncio.gather(*(ask(identity, token) for token in tokens[start : start + 50]))
            assert set(codes) == {"token.unknown_key"}
        assert issuer.asked["/jwks"] == 1 + interval
    assert (await ask(identity, issuer.token())).tenant == "acme"


async def test_everybody_who_waits_for_the_first_keys_waits_for_one_fetch(federated, issuer):
    identity, _ = federated()
    found = await asyncio.gather(*(ask(identity, issuer.token()) for _ in range(50)))
    assert {principal.tenant for principal in found} == {"acme"}
    assert issuer.asked == {"/.well-known/openid-configuration": 1, "/jwks": 1}


@pytest.mark.parametrize("mode", ["failing", "garbage"])
async def test_while_the_issuer_is_down_known_keys_work_and_an_unknown_one_is_503(mode, federated, issuer):
    identity, clock = federated()
    await ask(identity, issuer.token())
    issuer.mode = mode
    clock.seconds += 400
    assert (await ask(identity, issuer.token())).tenant == "acme"
    clock.seconds += 31
    assert await ask(identity, issuer.token("k9", key=Key("k9"))) == "issuer.unavailable"
    clock.seconds += 3_600
    assert await ask(identity, issuer.token()) == "issuer.unavailable"
    issuer.mode = "answering"
    clock.seconds += 31
    assert (await ask(identity, issuer.token())).tenant == "acme"


async def test_an_issuer_that_was_never_reached_is_503_and_then_works(federated, issuer):
    identity, clock = federated()
    await issuer.stop()
    assert await ask(identity, issuer.token()) == "issuer.unavailable"
    assert await ask(identity, issuer.token()) == "issuer.unavailable"
    await issuer.start()
    clock.seconds += 31
    assert (await ask(identity, issuer.token())).tenant == "acme"


async def test_metadata_that_names_another_issuer_is_not_believed(federated, issuer):
    identity, _ = federated()
    issuer.named = "https://other.example"
    assert await ask(identity, issuer.token()) == "issuer.unavailable"
    assert "/jwks" not in issuer.asked


async def test_a_federated_partner_has_its_channel_and_plan_and_ends_when_it_is_disabled(
    federated, issuer, partner, store
):
    grant = FederatedGrant(
        when={"client_id": "shop-backend"}, tenant="acme", kind=ClientKind.PARTNER, partner=partner.partner_id
    )
    identity, _ = federated(grants=(grant,))
    identity.federation._store = store
    principal = await ask(identity, issuer.token())
    assert (principal.partner, principal.channel, principal.plan) == (partner.partner_id, "web", "gold")
    async with store.transaction() as connection:
        await disable_partner(connection, tenant="acme", partner=partner.partner_id)
    assert await ask(identity, issuer.token()) == "token.no_grant"


@pytest.mark.parametrize(
    "given",
    [
        {"issuer": "http://idp.example"},
        {"jwks_uri": "ftp://idp.example/jwks"},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"grants": ()},
        {"audience": ""},
        {"name": "a b"},
        {"refetch_every": 0.0},
        {"stale_for": 10.0},
    ],
    ids=str,
)
def test_settings_that_would_not_be_safe_refuse_to_start(given):
    settings = {"name": "idp", "issuer": "https://idp.example", "audience": "a", "grants": (GRANT,)}
    with pytest.raises(Misconfigured):
        FederatedIssuer(**{**settings, **given})


def test_an_issuer_cannot_be_ourselves_and_a_grant_needs_a_condition():
    outside = FederatedIssuer(name="idp", issuer="https://api.example", audience="a", grants=(GRANT,))
    with pytest.raises(Misconfigured):
        IdentityOptions(issuer="https://api.example", issuers=(outside,))
    with pytest.raises(Misconfigured):
        FederatedGrant(when={}, tenant="acme", kind=ClientKind.OPERATOR)
    with pytest.raises(Misconfigured):
        FederatedGrant(when={"a": "b"}, tenant="acme", kind=ClientKind.PARTNER)
