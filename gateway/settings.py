"""The one typed settings tree. Read from a TOML file; unknown names are refused, secrets are references.

`crossdock up` writes such a file for the engines that it starts; a production set-up writes its own
(`deploy/config/`). What stands here is what an operator decides; business rules are data in the record.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.location import Location
from gateway.canonical.order import FillPolicy
from gateway.canonical.stock import OWN_SOURCE
from gateway.explain.options import ExplainOptions
from gateway.identity.addresses import is_guarded
from gateway.identity.openid_options import OpenIdOptions
from gateway.identity.options import IdentityOptions
from gateway.kernel.errors import Misconfigured
from gateway.kernel.lifecycle import Lifecycle
from gateway.pacing.options import SystemPace
from gateway.systems.manifest import ManifestLimits
from gateway.systems.proxied.options import ProxiedOptions
from policies.idempotency.options import IdempotencyOptions
from policies.rate_limit.options import RateLimitOptions
from policies.validate_request.options import ValidateRequestOptions
from policies.validate_response.options import ValidateResponseOptions
from process_apis.availability.files import FileDropOptions
from process_apis.availability.freshness import SourceObjectives
from process_apis.availability.history import HistoryOptions
from process_apis.customers.models import SourceOptions as CustomerSourceOptions
from process_apis.exceptions.options import ExceptionOptions
from process_apis.order_to_ship.freight_options import Criticality, FreightOptions
from process_apis.order_to_ship.invoice_rules import InvoicingOptions
from process_apis.order_to_ship.stated_prices import StatedPrices
from process_apis.procure_to_pay.options import ProcurementOptions
from process_apis.reconciliation.options import ReconciliationOptions
from process_apis.returns.options import ReturnOptions
from process_apis.stock_operations.options import StockOperationsOptions

SETTINGS_VARIABLE: Final = "CROSSDOCK_SETTINGS"
_SHORTEST_IDLE_S: Final = 60
_LONGEST_SESSION_S: Final = 604_800
_LONGEST_CACHE_S: Final = 10.0
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PATH_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record. `url` is a secret reference to a PostgreSQL URL; `installation` must match the database's own id."""

    url: str
    installation: str
    pool: int = 10


class BackboneSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The carrier: a secret reference to a NATS URL. A replay of the log begins `replay_days` ago at the earliest."""

    url: str
    replay_days: float = 30.0

    def __post_init__(self) -> None:
        if self.replay_days <= 0:
            raise Misconfigured("backbone.replay_days is above 0")


class CacheSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cache: a secret reference to a Valkey or Redis URL. A call waits `timeout_seconds` for it at most."""

    url: str
    timeout_seconds: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.timeout_seconds <= _LONGEST_CACHE_S:
            raise Misconfigured("cache.timeout_seconds must be more than 0 and at most 10")


class HttpSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens. `public_url` is how partners reach it: issuer and links are made of it.

    Told to stop, it is unready for `pause_seconds` before it closes its listener. Then, and when a worker is replaced,
    what is in flight has `drain_seconds` to end.

    A client has `header_seconds` for its headers and `body_seconds` for its body before it is given up.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    public_url: str = "http://127.0.0.1:8080"
    trusted_peers: tuple[str, ...] = ()
    trusted_hops: int = 1
    pause_seconds: float = 1.0
    drain_seconds: float = 8.0
    header_seconds: float = 15.0
    body_seconds: float = 10.0


class EventSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Streams of events for partners: one that is silent says so every `heartbeat_seconds`.

    A stream ends after `lifetime_seconds`, and its client comes again. What happened in the last `replay_hours` is told
    to who comes again. A slow reader may leave `waiting` events unread before its stream ends. How many a partner may
    have open stands in its plan.
    """

    heartbeat_seconds: float = 15.0
    lifetime_seconds: float = 3_600.0
    replay_hours: float = 24.0
    waiting: int = 1_000

    def __post_init__(self) -> None:
        if min(self.heartbeat_seconds, self.lifetime_seconds, self.replay_hours) <= 0 or self.waiting < 1:
            raise Misconfigured("events: times must be above 0, and waiting at least 1")


class MetricsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures of all gateway workers, for Prometheus: a listener of its own, on loopback unless told otherwise.

    Without a `port` there is none. `worker_port` is that of `crossdock worker`, whose figures stand apart. Whoever
    reaches them may read them, so keep them from partners.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    worker_port: int | None = None

    def __post_init__(self) -> None:
        if self.port is not None and self.port == self.worker_port:
            raise Misconfigured("metrics.worker_port must not be metrics.port: both may run on one machine")


class TracingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where spans go: the `endpoint` of a collector for OTLP over HTTP, such as ``http://127.0.0.1:4318/v1/traces``.

    Without one no spans are made. `headers` are secret references, for collectors that want credentials. `sample` is
    the share of requests (0 to 1) that are traced, decided by us whatever callers say.
    """

    endpoint: str | None = None
    headers: Mapping[str, str] = {}
    sample: float = 0.01

    def __post_init__(self) -> None:
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise Misconfigured("tracing.endpoint must be the http or https URL of an OTLP collector, path included")
        if not 0 <= self.sample <= 1:
            raise Misconfigured("tracing.sample is a share between 0 and 1")


class SecretSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Master keys by version, each a secret reference; the newest seals, all open. See `gateway.kernel.keyring`."""

    keys: Mapping[str, str]


class SystemSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One configured instance of an adapter; `settings` are its own, `limits` replace those of its manifest."""

    product: str
    settings: dict[str, Any]
    limits: ManifestLimits | None = None


class OutboundSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls to other systems: how many `processes` of gateway and worker run in all, on all machines.

    A system's concurrency is split evenly among them (not at all when left out). A system's rate is one budget in the
    cache; while that is down it is split as well (among `http.workers` and one worker when left out).
    """

    processes: int | None = None

    def __post_init__(self) -> None:
        if self.processes is not None and self.processes < 1:
            raise Misconfigured("outbound.processes is how many processes share a system's limits: at least 1")


class PublicationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Publication of a channel's figures to the instance `system`, a shop or marketplace that shows them.

    With `sold_to` the shop's own orders are booked under that account and go on to ERP and warehouse; without it they
    are promised and allocated, and nothing more. `in_flight_buffer` units are held back where the vendor cannot compare
    before it sets. Its orders are read every `import_seconds` at least, a sample of its figures every
    `read_back_seconds`, and all is reckoned again every `sweep_seconds`.
    """

    system: str
    sold_to: str | None = None
    in_flight_buffer: int = 0
    import_seconds: float = 5.0
    read_back_seconds: float = 60.0
    sweep_seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.in_flight_buffer < 0 or min(self.import_seconds, self.read_back_seconds, self.sweep_seconds) <= 0:
            raise Misconfigured("publication: the buffer must be at least 0, times above 0")


class FeedSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Feed files of what may be sold, written to `folder` by a worker: CSV with a checksum.

    One with what changed `delta_seconds` after the last at the earliest, one with everything every `full_seconds`.
    """

    folder: str
    delta_seconds: float = 60.0
    full_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        if min(self.delta_seconds, self.full_seconds) <= 0:
            raise Misconfigured("feed: times must be above 0")


class ChannelSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sales channel and the currency (ISO 4217) it sells in.

    An order of a channel that is `buyer_committed` (a marketplace: the sale has happened) is never refused for stock:
    what can be allocated is, the rest is backordered and counted as oversold. Others can be refused. A channel with a
    publication sells by itself, so it is committed without saying so. With `promise_supply` an order of another channel
    is accepted as well where supply that is known covers what stock cannot give, and says when it is expected. What
    still waits `cancel_after_days` after an order was placed is cancelled. `selling_unit` (UN/ECE Rec 20, ``CS``) is
    what its publication and its feed count in, of items that have it in whole base units; others in their base unit.
    `fill` says how lines leave of an order that waits in part, unless the order says so itself: ``complete`` (all
    together), ``line_complete`` (each when all of it is there), ``partial`` (what is there, the rest later). With
    ``fill_or_kill`` they never wait for supply. `stated_prices`: how far a price that a buyer states may be off ours,
    and what becomes of the order where it is further off.
    """

    name: str
    currency: str = "USD"
    buyer_committed: bool | None = None
    promise_supply: bool = False
    cancel_after_days: float | None = None
    fill: FillPolicy = "complete"
    publication: PublicationSettings | None = None
    feed: FeedSettings | None = None
    selling_unit: str | None = None
    stated_prices: StatedPrices = StatedPrices()

    def __post_init__(self) -> None:
        if self.selling_unit is not None and self.publication is not None and self.publication.sold_to is not None:
            raise Misconfigured(
                f"channel {self.name!r}: orders that go on to the ERP are priced per base unit: leave selling_unit or "
                "sold_to out"
            )
        if self.feed is not None and not _FILE_NAME.fullmatch(self.name):
            raise Misconfigured(f"channel {self.name!r} names files: use letters, digits, hyphens and underscores")
        if self.cancel_after_days is not None and self.cancel_after_days <= 0:
            raise Misconfigured(f"channel {self.name!r}: cancel_after_days is above 0, or left out")
        if self.fill == "fill_or_kill" and self.is_committed:
            raise Misconfigured(
                f"channel {self.name!r} cannot refuse what was bought: fill is complete, line_complete or partial"
            )
        if self.publication is not None and self.buyer_committed is False:
            raise Misconfigured(
                f"channel {self.name!r} is published, so it sells without asking: leave buyer_committed out, or true"
            )

    @property
    def is_committed(self) -> bool:
        """Whether what it sold cannot be refused."""
        return self.publication is not None if self.buyer_committed is None else self.buyer_committed


class OrderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Order to ship: the ERP instance that takes orders.

    A call to another system that has not answered after `call_seconds` is given up, and what it did is looked up.
    `criticality` says, by instance, what an order does while a system beside ERPs and warehouses is down: ``degrade``
    (go on, and ask it later; the default) or ``critical`` (wait for it). `invoicing` names the ERPs that are asked to
    bill each shipment; an order there is completed when all of it is billed.
    """

    erp: str | None = None
    call_seconds: float = 20.0
    criticality: Mapping[str, Criticality] = {}
    invoicing: InvoicingOptions = InvoicingOptions()


class NotificationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Partner webhooks: `private_targets` lists networks (CIDR) that may be called although they are private.

    `plain_http` lets them go to ``http://`` addresses, where anybody on the way reads and changes them.
    """

    private_targets: tuple[str, ...] = ()
    plain_http: bool = False


class ConsoleSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The console's own listener; loopback unless told otherwise. `https`: people reach it over TLS.

    `public_url` is how people reach it, for the OpenID provider to send them back to; needed with `openid`. Sessions
    end `session_seconds` after sign-in, or `idle_seconds` after the last page.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    https: bool = False
    bootstrap_token: str | None = None
    public_url: str | None = None
    openid: OpenIdOptions | None = None
    session_seconds: float = 43_200.0
    idle_seconds: float = 3_600.0

    def __post_init__(self) -> None:
        if self.openid is not None and (self.public_url is None or not is_guarded(self.public_url)):
            raise Misconfigured("console.public_url must be the console's https URL: console.openid needs it")
        if not _SHORTEST_IDLE_S <= self.idle_seconds <= self.session_seconds <= _LONGEST_SESSION_S:
            raise Misconfigured("console: needs 60 <= idle_seconds <= session_seconds <= 604800 (a week)")


class WorkerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many workflows one worker runs at once, and how often it asks silent systems, in seconds.

    A list of items that takes longer than a twentieth of that to read is read the more seldom.
    """

    concurrency: int = 16
    poll_seconds: float = 30.0
    takeover_seconds: float = 10.0


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole tree."""

    tenant: str
    store: StoreSettings
    backbone: BackboneSettings
    cache: CacheSettings
    secrets: SecretSettings
    orders: OrderSettings = OrderSettings()
    freight: FreightOptions = FreightOptions()
    http: HttpSettings = HttpSettings()
    events: EventSettings = EventSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    identity: IdentityOptions = IdentityOptions()
    rate_limit: RateLimitOptions = RateLimitOptions()
    idempotency: IdempotencyOptions = IdempotencyOptions()
    validate_request: ValidateRequestOptions = ValidateRequestOptions()
    validate_response: ValidateResponseOptions = ValidateResponseOptions()
    outbound: OutboundSettings = OutboundSettings()
    systems: Mapping[str, SystemSettings] = {}
    proxied: Mapping[str, ProxiedOptions] = {}
    locations: tuple[Location, ...] = ()
    customers: Mapping[str, CustomerSourceOptions] = {}
    sources: Mapping[str, SourceObjectives] = {}
    history: HistoryOptions = HistoryOptions()
    files: Mapping[str, FileDropOptions] = {}
    channels: tuple[ChannelSettings, ...] = ()
    notifications: NotificationSettings = NotificationSettings()
    console: ConsoleSettings = ConsoleSettings()
    worker: WorkerSettings = WorkerSettings()
    explain: ExplainOptions = ExplainOptions()
    reconciliation: ReconciliationOptions = ReconciliationOptions()
    exceptions: ExceptionOptions = ExceptionOptions()
    stock_operations: StockOperationsOptions = StockOperationsOptions()
    returns: ReturnOptions = ReturnOptions()
    procurement: ProcurementOptions = ProcurementOptions()
    pacing: Mapping[str, SystemPace] = {}
    lifecycles: tuple[Lifecycle, ...] = ()


