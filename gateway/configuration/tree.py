"""The configuration: everything about the door that may change while it serves, as one typed tree.

Settings (`gateway/settings.py`) are a file, read once when a process starts: addresses, secrets, what is connected.
Configuration is data in the record: what partners may do, by when, and whom we believe. The settings' own values
hold until the first snapshot is applied; from then on a snapshot holds whole, and what it leaves out has its default.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.kernel.errors import CrossdockError, Misconfigured, Rejected
from gateway.kernel.lifecycle import Lifecycle
from gateway.kernel.spelling import with_nearest
from gateway.kernel.toml_text import toml_text
from gateway.pacing.options import SystemPace
from policies.rate_limit.options import RateLimitOptions
from policies.rate_limit.quota import quota_of
from policies.validate_request.options import ValidateRequestOptions
from policies.validate_response.options import ValidateResponseOptions

_NOT_TOLD: Final = ("rate_limit", "workers")


class Peers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose forwarding headers count: `trusted` networks (CIDR), read `hops` places from the right."""

    trusted: tuple[str, ...] = ()
    hops: int = 1


class Notifications(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Partner webhooks: `private_targets` lists networks (CIDR) that may be called although they are private.

    `plain_http` lets them go to ``http://`` addresses, where anybody on the way reads and changes them.
    """

    private_targets: tuple[str, ...] = ()
    plain_http: bool = False


class Configuration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole tree.

    `lifecycles` are dates and brownouts of API versions, in the place of the product's own or those of the settings.
    `pacing` says by instance what systems bear.
    """

    rate_limit: RateLimitOptions = RateLimitOptions()
    lifecycles: tuple[Lifecycle, ...] = ()
    validate_request: ValidateRequestOptions = ValidateRequestOptions()
    validate_response: ValidateResponseOptions = ValidateResponseOptions()
    peers: Peers = Peers()
    notifications: Notifications = Notifications()
    pacing: Mapping[str, SystemPace] = {}


def read_configuration(text: str, *, name: str) -> Configuration:
    """Configuration from TOML, checked as far as it can be without the routes; raises `Misconfigured` saying where."""
    try:
        configuration = msgspec.convert(tomllib.loads(text), Configuration)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{name}: {error}", code="configuration.invalid") from error
    except CrossdockError as error:
        raise Misconfigured(f"{name}: {error.detail}", code="configuration.invalid") from error
    try:
        check(configuration)
    except Misconfigured as error:
        raise Misconfigured(f"{name}: {error.detail}", code="configuration.invalid") from error
    return configuration


def decode(content: str) -> Configuration:
    """Configuration as a snapshot holds it; raises `Misconfigured` where this release does not understand it."""
    try:
        return msgspec.json.decode(content, type=Configuration)
    except (msgspec.MsgspecError, CrossdockError) as error:
        raise Misconfigured(f"this release does not understand it: {error}", code="configuration.invalid") from error


def encode(configuration: Configuration) -> bytes:
    """Canonical JSON: equal trees have equal bytes."""
    return msgspec.json.encode(plain(configuration), order="sorted")


def sha256_of(configuration: Configuration) -> str:
    """Of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(encode(configuration)).hexdigest()


def plain(configuration: Configuration) -> dict[str, Any]:
    """The tree as JSON-like values, without what another place decides."""
    tree: dict[str, Any] = msgspec.to_builtins(configuration, order="sorted")
    section, field = _NOT_TOLD
    tree[section].pop(field)
    return tree


def toml_of(configuration: Configuration) -> str:
    """TOML that `read_configuration` reads as the same tree."""
    return toml_text(plain(configuration))


def check(configuration: Configuration) -> None:
    """Raise `Misconfigured` for values that no process could build a chain of."""
    limits = configuration.rate_limit
    if limits.workers != 1:
        raise Misconfigured("rate_limit.workers comes from http.workers of the settings: leave it out")
    if limits.failure_cost < 0 or limits.buckets < 1:
        raise Misconfigured("rate_limit.failure_cost must not be negative, rate_limit.buckets must be at least 1")
    quota_of(limits.addresses, bucket="address", workers=1)
    for plan in limits.plans.values():
        for limit in (plan.default, *plan.operations.values()):
            quota_of(limit, bucket="any", workers=1)
    _check_networks("peers.trusted", configuration.peers.trusted)
    _check_networks("notifications.private_targets", configuration.notifications.private_targets)
    if configuration.peers.hops < 1:
        raise Misconfigured("peers.hops must be at least 1: the nearest proxy is the first")
    named = [(lifecycle.api, lifecycle.version) for lifecycle in configuration.lifecycles]
    if twice := {f"{api} {version}" for api, version in named if named.count((api, version)) > 1}:
        raise Misconfigured(f"lifecycles names {', '.join(sorted(twice))} twice")


def check_names(configuration: Configuration, *, routes: Mapping[str, tuple[str, str]]) -> None:
    """Raise `Rejected` (code ``configuration.unknown_name``) for operations and APIs that nothing serves.

    `routes` leads from each operation to its API and version.
    """
    if unknown := unknown_names(configuration, routes=routes):
        raise Rejected(f"nothing here is called that: {'; '.join(unknown)}", code="configuration.unknown_name")


def unknown_names(configuration: Configuration, *, routes: Mapping[str, tuple[str, str]]) -> list[str]:
    """What `configuration` names and nothing serves: where it stands there, and the nearest name that is served."""
    plans = configuration.rate_limit.plans.items()
    operations = [(f"rate_limit.plans.{name}.operations", route) for name, plan in plans for route in plan.operations]
    apis: list[tuple[str, str]] = []
    asked, answered = configuration.validate_request, configuration.validate_response
    for section, by_operation, by_api in (
        ("validate_request", asked.operations, asked.apis),
        ("validate_response", answered.operations, answered.apis),
    ):
        operations += [(f"{section}.operations", route) for route in by_operation]
        apis += [(f"{section}.apis", api) for api in by_api]
    served = {name for api, version in routes.values() for name in (api, f"{api}/{version}")}
    return [
        f"{where}: {with_nearest(name, known)}"
        for named, known in ((operations, routes.keys()), (apis, served))
        for where, name in named
        if name not in known
    ]


def _check_networks(name: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise Misconfigured(f"{name}: {error}") from error
