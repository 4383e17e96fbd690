import re
from pathlib import Path

import httpx
import pytest

import gateway.durable
import gateway.explain
import gateway.identity
import gateway.pacing
import gateway.reference
import gateway.store
import gateway.systems
import policies.idempotency
import process_apis
from gateway.console.app import make_console
from gateway.identity.console_people import People
from gateway.identity.console_users import ConsoleUsers
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, NotFound
from gateway.kernel.secrets import Secret
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store

TENANT = "acme"
BOOTSTRAP = "bootstrap-token-of-the-tests"
PASSWORD = "correct horse battery"
_PROCESSES = Path(process_apis.__path__[0])
CONSOLE_READS = (
    *(gateway.store, gateway.reference, gateway.explain, gateway.durable, gateway.pacing),
    *(gateway.identity, gateway.systems, policies.idempotency),
)
MIGRATIONS = find_migrations(
    [
        *(Path(module.__file__).parent / "migrations" for module in CONSOLE_READS),
        *(_PROCESSES / name / "migrations" for name in ("items", "availability", "order_to_ship", "reconciliation")),
        _PROCESSES / "partner_notifications" / "migrations",
        _PROCESSES / "channel_publication" / "migrations",
        _PROCESSES / "exceptions" / "migrations",
        _PROCESSES / "stock_operations" / "migrations",
        _PROCESSES / "returns" / "migrations",
        _PROCESSES / "procure_to_pay" / "migrations",
    ]
)


class Orders:
    """Stands where order to ship is: remembers what it was asked."""

    def __init__(self):
        self.asked = []

    async def retry_exception(self, caller, exception_id):
        self.asked.append((caller.tenant, caller.principal.subject, exception_id))
        if exception_id == "exc_resolved":
            raise Conflict("the exception is resolved already: read it again", code="exception.resolved")

    async def release_hold(self, caller, order_id, *, reason):
        self.asked.append((caller.tenant, caller.principal.subject, order_id, reason))
        if order_id == "ord_free":
            raise Conflict("the order is not held: read it again", code="order.not_held")

    async def serve(self, caller, order_id, verb, **asked):
        self.asked.append((caller.principal.subject, order_id, verb, asked))
        if asked["version"] != 1:
            raise Conflict("somebody changed this: read it again", code="precondition.failed")


class Messages:
    def __init__(self):
        self.asked = []

    async def redeliver(self, tenant, message):
        self.asked.append((tenant, message))
        if message == "msg_unknown":
            raise NotFound("no finished message", code="message.not_found")


def client_of(app, **headers):
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://console.test", headers=headers)


def csrf_in(text):
    return re.search(r'name="csrf_token" value="([^"]+)"', text).group(1)


@pytest.fixture
def closed_console():
    """The console on a record that is not reachable: for what must be decided before anything is read."""
    return make_console(
        store=Store("postgresql://nobody@127.0.0.1:1/none"),
        clock=SystemClock(),
        tenant=TENANT,
        orders=Orders(),
        messages=Messages(),
        bootstrap=Secret(BOOTSTRAP),
    )


@pytest.fixture
async def console_url(records):
    async with records.lent(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def store(console_url):
    store = Store(console_url, size=5)
    await store.open()
    yield store
    await store.close()


async def invited(store, name, *roles):
    """A one-time token for somebody new."""
    async with store.transaction() as connection:
        return await People(connection, tenant=TENANT, actor="cli").add(name, frozenset(roles))


class Console:
    """The console on a real record, and people to look at it."""

    def __init__(self, store):
        self.store = store
        self.orders = Orders()
        self.messages = Messages()
        self.app = self.made()

    def made(self, **more):
        return make_console(
            store=self.store,
            clock=SystemClock(),
            tenant=TENANT,
            orders=self.orders,
            messages=self.messages,
            bootstrap=Secret(BOOTSTRAP),
            **more,
        )

    async def person(self, *roles):
        """A client signed in as somebody with these roles, and their CSRF token."""
        users = ConsoleUsers(self.store)
        name = f"{'-'.join(roles)}-person"
        session = await users.sign_in_with_token(await invited(self.store, name, *roles))
        hashed = "scrypt15.AAAA.AAAA"  # nobody's password: making a real one takes a third of a second
        await self.store.execute("update identity.console_user set password = $2 where name = $1", name, hashed)
        client = client_of(self.app)
        client.cookies.set("crossdock_session", session, domain="console.test")
        token = (await users.session(session)).csrf_token
        return client, token


@pytest.fixture
async def console(store):
    return Console(store)
