"""Who answers for what is served, and for how long: the file `lifecycle.toml` beside each component that has an API.

The dates in a file are the product's; an installation may set others for one version with ``[[lifecycles]]`` in its
settings, which replaces the whole entry.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta, Struct, structs
from msgspec.structs import replace

from gateway.contracts.api import Api, Webhook, Wrapped, WrappedOperation, anchor_of
from gateway.edge.catalogue import CatalogueEntry
from gateway.edge.strict import parse_json
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.kernel.lifecycle import Brownout, Instant, Lifecycle, Slo
from gateway.kernel.spelling import with_nearest
from gateway.systems.manifest import Manifest
from gateway.systems.proxied.api import ProxiedApi, load_proxied
from gateway.systems.proxied.fields import KEPT_BACK, STOPPED
from gateway.systems.proxied.options import ProxiedOptions
from gateway.telemetry.counters import Counters

_ROOT: Final = Path(__file__).parents[1]
_LAYERS: Final = {"partner": "experience", "internal": "process", "system": "system"}
_FACING: Final = {layer: facing for facing, layer in _LAYERS.items()}
Version = Annotated[str, Meta(pattern=r"^v[1-9][0-9]{0,3}$(?!\n)")]
Text = Annotated[str, Meta(min_length=1)]


class VersionDates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version. `successor` is another version of the file, `notice` tells what to change.

    `documentation` is a URI reference; left out, it is where we show the notice ourselves.
    """

    since: date
    deprecated_at: Instant | None = None
    sunset_at: Instant | None = None
    successor: Version | None = None
    documentation: str | None = None
    notice: str = ""
    brownouts: tuple[Brownout, ...] = ()


class ApiFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `lifecycle.toml`. A system API leaves title and description to its manifest."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$(?!\n)")]
    facing: Literal["partner", "internal", "system"] = msgspec.field(name="class")
    business_owner: Text
    technical_owner: Text
    slo: Slo
    versions: Annotated[dict[Version, VersionDates], Meta(min_length=1)]
    title: str = ""
    description: str = ""

    def check(self) -> None:
        """Raise `Misconfigured` for dates that contradict each other, or a successor that is not there."""
        for version, dates in self.versions.items():
            if dates.successor is not None and dates.successor not in self.versions:
                raise Misconfigured(f"versions.{version}: successor: the file has no version {dates.successor}")
            self.lifecycle(version)

    def lifecycle(self, version: str) -> Lifecycle:
        """The dates of one version, as policies read them."""
        dates, layer = self.versions[version], _LAYERS[self.facing]
        successor = None if dates.successor is None else anchor_of(layer, self.name, dates.successor)
        notice = None if dates.deprecated_at is None else f"/apis{anchor_of(layer, self.name, version)}"
        return Lifecycle(
            api=self.name,
            version=version,
            deprecated_at=dates.deprecated_at,
            sunset_at=dates.sunset_at,
            successor=successor,
            documentation=dates.documentation or notice,
            brownouts=dates.brownouts,
        )


def read_api_file(path: Path) -> ApiFile:
    """Decode one file strictly; `Misconfigured` names the file and the field."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), ApiFile)
        found.check()
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}: every component with an API says who answers for it") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{path}: {error}") from error
    except Misconfigured as error:
        raise Misconfigured(f"{path}: {error.detail}") from error
    return found


def component_api(
    component: str,
    versions: Mapping[str, Sequence[HTTPRouteHandler]],
    webhooks: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Api]:
    """Every version that the folder `component` (``process_apis/items``) serves, as its file describes it.

    `webhooks` has, by version, the type of each message's body. Raises `Misconfigured` for a version that is served
    and not in the file, or the other way round.
    """
    path = _ROOT / component / "lifecycle.toml"
    found = read_api_file(path)
    if set(found.versions) != set(versions):
        raise Misconfigured(f"{path}: versions: it has {sorted(found.versions)}, served are {sorted(versions)}")
    return [_api(found, version, handlers, (webhooks or {}).get(version, {})) for version, handlers in versions.items()]


def _api(found: ApiFile, version: str, handlers: Sequence[HTTPRouteHandler], webhooks: Mapping[str, Any]) -> Api:
    return Api(
        layer=_LAYERS[found.facing],
        name=found.name,
        version=version,
        facing=found.facing,
        title=found.title,
        description=found.description,
        business_owner=found.business_owner,
        technical_owner=found.technical_owner,
        slo=found.slo,
        since=found.versions[version].since,
        notice=found.versions[version].notice,
        lifecycle=found.lifecycle(version),
        handlers=tuple(handlers),
        webhooks=tuple(Webhook(name=name, payload=payload) for name, payload in webhooks.items()),
    )


def system_api(manifest: Manifest, handlers: Sequence[HTTPRouteHandler]) -> list[Api]:
    """A system API, generated from what the adapter's manifest declares."""
    title, text = f"{manifest.title} system API", f"{manifest.summary} Generated from the adapter's capabilities."
    return [
        replace(api, title=title, description=text)
        for api in component_api(f"system_apis/{manifest.name}", {"v1": handlers})
    ]


