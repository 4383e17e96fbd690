"""The console's ASGI application, served by its own process on its own listener: the door's chain is not in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from gateway.console.access import Access
from gateway.console.answers import Errors
from gateway.console.backlog import TellsBacklogs, backlog_routes
from gateway.console.bulks import bulk_routes
from gateway.console.channels import TellsChannels, TellsOversold, channel_routes
from gateway.console.explaining import explain_routes
from gateway.console.mastering import TellsMasters, master_data_routes
from gateway.console.openid import openid_routes
from gateway.console.operating import Operates, operation_routes
from gateway.console.pages import detail_routes, page_routes
from gateway.console.people import PeopleDesk, people_routes
from gateway.console.purchasing import HandlesPurchases, purchase_routes
from gateway.console.queueing import QueuesTroubles, queue_routes
from gateway.console.reading import Reading
from gateway.console.reconciling import Reconciles, reconciliation_routes
from gateway.console.regions import TellsRegions, region_routes
from gateway.console.rendering import Pages
from gateway.console.repairs import MendsOrders, RedeliversMessages, Repairs, repair_routes
from gateway.console.returning import HandlesReturns, return_routes
from gateway.console.security_headers import with_security_headers
from gateway.console.serving_customers import CustomerDesk, customer_routes
from gateway.console.sign_in import Doors, Tokens, password_routes, sign_in_routes
from gateway.console.working import WorkerDesk, worker_routes
from gateway.identity.console_users import ConsoleUsers, SessionTimes
from gateway.identity.openid_sign_in import OpenIdSignIn
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Misconfigured
from gateway.kernel.secrets import Secret
from gateway.store.postgres import Store

_SHORTEST_BOOTSTRAP: Final = 20
_LARGEST_FORM: Final = 16_384


def make_console(
    *,
    store: Store,
    clock: Clock,
    tenant: str,
    orders: MendsOrders,
    messages: RedeliversMessages,
    regions: TellsRegions | None = None,
    channels: TellsChannels | None = None,
    oversold: TellsOversold | None = None,
    masters: Mapping[str, TellsMasters] | None = None,
    reconciliation: Reconciles | None = None,
    operations: Operates | None = None,
    queue: QueuesTroubles | None = None,
    returns: HandlesReturns | None = None,
    purchases: HandlesPurchases | None = None,
    pacing: TellsBacklogs | None = None,
    workers: WorkerDesk | None = None,
    bootstrap: Secret | None = None,
    https: bool = False,
    openid: OpenIdSignIn | None = None,
    sessions: SessionTimes | None = None,
    explain_hours: int = 24,
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[Any]]] = (),
) -> ASGIApp:
    """The console on `store`, which `lifespan` opens and closes.

    `bootstrap` signs the first administrator in until somebody has a password. `openid` is where people sign in
    without one. `https` says that people reach the console over TLS: cookies become `Secure`. Records of requests are
    kept for `explain_hours`. Raises `Misconfigured` for a bootstrap token that could be guessed.
    """
    if bootstrap is not None and len(bootstrap.reveal()) < _SHORTEST_BOOTSTRAP:
        raise Misconfigured(
            f"console.bootstrap_token is too short: use at least {_SHORTEST_BOOTSTRAP} random characters"
        )
    sessions = sessions or SessionTimes()
    users = ConsoleUsers(store, lifetime=sessions.lifetime_seconds, idle=sessions.idle_seconds)
    access = Access(users, https=https)
    pages = Pages(clock, tenant)
    reading = Reading(store, clock, tenant)
    repairs = Repairs(store, clock, tenant, orders, messages)
    doors = Doors(pages, access, users, Tokens(users, bootstrap), reading, openid)
    routes: list[HTTPRouteHandler] = [
        *sign_in_routes(doors),
        *password_routes(doors),
        *(openid_routes(doors, openid) if openid is not None else ()),
        *page_routes(pages, reading),
        *detail_routes(pages, reading, pacing),
        *repair_routes(pages, reading, repairs),
        *customer_routes(pages, reading, CustomerDesk(orders, clock, tenant)),
        *(channel_routes(pages, channels, tenant, oversold) if channels is not None else ()),
        *(region_routes(pages, regions, tenant) if regions is not None else ()),
        *(master_data_routes(pages, masters, store, tenant) if masters else ()),
        *(reconciliation_routes(pages, reconciliation, tenant) if reconciliation is not None else ()),
        *(operation_routes(pages, operations, tenant, clock) if operations is not None else ()),
        *(queue_routes(pages, queue, tenant, clock) if queue is not None else ()),
        *(bulk_routes(pages, queue, tenant, clock) if queue is not None else ()),
        *(return_routes(pages, returns, tenant, clock) if returns is not None else ()),
        *(purchase_routes(pages, purchases, tenant, clock) if purchases is not None else ()),
        *(backlog_routes(pages, pacing) if pacing is not None else ()),
        *(worker_routes(pages, workers) if workers is not None else ()),
        *explain_routes(pages, store, clock, tenant, hours=explain_hours),
        *people_routes(pages, PeopleDesk(store, tenant, idle=sessions.idle_seconds), openid.name if openid else None),
    ]
    pages.offer({path for route in routes for path in route.paths})
    app = Litestar(
        routes,
        guards=[access.admit],
        exception_handlers={Exception: Errors(pages)},
        lifespan=list(lifespan),
        openapi_config=None,
        logging_config=None,
        debug=False,
        request_max_body_size=_LARGEST_FORM,
    )
    return with_security_headers(app, https=https)
