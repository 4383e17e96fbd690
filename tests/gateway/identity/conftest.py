import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

import gateway.identity
import gateway.store
import policies.idempotency
from gateway.identity.identity import Identity
from gateway.identity.options import IdentityOptions
from gateway.identity.partners import add_partner
from gateway.identity.signing_keys import KeySet, SigningKey
from gateway.identity.trust import Snapshot
from gateway.kernel.clock import SystemClock
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import Secret
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store

PARTS = (gateway.store, gateway.identity, policies.idempotency)
MIGRATIONS = find_migrations([Path(part.__file__).parent / "migrations" for part in PARTS])
TABLES = (
    *("identity.webhook_endpoint", "identity.api_key", "identity.client_secret", "identity.client", "identity.partner"),
    *("identity.console_session", "identity.console_invitation", "identity.console_browser", "identity.console_user"),
    *("identity.console_attempt", "identity.revoked_token"),
    *("identity.used_assertion", "identity.plan", "store.audit", "idempotency.record"),
)
RING = KeyRing({1: Secret("test master key, long enough to be accepted")})
OPTIONS = IdentityOptions(issuer="https://api.example", poll_every=0.2, trust_for=5.0)


class HeldClock:
    """Stands still until `seconds` is moved; began when it was made, so that tokens made now are good."""

    def __init__(self):
        self.seconds = 0.0
        self.start = datetime.now(UTC)

    def now(self):
        return self.start + timedelta(seconds=self.seconds)

    def monotonic(self):
        return 1_000.0 + self.seconds


def bearer(token):
    return {b"authorization": b"Bearer " + token}


@pytest.fixture(scope="session")
def private_key():
    return generate_private_key(65537, 2048)


@pytest.fixture
def key_set(private_key):
    return KeySet({"k1": private_key.public_key()}, SigningKey("k1", private_key, time.time()), [])


@pytest.fixture
def make_token(private_key):
    """A valid token unless told otherwise: `header` and `claims` are merged in, None removes."""

    def make(*, key=private_key, algorithm="RS256", header=None, **claims):
        now = int(time.time())
        body = {
            "iss": "https://api.example",
            "aud": "https://api.example",
            "sub": "cli_1",
            "client_id": "cli_1",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": "t1",
            "scope": "orders:read",
            "crossdock": {"tenant": "acme", "kind": "partner", "partner": "par_1", "channel": "web"},
        }
        body = {name: value for name, value in {**body, **claims}.items() if value is not None}
        head = {"kid": "k1", "typ": "at+jwt", **(header or {})}
        return jwt.encode(body, key, algorithm, headers=head).encode()

    return make


@pytest.fixture
def make_identity(key_set):
    """An identity that believes a given snapshot and asks no database."""

    def make(clock=None, options=OPTIONS, cache=None, outbound=None, **given):
        store = Store("postgresql://127.0.0.1:1/none")
        identity = Identity(store, RING, options, clock or SystemClock(), cache=cache, outbound=outbound)
        snapshot = {"epoch": 1, "keys": key_set, "generations": {}, "revoked_tokens": frozenset(), **given}
        identity.trust._snapshot = Snapshot(**snapshot)
        identity.trust.until = float("inf")
        return identity

    return make


@pytest.fixture(scope="session")
async def identity_database(urls):
    """One database for all tests of identity: making one costs more than most of them."""
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute("create database test_identity")
    url = urls.postgres.removesuffix("crossdock") + "test_identity"
    await migrate(url, MIGRATIONS)
    yield url
    await connection.close()


@pytest.fixture
async def store(identity_database):
    """Empty tables; signing keys stay, because making them is slow."""
    store = Store(identity_database, size=5)
    await store.open()
    for table in TABLES:
        await store.execute(f"delete from {table}")
    yield store
    await store.close()


@pytest.fixture
async def identity(store):
    """One verifier on the real record."""
    identity = Identity(store, RING, OPTIONS, SystemClock())
    await identity.open()
    yield identity
    await identity.close()


@pytest.fixture
async def partner(store):
    """A partner's credentials."""
    async with store.transaction() as connection:
        return await add_partner(
            connection,
            RING,
            tenant="acme",
            name="Nordwind",
            channel="web",
            plan="gold",
            accounts=["C-2", "C-1"],
            webhook_url="https://partner.example/hooks",
            webhook_events=["order.shipped"],
        )


@pytest.fixture
def names():
    return SimpleNamespace(ring=RING, options=OPTIONS)
