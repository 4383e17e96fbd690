"""The composition root: the only place where objects meet.

`Core` holds what the gateway, the worker and the console have in common; making one does no I/O, opening it does.
`Gateway` and `build_console` give ASGI applications, `gateway.worker` runs the rest.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self, TypeVar

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from opentelemetry.trace import Tracer

from experience_apis.storefront.v1 import messages as messages_v1
from experience_apis.storefront.v1 import recalling as recalling_v1
from experience_apis.storefront.v1 import routes as storefront_v1
from experience_apis.storefront.v2 import change_routes as changes_v2
from experience_apis.storefront.v2 import messages as messages_v2
from experience_apis.storefront.v2 import recalling as recalling_v2
from experience_apis.storefront.v2 import return_recalling as returns_v2
from experience_apis.storefront.v2 import routes as storefront_v2
from experience_apis.supplier.v1 import messages as supplier_messages_v1
from experience_apis.supplier.v1 import routes as supplier_v1
from gateway.apis import (
    catalogue_entry,
    component_api,
    dated,
    described,
    distinct,
    system_api,
    with_dates,
    wrapped_api,
)
from gateway.backbone.backbone import Backbone
from gateway.backbone.consumer import Subscription
from gateway.backbone.letter_troubles import LetterTroubles
from gateway.cache.valkey import Cache
from gateway.canonical.capabilities import (
    Connection,
    PublishesAvailability,
    ReadsChannelOrders,
    ReadsPurchases,
    TakesOrderUpdates,
)
from gateway.canonical.stock import OWN_SOURCE
from gateway.configuration.following import Follower
from gateway.configuration.tree import Configuration, Notifications, Peers, check, check_names, unknown_names
from gateway.console.app import make_console
from gateway.console.openid import CALLBACK
from gateway.console.sign_in import SIGN_IN
from gateway.console.working import WorkerDesk
from gateway.contracts.api import Api
from gateway.contracts.document import build_document
from gateway.contracts.export import render
from gateway.durable.schema import migrate_durable
from gateway.durable.turning import TurnOptions
from gateway.edge.catalogue import catalogue_routes
from gateway.edge.chain import WAY_IN
from gateway.edge.direct import direct_handlers
from gateway.edge.doorway import Doorway
from gateway.edge.front_door import FrontDoor
from gateway.edge.health import health_routes
from gateway.edge.litestar_app import make_litestar
from gateway.edge.standing import Standing
from gateway.edge.strict import parse_json
from gateway.explain.collecting import Collector
from gateway.identity.accounts import PartnerAccounts
from gateway.identity.console_users import SessionTimes
from gateway.identity.dpop import ALGORITHMS as DPOP_ALGORITHMS
from gateway.identity.identity import Identity
from gateway.identity.metadata import RESOURCE_METADATA
from gateway.identity.openid_sign_in import OpenIdSignIn
from gateway.identity.routes import make_routes as identity_routes
from gateway.kernel.background import background
from gateway.kernel.clock import Clock, SystemClock
from gateway.kernel.context import Principal
from gateway.kernel.cursors import Cursors
from gateway.kernel.errors import CrossdockError, Misconfigured, Rejected
from gateway.kernel.exchange import Policy, RecallsOutcome
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import Secret, resolve_secret
from gateway.kernel.spelling import with_nearest
from gateway.outbound.breaker import Breaker
from gateway.outbound.budget import Budgets
from gateway.outbound.door import Outbound
from gateway.outbound.targets import TargetRules
from gateway.outbound.webhooks import WebhookSender
from gateway.pacing.visits import Visits
from gateway.pacing.windows import CallWindows
from gateway.reference.importing import TakesRows
from gateway.reference.troubles import RefusalTroubles
from gateway.serving.state import show_state
from gateway.settings import BackboneSettings, CacheSettings, SecretSettings, Settings, StoreSettings, TracingSettings
from gateway.store.audit import AuditEntry
from gateway.store.installation import check_installation
from gateway.store.log_reader import LogReader
from gateway.store.migrations import Migration, find_migrations, migrate, require_migrations
from gateway.store.postgres import Store
from gateway.systems.directory import Directory
from gateway.systems.exclusive import order_locks
from gateway.systems.intake import intake_routes
from gateway.systems.loader import load_system
from gateway.systems.manifest import load_manifest
from gateway.systems.proxied.api import load_proxied
from gateway.systems.system_routes import product_routes
from gateway.telemetry.access import AccessLog
from gateway.telemetry.counters import Counters
from gateway.telemetry.tracing import open_tracing, to_collector
from gateway.telemetry.violations import Violations
from policies.audit.policy import Audit
from policies.audit.store import writes_to
from policies.authenticate.options import AuthenticateOptions
from policies.authenticate.policy import Authenticate
from policies.authorise.options import AuthoriseOptions
from policies.authorise.policy import Authorise
from policies.canonical_request.policy import CanonicalRequest
from policies.deprecation.options import DeprecationOptions
from policies.deprecation.policy import Deprecation
from policies.deprecation.upstream import Contradictions
from policies.idempotency.policy import IdempotencyPolicy
from policies.message_hygiene.options import MessageHygieneOptions
from policies.message_hygiene.policy import MessageHygiene
from policies.rate_limit.limiter import Limiter
from policies.rate_limit.options import RateLimitOptions
from policies.rate_limit.plans import PlanBook, check_limits
from policies.rate_limit.policy import LineCost, PreAuthenticationLimit, RateLimit
from policies.trace.options import TraceOptions
from policies.trace.policy import Trace
from policies.validate_request.policy import ValidateRequest
from policies.validate_response.policy import ValidateResponse
from policies.version.options import VersionOptions
from policies.version.policy import Version
from policies.version.usage import Usage
from policies.version.usage import writes_to as adds_usage_to
from process_apis.availability import routes as availability_routes
from process_apis.availability import subscriptions as availability_subscriptions
from process_apis.availability.process import Availability
from process_apis.availability.troubles import ParkedTroubles
from process_apis.channel_publication import routes as publication_routes
from process_apis.channel_publication import subscriptions as publication_subscriptions
from process_apis.channel_publication.feeding import FeedOptions
from process_apis.channel_publication.models import Options as PublicationOptions
from process_apis.channel_publication.models import PublishedChannel
from process_apis.channel_publication.process import ChannelPublication
from process_apis.channel_publication.troubles import FigureTroubles, TellingTroubles
from process_apis.customers import routes as customers_routes
from process_apis.customers.known import KnownCustomers
from process_apis.customers.process import Customers
from process_apis.customers.reading import CustomerLists
from process_apis.exceptions import routes as exceptions_routes
from process_apis.exceptions.process import Exceptions
from process_apis.exceptions.rules import effect_of_letter
from process_apis.items import routes as items_routes
from process_apis.items.groups import ItemGroups
from process_apis.items.kits import Kits
from process_apis.items.process import Items
from process_apis.items.substitutes import Substitutes
from process_apis.locations import routes as locations_routes
from process_apis.locations.known import KnownLocations
from process_apis.locations.process import Locations
from process_apis.order_to_ship import routes as order_routes
from process_apis.order_to_ship import subscriptions as order_subscriptions
from process_apis.order_to_ship.channel_progress import OrderProgress
from process_apis.order_to_ship.process import Options as OrderOptions
from process_apis.order_to_ship.process import OrderToShip
from process_apis.order_to_ship.recalling import order_recallers
from process_apis.order_to_ship.selling import Sold
from process_apis.order_to_ship.troubles import OrderTroubles
from process_apis.partner_accounts import routes as partner_account_routes
from process_apis.partner_accounts.process import PartnerAdministration
from process_apis.partner_notifications import routes as notification_routes
from process_apis.partner_notifications import subscriptions as notification_subscriptions
from process_apis.partner_notifications.following import Following
from process_apis.partner_notifications.places import Places
from process_apis.partner_notifications.process import PartnerNotifications
from process_apis.partner_notifications.rendering import RendersByMessage, RendersByVersion
from process_apis.partner_notifications.sharing import SharedBodies
from process_apis.partner_notifications.streaming import EventStreams
from process_apis.partner_notifications.streaming import Options as StreamOptions
from process_apis.partner_notifications.troubles import MessageTroubles
from process_apis.procure_to_pay import routes as procurement_routes
from process_apis.procure_to_pay import subscriptions as procurement_subscriptions
from process_apis.procure_to_pay.process import ProcureToPay
from process_apis.reconciliation import routes as reconciliation_routes
from process_apis.reconciliation.process import Reconciliation
from process_apis.returns import routes as return_routes
from process_apis.returns.process import Returns
from process_apis.returns.returned import Returned
from process_apis.stock_operations import routes as stock_operation_routes
from process_apis.stock_operations import subscriptions as stock_operation_subscriptions
from process_apis.stock_operations.process import OperationTurns, StockOperations

Answer = TypeVar("Answer")
_log: Final = logging.getLogger(__name__)
_PAUSE_SECONDS: Final = 0.5
MESSAGE_VERSIONS: Final = ("v1", "v2")
_ROOT: Final = Path(__file__).parents[1]
PRODUCTS: Final = tuple(sorted(path.parent.name for path in (_ROOT / "system_apis").glob("*/manifest.toml")))


class Core:
    """What the gateway, the worker and the console share. `opened()` connects it and closes it again."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.ring = KeyRing(
            {int(version): _secret(ref, f"secrets.keys.{version}") for version, ref in settings.secrets.keys.items()}
        )
        self.store = Store(_secret(settings.store.url, "store.url").reveal(), size=settings.store.pool)
        self.cache = Cache(_secret(settings.cache.url, "cache.url").reveal(), timeout=settings.cache.timeout_seconds)
        self.nats_url = _secret(settings.backbone.url, "backbone.url").reveal()
        self.cursors = Cursors(_secret(settings.secrets.keys[min(settings.secrets.keys)], "secrets.keys"))
        processes = settings.outbound.processes
        self.budgets = Budgets(self.cache, self.clock, processes=processes or settings.http.workers + 1)
        self.windows = CallWindows(self.store, self.clock, settings.pacing)
        self.visits = Visits(self.store, settings.pacing)
        self.outbound = Outbound(self.clock, budgets=self.budgets, windows=self.windows)
        places = KnownLocations(self.store, self.clock, {settings.tenant: settings.locations})
        self.locations = Locations(
            self.store, self.clock, known=places, systems={*settings.systems, *settings.sources, OWN_SOURCE}
        )
        self.directory = Directory(
            [
                load_system(
                    name,
                    system.product,
                    system.settings,
                    outbound=self.outbound,
                    clock=self.clock,
                    processes=processes or 1,
                    limits=system.limits,
                )
                for name, system in settings.systems.items()
            ],
            places,
            tenant=settings.tenant,
            orders=settings.orders.erp,
        )
        self.items = Items(self.store, self.clock)
        self.kits = Kits(self.store, self.clock, self.items)
        self.substitutes = Substitutes(self.store, self.clock, self.items, self.kits)
        self.customers = Customers(self.store, self.clock)
        self.customer_lists = CustomerLists(self.store, self.clock, settings.customers)
        self.availability = Availability(
            store=self.store,
            cache=self.cache,
            items=self.items,
            kits=self.kits,
            substitutes=self.substitutes,
            groups=ItemGroups(self.clock),
            locations=places,
            clock=self.clock,
            freshness=settings.sources,
            history=settings.history,
        )
        self.orders = OrderToShip(
            self.store,
            self.clock,
            items=self.items,
            claims=self.availability,
            systems=self.directory,
            options=OrderOptions(
                call_timeout=settings.orders.call_seconds,
                per_worker=settings.worker.concurrency,
                freight=settings.freight,
                criticality=settings.orders.criticality,
                invoicing=settings.orders.invoicing,
            ),
            committed=[channel.name for channel in settings.channels if channel.is_committed],
            dated=[channel.name for channel in settings.channels if channel.promise_supply],
            cancel_after={
                channel.name: timedelta(days=channel.cancel_after_days)
                for channel in settings.channels
                if channel.cancel_after_days is not None
            },
            fills={channel.name: channel.fill for channel in settings.channels},
            visits=self.visits,
            customers=KnownCustomers(self.store, self.clock),
            returned=Returned(),
            stated_prices={channel.name: channel.stated_prices for channel in settings.channels},
        )
        self.stock_operations = StockOperations(
            self.store,
            self.clock,
            items=self.items,
            locations=places,
            claims=self.availability,
            records=self.availability,
            positions=self.availability,
            lots=self.availability,
            warehouses=self.directory,
            turning=OperationTurns(call_timeout=settings.orders.call_seconds),
            settings=settings.stock_operations,
        )
        self.returns = Returns(
            self.store,
            self.clock,
            orders=Sold(),
            locations=places,
            records=self.availability,
            warehouses=self.directory,
            creditors=self.directory,
            turning=TurnOptions(call_timeout=settings.orders.call_seconds),
            settings=settings.returns,
        )
        for name in settings.procurement.sources:
            self.directory.instance(name, ReadsPurchases)  # refuses to start where it cannot be read
        self.procurement = ProcureToPay(
            self.store,
            items=self.items,
            locations=places,
            supply=self.availability,
            books=self.directory,
            clock=self.clock,
            options=settings.procurement,
            turning=TurnOptions(call_timeout=settings.orders.call_seconds),
        )
        self.reconciliation = Reconciliation(
            self.store,
            self.clock,
            tenant=settings.tenant,
            stock=self.availability.examiner,
            records=self.availability,
            orders=self.orders,
            items=self.items,
            accounts=self.directory,
            options=settings.reconciliation,
        )
        self.publication = ChannelPublication(
            self.store,
            self.clock,
            tenant=settings.tenant,
            channels=_published(settings, self.directory),
            items=self.items,
            availability=self.availability,
            claims=self.availability,
            rules=self._rule_version,
            orders=self.orders,
            progress=OrderProgress(),
            feeds=[
                FeedOptions(
                    channel=channel.name,
                    folder=Path(channel.feed.folder),
                    delta_seconds=channel.feed.delta_seconds,
                    full_seconds=channel.feed.full_seconds,
                    selling_unit=channel.selling_unit,
                )
                for channel in settings.channels
                if channel.feed is not None
            ],
        )
        self.exceptions = Exceptions(
            self.store,
            [
                LetterTroubles(effect_of_letter),
                ParkedTroubles(self.clock),
                OrderTroubles(self.orders.retry_within),
                MessageTroubles(),
                self.returns.troubles(),
                self.stock_operations.troubles(),
                self.procurement.troubles(),
                TellingTroubles(self.publication.told, OrderProgress()),
                FigureTroubles(self.publication.shown_by),
                self.reconciliation.troubles(),
                RefusalTroubles(),
            ],
            settings.exceptions,
        )
        self.accounts = PartnerAccounts(self.store, self.clock)
        self.partner_accounts = PartnerAdministration(
            self.store,
            self.ring,
            channels=frozenset(channel.name for channel in settings.channels),
            plans=frozenset(settings.rate_limit.plans),
            environment=settings.identity.environment,
            check_limits=check_limits,
        )
        self.currencies = {channel.name: channel.currency for channel in settings.channels}
        self.sender = WebhookSender(_targets(initial_configuration(settings)), self.clock)
        messages = (self.items, self.availability, self.orders)
        storefront = RendersByVersion(
            {
                "v1": messages_v1.StorefrontMessages(*messages),
                "v2": messages_v2.StorefrontMessages(*messages, self.returns),
            }
        )
        supplier = supplier_messages_v1.SupplierMessages(self.procurement)
        self.renderers = RendersByMessage(
            {
                **dict.fromkeys(messages_v2.MESSAGES, storefront),
                **dict.fromkeys(supplier_messages_v1.MESSAGES, supplier),
            }
        )
        self.notifications = PartnerNotifications(
            self.store,
            self.ring,
            renderer=self.renderers,
            sender=self.sender,
        )

        self.events = EventStreams(
            Following(self.store, LogReader()),
            SharedBodies(self.renderers),
            Places(self.cache),
            self.cursors,
            self.clock,
            StreamOptions(
                heartbeat=settings.events.heartbeat_seconds,
                lifetime=settings.events.lifetime_seconds,
                replay=settings.events.replay_hours * 3_600,
                room=settings.events.waiting,
            ),
        )

    async def _rule_version(self, tenant: str, channel: str) -> int:
        return (await self.availability.rule(tenant, channel)).version

    def adopt(self, configuration: Configuration) -> None:
        """Take what holds outside the chain."""
        self.sender.rules = _targets(configuration)
        self.partner_accounts.plans = frozenset(configuration.rate_limit.plans)
        self.windows.paces = self.visits.paces = configuration.pacing

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Connected to record and cache, on the database that the settings name; raises `Misconfigured` if not."""
        await self.store.open()
        try:
            await check_installation(self.store, self.settings.store.installation)
            await self.cache.open()
            async with self.locations.following(self.settings.tenant, self.settings.locations):
                yield self
        finally:
            await self.sender.close()
            await self.outbound.close()
            await self.cache.close()
            await self.store.close()

    def storefront(self) -> dict[str, list[HTTPRouteHandler]]:
        """The storefront's handlers, by version."""
        bound: dict[str, Any] = {
            "items": self.items,
            "availability": self.availability,
            "orders": self.orders,
            "accounts": self.accounts,
            "currencies": self.currencies,
            "cursors": self.cursors,
        }
        more: dict[str, Any] = {"events": self.events, "returns": self.returns}
        return {"v1": storefront_v1.routes(**bound), "v2": storefront_v2.routes(**bound, **more)}

    def masters(self) -> dict[str, Items | Locations | Customers]:
        """The processes of master data, by what their records are called."""
        return {"items": self.items, "locations": self.locations, "customers": self.customers}

    def takes_rows(self) -> dict[str, TakesRows]:
        """Who takes a file of which kind of master data."""
        return {
            "items": self.items,
            "kits": self.kits,
            "substitutes": self.substitutes,
            "locations": self.locations,
            "customers": self.customers,
        }

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who listens to the log, in any worker."""
        return (
            *availability_subscriptions.subscriptions(self.availability),
            *order_subscriptions.subscriptions(self.orders),
            *notification_subscriptions.subscriptions(self.notifications.hint),
            *publication_subscriptions.subscriptions(self.publication.followed, self.publication.hint),
            *publication_subscriptions.telling_subscriptions(list(self.publication.told), self.publication.hint),
            *stock_operation_subscriptions.subscriptions(self.returns.hear, self.procurement.receiving.on_movement),
            *procurement_subscriptions.subscriptions(self.procurement),
        )

    def recallers(self) -> dict[str, RecallsOutcome]:
        """Who tells what became of a lost request, by route id: one for each route that requires a key."""
        placing = (self.orders, self.accounts, self.currencies)
        return {
            "POST /storefront/v1/orders": recalling_v1.RecallsPlacement(*placing),
            "POST /storefront/v1/orders/{order_id}/cancellation": recalling_v1.RecallsCancellation(self.orders),
            "POST /storefront/v2/orders": recalling_v2.RecallsPlacement(*placing),
            "POST /storefront/v2/orders/{order_id}/cancellation": recalling_v2.RecallsCancellation(self.orders),
            "POST /storefront/v2/orders/{order_id}/changes": changes_v2.RecallsChange(self.orders),
            "POST /storefront/v2/returns": returns_v2.RecallsReturn(self.returns),
            "POST /storefront/v2/returns/{return_id}/cancellation": returns_v2.RecallsReturnCancellation(self.returns),
            **order_recallers(self.orders),
        }


def initial_configuration(settings: Settings) -> Configuration:
    """What holds until the first snapshot is applied: what the settings say, but for dates, which add up (`apis`)."""
    return Configuration(
        rate_limit=settings.rate_limit,
        validate_request=settings.validate_request,
        validate_response=settings.validate_response,
        peers=Peers(trusted=settings.http.trusted_peers, hops=settings.http.trusted_hops),
        notifications=Notifications(
            private_targets=settings.notifications.private_targets, plain_http=settings.notifications.plain_http
        ),
        pacing=settings.pacing,
    )


def _published(settings: Settings, directory: Directory) -> list[PublishedChannel]:
    channels = []
    for channel in settings.channels:
        if (chosen := channel.publication) is None:
            continue
        system = directory.system(chosen.system)
        sells = system.offers(ReadsChannelOrders)
        told = chosen.sold_to is not None and system.offers(TakesOrderUpdates)
        channels.append(
            PublishedChannel(
                name=channel.name,
                system=system.name,
                shows=directory.instance(system.name, PublishesAvailability),
                orders=directory.instance(system.name, ReadsChannelOrders) if sells else None,
                sold_to=chosen.sold_to,
                currency=channel.currency,
                selling_unit=channel.selling_unit,
                updates=directory.instance(system.name, TakesOrderUpdates) if told else None,
                options=PublicationOptions(
                    in_flight_buffer=chosen.in_flight_buffer,
                    import_seconds=chosen.import_seconds,
                    sweep_seconds=chosen.sweep_seconds,
                    read_back_seconds=chosen.read_back_seconds,
                    settle=system.manifest.settle_time,
                ),
            )
        )
    return channels


def _targets(configuration: Configuration) -> TargetRules:
    private = configuration.notifications.private_targets
    plain = configuration.notifications.plain_http
    return TargetRules(loopback="127.0.0.0/8" in private, networks=private, plain_http=plain)


def _secret(reference: str, setting: str) -> Secret:
    return resolve_secret(reference, setting=setting)


class Gateway:
    """One gateway process: the router, the chain, and what they need opened.

    `beside` is entered last, once all else is open.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.beside: list[AbstractAsyncContextManager[None]] = []
        self.counters = Counters()
        self.identity = Identity(
            core.store, core.ring, core.settings.identity, core.clock, cache=core.cache, outbound=core.outbound
        )
        self.idempotency = IdempotencyPolicy(
            core.store, core.ring, core.settings.idempotency, recallers=core.recallers(), counters=self.counters
        )
        self.initial = initial_configuration(core.settings)
        limits = self._limits(self.initial)
        self.address_limiter, self.caller_limiter = (
            Limiter(core.cache, core.clock, name=name, buckets=limits.buckets, counters=self.counters)
            for name in ("address", "caller")
        )
        self.plan_book = PlanBook(workers=limits.workers)
        self.identity.trust.plans_changed = self.plan_book.replace
        self._plans = limits
        core.events.allowed = self._streams_allowed
        self.audit = Audit(writes_to(core.store), core.clock)
        self.violations = (
            Violations("request", self.counters, core.clock),
            Violations("response", self.counters, core.clock, self._alert),
        )
        self.contradictions = Contradictions(self.counters)
        self.usage = Usage(adds_usage_to(core.store))
        self.explain = Collector(
            core.store,
            core.clock,
            core.settings.explain,
            worker=f"{socket.gethostname()}/{os.getpid()}",
            names=WAY_IN,
            held=lambda: self.follower.held.version,
            sample=lambda: self.doorway.door.record_next_read(),  # noqa: PLW0108  # the door changes
            counters=self.counters,
        )
        tracer, self._end_tracing = _tracing(core.settings.tracing)
        core.outbound.tracer = tracer
        self.trace = Trace(TraceOptions(sample=core.settings.tracing.sample), tracer)
        self.access = AccessLog(self.counters, core.clock, sys.stdout.write, keep=self.explain)
        self.proxied = load_proxied(
            core.settings.proxied, clock=core.clock, counters=self.counters, parse=parse_json, budgets=core.budgets
        )
        self.apis = apis_of(core, [wrapped_api(api) for api in self.proxied])
        self._migrations = component_migrations()
        self._readiness = {
            "record": self._record_answers,
            "schema": self._schema_fits,
            "configuration": self._is_configured,
        }
        handlers = [
            *(handler for api in self.apis for handler in api.handlers),
            *identity_routes(self.identity, _scopes_of(self.apis)),
            *intake_routes(core.directory, core.availability, core.orders.milestones, tenant=core.settings.tenant),
            *health_routes(
                self._readiness,
                draining=lambda: self.doorway.draining,
                facts=lambda: {"configuration": self.follower.held},
            ),
            *catalogue_routes([catalogue_entry(api) for api in self.apis], self._contract),
        ]
        self.router, self.routes = make_litestar(handlers, lifespan=[self._opened])
        direct = dict(direct_handlers(self.router, self.routes))
        served = [operation for api in self.proxied for operation in api.served]
        for operation in served:
            self.routes.add(operation.route, operation.segments)
        self._names = {route.id: (route.api, route.version) for route in self.routes.routes}
        self._refuse_unknown_names()
        self.door = FrontDoor(
            self.router,
            self.routes,
            self._policies(),
            core.clock,
            body_seconds=core.settings.http.body_seconds,
            observe=self.access,
            direct=direct | {operation.route.id: operation.direct for operation in served if operation.direct},
            streams={operation.route.id: operation.stream for operation in served if operation.stream},
        )
        self.doorway = Doorway(self.door)
        self.follower = Follower(core.store, core.clock, role="gateway", initial=self.initial, adopt=self.adopt)
        show_state(
            self.counters,
            self.doorway,
            limiters={"caller": self.caller_limiter, "address": self.address_limiter},
            breakers=self._breakers,
            configuration=lambda: self.follower.held.version,
        )

    def adopt(self, configuration: Configuration) -> None:
        """Let who comes from now on pass a chain made of `configuration`; raises, and changes nothing, if it cannot."""
        check(configuration)
        policies = self._policies(configuration)
        self.core.adopt(configuration)
        self._plans = configuration.rate_limit
        self.doorway.put_up(policies)

    def check_configuration(self, configuration: Configuration) -> None:
        """Raise what is wrong with `configuration`, as far as it can be told before any worker tries it."""
        check(configuration)
        check_names(configuration, routes=self._names)
        if unknown := [
            f"pacing: {with_nearest(name, self.core.settings.systems)}"
            for name in configuration.pacing
            if name not in self.core.settings.systems
        ]:
            raise Rejected(f"no system is configured as that: {'; '.join(unknown)}", code="configuration.unknown_name")
        self.door.with_policies(self._policies(configuration))

    def _refuse_unknown_names(self) -> None:
        """Raise `Misconfigured` where the settings name an operation or an API that nothing serves."""
        unknown = unknown_names(self.initial, routes=self._names)
        unknown += [
            f"idempotency.retention: {with_nearest(route, self._names)}"
            for route in self.core.settings.idempotency.retention
            if route not in self._names
        ]
        if unknown:
            raise Misconfigured(f"the settings name what nothing here serves: {'; '.join(unknown)}")

    def _alert(self, route: str, request_id: str, why: str) -> None:
        """An answer of ours breaks its contract: kept in the audit trail, where operations look."""
        self.audit.queue.offer(
            AuditEntry(
                tenant=self.core.settings.tenant,
                actor="gateway",
                action="alert",
                subject=route,
                outcome="response.invalid",
                correlation_id=request_id,
                detail={"request_id": request_id, "why": why},
            )
        )

    def _streams_allowed(self, principal: Principal) -> int:
        administered = self.plan_book.streams.get((principal.tenant, principal.plan))
        if administered is not None:
            return administered
        plans = self._plans.plans
        return plans.get(principal.plan, plans[self._plans.fallback_plan]).streams

    def _limits(self, configuration: Configuration) -> RateLimitOptions:
        return msgspec.structs.replace(configuration.rate_limit, workers=self.core.settings.http.workers)

    def _policies(self, configuration: Configuration | None = None) -> list[Policy]:
        """The chain as `configuration` has it. What counts, remembers or waits is one and the same in every chain."""
        core, configuration = self.core, configuration or self.initial
        limits, counters = self._limits(configuration), self.counters
        asked, answered = self.violations
        peers, lifecycles = configuration.peers, dated(with_dates(self.apis, configuration.lifecycles))
        rate_limit = RateLimit(
            core.cache, core.clock, limits, counters, limiter=self.caller_limiter, book=self.plan_book
        )
        return [
            CanonicalRequest(),
            MessageHygiene(MessageHygieneOptions(trusted_peers=peers.trusted, hops=peers.hops)),
            self.trace,
            PreAuthenticationLimit(core.cache, core.clock, limits, counters, limiter=self.address_limiter),
            Version(self.routes, core.clock, VersionOptions(lifecycles=lifecycles), self.usage),
            Authenticate(self.identity, self._challenges()),
            Authorise(AuthoriseOptions(tenant=core.settings.tenant)),
            rate_limit,
            self.idempotency,
            ValidateRequest(configuration.validate_request, asked),
            LineCost(rate_limit),
            ValidateResponse(configuration.validate_response, answered),
            Deprecation(DeprecationOptions(lifecycles=lifecycles), self.contradictions),
            self.audit,
        ]

    def _challenges(self) -> AuthenticateOptions:
        issuer = self.core.settings.identity.issuer
        return AuthenticateOptions(resource_metadata=issuer + RESOURCE_METADATA, dpop_algorithms=DPOP_ALGORITHMS)

    @asynccontextmanager
    async def _opened(self, _: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.core.opened())
            stack.push_async_callback(asyncio.to_thread, self._end_tracing)
            await stack.enter_async_context(self.follower.following())
            await self.identity.open()
            stack.push_async_callback(self.identity.close)
            for api in self.proxied:
                stack.push_async_callback(api.close)
            await self.idempotency.open()
            stack.push_async_callback(self.idempotency.close)
            stack.push_async_callback(self.caller_limiter.close)
            stack.push_async_callback(self.address_limiter.close)
            await stack.enter_async_context(self.audit.queue.writing())
            await stack.enter_async_context(self.usage.counting())
            await stack.enter_async_context(self.access.writing())
            await stack.enter_async_context(self.explain.collecting())
            await stack.enter_async_context(background(self._follow_log(), name="events"))
            standing = Standing(self.doorway, self.identity.recheck)
            await stack.enter_async_context(background(standing.run(), name="standing"))
            for each in self.beside:
                await stack.enter_async_context(each)
            yield

    async def _follow_log(self) -> None:
        """Feed the streams of events of this process, from one tail of the log, once somebody listens."""
        await self.core.events.following.begun()
        core, log = self.core, Backbone(self.core.store, self.core.nats_url, self.core.clock)
        async with background(core.events.following.run(log), name="events-tail"):
            while True:
                try:
                    await log.run((), asyncio.Event(), relay=False)
                except* CrossdockError as group:
                    _log.warning("the log cannot be followed: %s", group.exceptions[0])
                await asyncio.sleep(_PAUSE_SECONDS)

    async def require_ready(self) -> None:
        """Raise what keeps this process from serving, as ``/readyz`` tells it."""
        for answers in self._readiness.values():
            await answers()

    def _breakers(self) -> Iterator[Breaker]:
        yield from self.core.outbound.breakers()
        yield from (api.upstream.breaker for api in self.proxied)

    async def _record_answers(self) -> None:
        await self.core.store.fetchval("select 1")

    async def _schema_fits(self) -> None:
        await require_migrations(self.core.store, self._migrations)

    def _contract(self, anchor: str) -> str:
        return render(build_document(next(api for api in self.apis if api.anchor == anchor)))

    async def _is_configured(self) -> None:
        await self.follower.require()


