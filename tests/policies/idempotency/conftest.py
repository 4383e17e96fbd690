from pathlib import Path

import asyncpg
import pytest

import gateway.store
import policies.idempotency
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import Exchange, Idempotency, Reply, Route
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import Secret
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from policies.idempotency.options import IdempotencyOptions
from policies.idempotency.policy import IdempotencyPolicy

PARTS = (gateway.store, policies.idempotency)
MIGRATIONS = find_migrations([Path(part.__file__).parent / "migrations" for part in PARTS])
RING = KeyRing({1: Secret("test master key, long enough to be accepted")})
CREATED = Reply(
    201,
    [(b"content-type", b"application/json"), (b"location", b"/orders/1"), (b"set-cookie", b"a=b"), (b"date", b"now")],
    b'{"id":"1"}',
)


def exchange(key: bytes | None = b'"k1"', *, tenant="acme", partner="par_1", body=b"{}", path="/orders", **route):
    made = Exchange({"method": "POST", "path": path, "headers": []}, None, 0.0)
    given = {"id": "POST /orders", "method": "POST", "template": "/orders", "api": "storefront", "version": "v1"}
    made.route = Route(**{**given, "zone": Zone.EXPERIENCE, "idempotency": Idempotency.REQUIRED, **route})
    made.path = path
    made.body = body
    made.headers = {b"content-type": b"application/json"}
    if key is not None:
        made.headers[b"idempotency-key"] = key
    made.principal = Principal(
        tenant, "cli_1", "client:cli_1", frozenset({Zone.EXPERIENCE}), frozenset(), partner=partner
    )
    made.caller = Caller(made.principal, "req", "cor", 0.0)
    return made


def _raise(error):
    if isinstance(error, BaseException):
        raise error


class Door:
    """What the edge does around the policy, with a handler that counts its executions."""

    def __init__(self, policy):
        self.policy = policy
        self.executions = 0

    async def serve(self, made, *, answer=CREATED, gateway_error=None, during=None):
        """Serve one request; returns its reply or the error it was refused with. `answer` may be an error."""
        entered = False
        try:
            entered = True
            waiting = self.policy.admit(made)
            if waiting is not None:
                await waiting
            _raise(gateway_error)
            if made.reply is None:
                made.reached_handler = True
                self.executions += 1
                if during is not None:
                    await during(made)
                _raise(answer)
                made.reply = Reply(answer.status, list(answer.headers), answer.body)
        except Exception as error:  # noqa: BLE001
            made.error = error
            made.reply = Reply(getattr(error, "status", 500), [(b"content-type", b"application/problem+json")], b"{}")
        if entered:
            waiting = self.policy.conclude(made)
            if waiting is not None:
                await waiting
        return made.error if isinstance(made.error, CrossdockError) and not made.reached_handler else made.reply


@pytest.fixture(scope="session")
async def idempotency_database(urls):
    """One database for all tests of idempotency: making one costs more than most of them."""
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute("create database test_idempotency")
    url = urls.postgres.removesuffix("crossdock") + "test_idempotency"
    await migrate(url, MIGRATIONS)
    yield url
    await connection.close()


@pytest.fixture
async def store(idempotency_database):
    """An empty record."""
    store = Store(idempotency_database, size=10)
    await store.open()
    await store.execute("delete from idempotency.record")
    yield store
    await store.close()


@pytest.fixture
def make_door(store):
    def make(*, recallers=None, **options):
        return Door(IdempotencyPolicy(store, RING, IdempotencyOptions(**options), recallers=recallers))

    return make


@pytest.fixture
def door(make_door):
    return make_door()
