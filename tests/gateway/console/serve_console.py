"""Serves the console on a record for a browser: ``python serve_console.py <database URL> <port>``."""

import os
import sys
from contextlib import asynccontextmanager

from granian.constants import Interfaces, Loops, RuntimeModes
from granian.server import Server

from gateway.console.app import make_console
from gateway.console.openid import CALLBACK
from gateway.console.sign_in import SIGN_IN
from gateway.console.working import WorkerDesk
from gateway.identity.openid_options import OpenIdOptions
from gateway.identity.openid_sign_in import OpenIdSignIn
from gateway.kernel.clock import SystemClock
from gateway.kernel.secrets import Secret
from gateway.outbound.door import Outbound
from gateway.pacing.options import SystemPace
from gateway.pacing.visits import Visits
from gateway.store.postgres import Store
from process_apis.items.process import Items
from process_apis.reconciliation.process import Reconciliation

sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120  # run as a file, not as part of the tests
from wiring import Sold, channels_of, operations_of, purchases_of, queue_of, regions_of, returns_of


class _Orders:
    async def retry_exception(self, caller, exception_id):
        await _store.execute(
            "update order_to_ship.exception set state = 'resolved', resolved_at = now(), resolved_by = $2 "
            "where exception_id = $1",
            exception_id,
            caller.principal.subject,
        )


class _Messages:
    async def redeliver(self, tenant, message):
        await _store.execute(
            "update partner_notifications.message set state = 'waiting' where tenant = $1 and message = $2",
            tenant,
            message,
        )


@asynccontextmanager
async def _opened(_app):
    await _store.open()
    yield
    await _store.close()


_store = Store(os.environ.get("CONSOLE_RECORD", "postgresql://"), size=5)


def _openid():
    issuer = os.environ.get("CONSOLE_ISSUER")
    if issuer is None:
        return None
    options = OpenIdOptions(
        issuer=issuer,
        client_id="crossdock-console",
        roles={"leads": ("repair", "approve"), "owners": ("administer",)},
        name="the corporate account",
    )
    back = os.environ["CONSOLE_URL"] + CALLBACK
    after = os.environ["CONSOLE_URL"] + SIGN_IN
    return OpenIdSignIn(
        options, Secret("s3cret/"), back, outbound=Outbound(), clock=SystemClock(), signed_out_uri=after
    )


def make():
    return make_console(
        store=_store,
        clock=SystemClock(),
        tenant="acme",
        orders=_Orders(),
        messages=_Messages(),
        bootstrap=Secret("bootstrap-token-of-the-tests"),
        openid=_openid(),
        masters={"items": Items(_store, SystemClock())},
        reconciliation=Reconciliation(
            _store, SystemClock(), tenant="acme", stock=None, records=None, orders=None, items=None, accounts=None
        ),
        queue=queue_of(_store),
        regions=regions_of(_store),
        channels=channels_of(_store),
        operations=operations_of(_store),
        returns=returns_of(_store),
        purchases=purchases_of(_store),
        oversold=Sold(),
        pacing=Visits(_store, {"erp": SystemPace(calls=5, visits=2), "wms_north": SystemPace(visits=4)}),
        workers=WorkerDesk(_store, "acme"),
        lifespan=[_opened],
    )


if __name__ == "__main__":
    os.environ["CONSOLE_RECORD"] = sys.argv[1]
    Server(
        f"{__file__}:make",
        factory=True,
        port=int(sys.argv[2]),
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        runtime_mode=RuntimeModes.st,
        log_enabled=False,
    ).serve()
