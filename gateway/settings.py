"""The one typed settings tree. Read from a TOML file; unknown names are refused, secrets are references.

`crossdock up` writes such a file for the engines that it starts; a production set-up writes its own
(`deploy/config/`). What stands here is what an operator decides; business rules are data in the record.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.location import Location
from gateway.kernel.errors import Misconfigured

SETTINGS_VARIABLE: Final = "CROSSDOCK_SETTINGS"


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class StoreSettings(_Section):
    """The record. `url` is a secret reference to a PostgreSQL URL; `installation` must match the database's own id."""

    url: str
    installation: str
    pool: int = 10


class BackboneSettings(_Section):
    """The carrier: a secret reference to a NATS URL."""

    url: str


class CacheSettings(_Section):
    """The cache: a secret reference to a Valkey or Redis URL."""

    url: str


class HttpSettings(_Section):
    """Where the gateway listens. `public_url` is how partners reach it: issuer and links are made of it."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    public_url: str = "http://127.0.0.1:8080"
    trusted_peers: tuple[str, ...] = ()
    trusted_hops: int = 0


class IdentitySettings(_Section):
    """Secret references: `key_encryption` protects what is stored; each pepper keys API key digests by its version."""

    key_encryption: str
    peppers: Mapping[str, str]
    audience: str = "crossdock"
    token_seconds: int = 900


class RateLimitSettings(_Section):
    """Limits in the notation of the `limits` package, by plan; `before_authentication` is by peer address."""

    before_authentication: str = "6000/minute"
    plans: Mapping[str, str] = {"standard": "1200/minute", "internal": "60000/minute"}
    store_down: str = "local_share"


class SystemSettings(_Section):
    """One configured instance of an adapter; `settings` are the adapter's own."""

    product: str
    settings: dict[str, Any]


class ChannelSettings(_Section):
    """One sales channel. Pre-commit channels can be refused for stock, buyer-committed ones cannot."""

    name: str
    buyer_committed: bool = False


class OrderSettings(_Section):
    """Order to ship: the ERP instance that takes orders, and how long a reservation stands, in seconds."""

    erp: str | None = None
    reservation_seconds: int = 900


class NotificationSettings(_Section):
    """Partner webhooks: `private_targets` lists networks (CIDR) that may be called although they are private."""

    private_targets: tuple[str, ...] = ()


class ConsoleSettings(_Section):
    """The console's own listener; loopback unless told otherwise."""

    host: str = "127.0.0.1"
    port: int = 8081
    bootstrap_token: str | None = None


class WorkerSettings(_Section):
    """How many workflows one worker runs at once, and how often it asks silent systems, in seconds."""

    concurrency: int = 16
    poll_seconds: float = 30.0
    takeover_seconds: float = 10.0


class Settings(_Section):
    """The whole tree."""

    tenant: str
    store: StoreSettings
    backbone: BackboneSettings
    cache: CacheSettings
    identity: IdentitySettings
    orders: OrderSettings = OrderSettings()
    http: HttpSettings = HttpSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    systems: Mapping[str, SystemSettings] = {}
    locations: tuple[Location, ...] = ()
    channels: tuple[ChannelSettings, ...] = ()
    notifications: NotificationSettings = NotificationSettings()
    console: ConsoleSettings = ConsoleSettings()
    worker: WorkerSettings = WorkerSettings()


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
    return parse_settings(text, name=str(path))


def parse_settings(text: str, *, name: str) -> Settings:
    """Decode settings strictly; `name` tells where they come from in errors."""
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{name}: {error}") from error
    _cross_check(settings, name)
    return settings


def _cross_check(settings: Settings, name: str) -> None:
    for location in settings.locations:
        for instance in (location.holder, location.poster_to, *location.codes):
            if instance is not None and instance not in settings.systems:
                raise Misconfigured(
                    f"{name}: location {location.location} names the system {instance!r}: define it in [systems]"
                )
    if settings.orders.erp is not None and settings.orders.erp not in settings.systems:
        raise Misconfigured(f"{name}: orders.erp names {settings.orders.erp!r}, which [systems] does not define")