def load_settings(path: Path | None = None) -> Settings:
    """Read the file given, or the one named by CROSSDOCK_SETTINGS. Raises `Misconfigured` saying what to change."""
    if path is None:
        named = os.environ.get(SETTINGS_VARIABLE)
        if not named:
            raise Misconfigured(
                f"no settings: name a file in {SETTINGS_VARIABLE} or with --settings; `crossdock up` starts everything "
                "on this machine without one"
            )
        path = Path(named)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"cannot read settings {path}: {error.strerror}") from error
    settings = parse_settings(text, name=str(path))
    found = {
        name: msgspec.structs.replace(
            options,
            openapi=str(path.parent / options.openapi),
            ca_file=None if options.ca_file is None else str(path.parent / options.ca_file),
        )
        for name, options in settings.proxied.items()
    }
    return msgspec.structs.replace(settings, proxied=found) if found else settings


def parse_settings(text: str, *, name: str) -> Settings:
    """Decode settings strictly; `name` tells where they come from in errors."""
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{name}: {error}") from error
    _cross_check(settings, name)
    _check_lists(settings, name)
    return settings


def _sources_of(settings: Settings, name: str) -> frozenset[str]:
    """Who may hold stock: what is configured, and we ourselves."""
    configured = {*settings.systems, *settings.sources}
    if OWN_SOURCE in configured:
        raise Misconfigured(f"{name}: {OWN_SOURCE!r} is what we record ourselves: name the system otherwise")
    return frozenset({*configured, OWN_SOURCE})


def _check_lists(settings: Settings, name: str) -> None:
    carriers = {carrier for rule in settings.freight.rules for carrier in rule.carriers}
    for instance in sorted({*carriers, *settings.orders.criticality, *settings.orders.invoicing.systems}):
        if instance not in settings.systems:
            raise Misconfigured(
                f"{name}: freight, orders.criticality or orders.invoicing name {instance!r}: define it in [systems]"
            )
    for instance in settings.customers:
        if instance not in settings.systems:
            raise Misconfigured(f"{name}: [customers.{instance}] is about no system: define {instance!r} in [systems]")
    for instance in settings.pacing:
        if instance not in settings.systems:
            raise Misconfigured(f"{name}: [pacing.{instance}] is about no system: define {instance!r} in [systems]")


def _cross_check(settings: Settings, name: str) -> None:
    for proxied, options in settings.proxied.items():
        if not _PATH_NAME.fullmatch(proxied) or not _PATH_NAME.fullmatch(options.name or proxied):
            raise Misconfigured(f"{name}: [proxied.{proxied}] becomes a path: name it in lower case, with hyphens")
    known = _sources_of(settings, name)
    for location in settings.locations:
        if location.stand_by is not None and location.stand_by not in location.codes:
            raise Misconfigured(f"{name}: location {location.location}: give its stand_by a code in codes")
        for instance in (location.holder, location.poster_to, *location.codes):
            if instance is not None and instance not in known:
                raise Misconfigured(
                    f"{name}: location {location.location} names {instance!r}: define it in [systems], or in [sources] "
                    "if it only reports to us"
                )
    for channel in settings.channels:
        if channel.publication is not None and channel.publication.system not in settings.systems:
            raise Misconfigured(
                f"{name}: channel {channel.name} is published to {channel.publication.system!r}: define it in [systems]"
            )
    if settings.orders.erp is not None and settings.orders.erp not in settings.systems:
        raise Misconfigured(f"{name}: orders.erp names {settings.orders.erp!r}, which [systems] does not define")