def with_dates(apis: Sequence[Api], overrides: Sequence[Lifecycle]) -> tuple[Api, ...]:
    """`apis` with the dates that an installation sets; `Misconfigured` for one of an API that is not served."""
    chosen = {(each.api, each.version): each for each in overrides}
    known = {(api.name, api.version) for api in apis}
    if strangers := set(chosen) - known:
        api, version = min(strangers)
        told = with_nearest(f"{api} {version}", [" ".join(each) for each in known])
        raise Misconfigured(f"lifecycles: nothing serves {told}: `crossdock apis` lists what is served")
    return tuple(
        replace(api, lifecycle=chosen[api.name, api.version]) if (api.name, api.version) in chosen else api
        for api in apis
    )


def dated(apis: Sequence[Api]) -> tuple[Lifecycle, ...]:
    """The life cycles of those versions that have dates: what policies have to look at."""
    return tuple(api.lifecycle for api in apis if api.lifecycle.deprecated_at is not None)


def catalogue_entry(api: Api) -> CatalogueEntry:
    """Where an API version begins, and what is known of it (RFC 9727). The contract is given to partners."""
    meta = f"/apis{api.anchor}"
    public = api.facing == "partner"
    return CatalogueEntry(
        anchor=api.anchor,
        title=f"{api.title} {api.version}",
        service_meta=meta,
        service_desc=f"{meta}/openapi.yaml" if public else None,
        meta=description_of(api),
    )


def wrapped_api(found: ProxiedApi) -> Api:
    """A proxied API as one of ours: what the settings say of it, and its own document."""
    options, layer = found.options, found.options.zone.value
    info = found.document.content.get("info") or {}
    title = options.title or str(info.get("title") or found.name)
    return Api(
        layer=layer,
        name=found.name,
        version=options.version,
        facing=_FACING[layer],
        title=title,
        description=options.description or str(info.get("description") or title),
        business_owner=options.business_owner,
        technical_owner=options.technical_owner,
        slo=options.slo,
        since=options.since,
        notice=options.notice,
        lifecycle=Lifecycle(api=found.name, version=options.version),
        handlers=(),
        wrapped=Wrapped(
            document=found.document.content,
            operations=[
                WrappedOperation(path=each.operation.path, method=each.operation.method.lower(), route=each.route)
                for each in found.served
            ],
            unasked=frozenset(name.decode() for name in STOPPED),
            unsaid=frozenset(name.decode() for name in KEPT_BACK - {b"set-cookie"}),
        ),
    )


def described(settings: Mapping[str, ProxiedOptions]) -> list[Api]:
    """The proxied APIs of the settings, to be told about and not to be served: no secret of theirs is read."""
    bare = {name: structs.replace(options, credential=None) for name, options in settings.items()}
    return [
        wrapped_api(each) for each in load_proxied(bare, clock=SystemClock(), counters=Counters(), parse=parse_json)
    ]


def distinct(apis: Sequence[Api]) -> Sequence[Api]:
    """`apis`, of which no two have the same name and version: `Misconfigured` names the settings at fault."""
    known: set[tuple[str, str]] = set()
    for api in apis:
        if (api.name, api.version) in known:
            raise Misconfigured(
                f"[proxied]: {api.name} {api.version} is served already: give yours another name or version"
            )
        known.add((api.name, api.version))
    return apis


def description_of(api: Api) -> dict[str, object]:
    """What is told of an API version: owners, class, service level, dates. Instants are aware."""
    dates = api.lifecycle
    told: dict[str, object] = {
        "api": api.name,
        "version": api.version,
        "title": api.title,
        "description": api.description,
        "class": api.facing,
        "business_owner": api.business_owner,
        "technical_owner": api.technical_owner,
        "slo": api.slo,
        "since": api.since,
        "deprecated_at": dates.deprecated_at,
        "sunset_at": dates.sunset_at,
        "successor": dates.successor,
        "documentation": dates.documentation,
        "brownouts": dates.brownouts or None,
        "notice": api.notice or None,
        "proxied": True if api.wrapped is not None else None,
    }
    return {name: value for name, value in told.items() if value is not None}