def _tracing(settings: TracingSettings) -> tuple[Tracer | None, Callable[[], None]]:
    headers = {name: _secret(value, f"tracing.headers.{name}").reveal() for name, value in settings.headers.items()}
    exporter = None if settings.endpoint is None else to_collector(settings.endpoint, headers)
    return open_tracing(exporter, service="crossdock-gateway", version=version("crossdock"))


def _scopes_of(apis: Sequence[Api]) -> frozenset[str]:
    """Every scope that any operation asks for."""
    ours = frozenset(scope for api in apis for handler in api.handlers for scope in handler.opt.get("scopes", ()))
    wrapped = [api.wrapped for api in apis if api.wrapped is not None]
    return ours | {scope for each in wrapped for operation in each.operations for scope in operation.route.scopes}


def build_console(settings: Settings) -> ASGIApp:
    """The console's ASGI application; it connects when its lifespan starts."""
    core = Core(settings)
    openid = _openid_sign_in(core)
    follower = Follower(
        core.store, core.clock, role="console", initial=initial_configuration(settings), adopt=core.adopt
    )

    @asynccontextmanager
    async def opened(_: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(core.opened())
            await stack.enter_async_context(follower.following())
            if openid is not None:
                stack.push_async_callback(openid.close)
            yield

    token = settings.console.bootstrap_token
    return make_console(
        store=core.store,
        clock=core.clock,
        tenant=settings.tenant,
        orders=core.orders,
        messages=core.notifications,
        regions=core.availability,
        channels=core.publication,
        oversold=core.orders,
        masters=core.masters(),
        reconciliation=core.reconciliation,
        operations=core.stock_operations,
        queue=core.exceptions,
        returns=core.returns,
        purchases=core.procurement,
        pacing=core.visits,
        workers=WorkerDesk(core.store, settings.tenant),
        bootstrap=None if token is None else _secret(token, "console.bootstrap_token"),
        https=settings.console.https,
        openid=openid,
        sessions=SessionTimes(
            lifetime_seconds=settings.console.session_seconds, idle_seconds=settings.console.idle_seconds
        ),
        explain_hours=settings.explain.hours,
        lifespan=[opened],
    )


def _openid_sign_in(core: Core) -> OpenIdSignIn | None:
    console = core.settings.console
    if console.openid is None:
        return None
    reference = console.openid.client_secret
    return OpenIdSignIn(
        console.openid,
        None if reference is None else _secret(reference, "console.openid.client_secret"),
        (console.public_url or "").rstrip("/") + CALLBACK,
        signed_out_uri=(console.public_url or "").rstrip("/") + SIGN_IN,
        outbound=core.outbound,
        clock=core.clock,
    )


def apis_of(core: Core, proxied: Sequence[Api] = ()) -> tuple[Api, ...]:
    """Every API version that is served, with its owners and dates; `proxied` are those that the settings wrap."""
    exclusive = order_locks(core.store)
    apis = [
        *component_api(
            "experience_apis/storefront",
            core.storefront(),
            {"v1": messages_v1.MESSAGES, "v2": messages_v2.MESSAGES},
        ),
        *component_api(
            "experience_apis/supplier",
            {"v1": supplier_v1.routes(procurement=core.procurement, cursors=core.cursors)},
            {"v1": supplier_messages_v1.MESSAGES},
        ),
        *component_api("process_apis/items", {"v1": items_routes.routes(core.items, core.kits, core.substitutes)}),
        *component_api("process_apis/customers", {"v1": customers_routes.routes(core.customers)}),
        *component_api("process_apis/locations", {"v1": locations_routes.routes(core.locations)}),
        *component_api("process_apis/availability", {"v1": availability_routes.routes(core.availability)}),
        *component_api("process_apis/channel_publication", {"v1": publication_routes.routes(core.publication)}),
        *component_api("process_apis/exceptions", {"v1": exceptions_routes.routes(core.exceptions)}),
        *component_api("process_apis/order_to_ship", {"v1": order_routes.routes(core.orders)}),
        *component_api("process_apis/partner_accounts", {"v1": partner_account_routes.routes(core.partner_accounts)}),
        *component_api("process_apis/partner_notifications", {"v1": notification_routes.routes(core.notifications)}),
        *component_api("process_apis/procure_to_pay", {"v1": procurement_routes.routes(core.procurement)}),
        *component_api("process_apis/reconciliation", {"v1": reconciliation_routes.routes(core.reconciliation)}),
        *component_api("process_apis/returns", {"v1": return_routes.routes(core.returns)}),
        *component_api("process_apis/stock_operations", {"v1": stock_operation_routes.routes(core.stock_operations)}),
    ]
    for manifest in map(load_manifest, PRODUCTS):
        apis += system_api(manifest, product_routes(manifest, core.directory, exclusive))
    return with_dates(distinct([*apis, *proxied]), core.settings.lifecycles)


def component_migrations() -> list[Migration]:
    """The migrations of every component, those of the store first."""
    folders = [
        folder
        for top in ("gateway", "policies", "process_apis")
        for folder in sorted((_ROOT / top).glob("*/migrations"))
    ]
    first = [folder for folder in folders if folder.parent.name == "store"]
    return find_migrations([*first, *(folder for folder in folders if folder not in first)])


async def migrate_record(url: str, *, expected: str | None = None, progress: Callable[[str], None]) -> str:
    """Bring every table up to date, durable ones included; returns the installation's id.

    `expected` is the id the database must have; None sets up an empty one, or takes whatever is there.
    """
    await migrate(url, component_migrations(), progress, installation=expected)
    await migrate_durable(url)
    store = Store(url, size=1)
    await store.open()
    try:
        return (await check_installation(store, None)).identity
    finally:
        await store.close()


async def administer(settings: Settings, work: Callable[[Connection, KeyRing], Awaitable[Answer]]) -> Answer:
    """Do `work` in one transaction on the record that the settings name."""
    core = Core(settings)
    await core.store.open()
    try:
        await check_installation(core.store, settings.store.installation)
        async with core.store.transaction() as connection:
            return await work(connection, core.ring)
    finally:
        await core.store.close()


def published_apis(installed: Settings | None = None) -> tuple[Api, ...]:
    """Every API version as the code serves it, for `crossdock contracts`: built on a core that is never opened.

    With the settings of an installation (`installed`): those that it wraps as well, and its dates.
    """
    proxied = {} if installed is None else installed.proxied
    with TemporaryDirectory() as folder:
        path = Path(folder) / "secret"
        reference = f"file:{path}"
        keys = SecretSettings(keys={"1": reference})
        path.write_text("redis://127.0.0.1:1/0?only-so-that-the-contracts-can-be-built", encoding="utf-8")
        settings = Settings(
            tenant="contracts",
            secrets=keys,
            store=StoreSettings(url=reference, installation=""),
            backbone=BackboneSettings(url=reference),
            cache=CacheSettings(url=reference),
        )
        dates = () if installed is None else installed.lifecycles
        return apis_of(Core(msgspec.structs.replace(settings, lifecycles=dates)), described(proxied))
