"""What the command tells about the APIs that are served: who answers for them, how long they live, who calls them.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import structs

from gateway.apis import description_of, with_dates
from gateway.app import MESSAGE_VERSIONS, administer, published_apis
from gateway.canonical.capabilities import Connection
from gateway.configuration.snapshots import newest
from gateway.contracts.api import Api
from gateway.identity.partners import list_partners
from gateway.kernel.errors import CrossdockError
from gateway.kernel.keyring import KeyRing
from gateway.kernel.lifecycle import Lifecycle
from gateway.settings import Settings
from policies.version.usage import ClientUsage, read_usage
from process_apis.partner_notifications.rendering import EndpointRendering, choose_version, renderings

_COLUMNS = ("api", "class", "state", "deprecated", "sunset", "successor", "business owner", "technical owner", "slo")


def show_apis(settings: Settings | None, *, as_json: bool) -> int:
    """Every API version; with `settings`, under the dates that hold there: of its record, if that answers."""
    apis = published_apis(settings)
    if settings is not None:
        try:
            apis = with_dates(apis, asyncio.run(administer(settings, _dates_in_force)))
        except (CrossdockError, OSError):
            sys.stderr.write("crossdock: the record does not answer: these are the dates of product and settings\n")
    now = datetime.now(UTC)
    if as_json:
        print_json([{"anchor": api.anchor, "state": state(api, now), **description_of(api)} for api in apis])
    else:
        print_table(_COLUMNS, [_row(api, now) for api in apis])
    return 0


def state(api: Api, now: datetime) -> str:
    """``active``, ``deprecated``, ``brownout`` or ``ended``."""
    dates = api.lifecycle
    if dates.sunset_at is not None and now >= dates.sunset_at:
        return "ended"
    if any(each.begins <= now < each.ends for each in dates.brownouts):
        return "brownout"
    return "deprecated" if dates.deprecated_at is not None and now >= dates.deprecated_at else "active"


def _row(api: Api, now: datetime) -> tuple[str, ...]:
    dates, slo = api.lifecycle, api.slo
    return (
        api.anchor,
        api.facing,
        state(api, now),
        "" if dates.deprecated_at is None else dates.deprecated_at.date().isoformat(),
        "" if dates.sunset_at is None else dates.sunset_at.date().isoformat(),
        dates.successor or "",
        api.business_owner,
        api.technical_owner,
        "" if slo is None else f"{slo.availability_percent:g} %, {slo.latency_p99_ms} ms",
    )


def show_usage(settings: Settings, *, days: int, deprecated: bool, as_json: bool) -> int:
    """Who called which version during the last `days`; `deprecated` leaves out the versions without an end."""
    tenant = settings.tenant

    async def ask(
        connection: Connection, ring: KeyRing
    ) -> tuple[Sequence[ClientUsage], dict[str, str], Sequence[Lifecycle]]:
        names = {each.partner_id: each.name for each in await list_partners(connection, tenant=tenant)}
        found = await read_usage(connection, tenant=tenant, days=days)
        return found, names, await _dates_in_force(connection, ring)

    found, names, dates = asyncio.run(administer(settings, ask))
    apis = {(api.name, api.version): api for api in with_dates(published_apis(settings), dates)}
    ends = {key: api.lifecycle for key, api in apis.items() if api.lifecycle.deprecated_at is not None}
    shown = [each for each in found if not deprecated or (each.api, each.version) in ends]
    if as_json:
        print_json([_told(each, names, ends.get((each.api, each.version))) for each in shown])
        return 0
    columns = ("api", "version", "sunset", "partner", "client", "calls", "days", "last seen (UTC)")
    print_table(columns, [_used(each, names, ends.get((each.api, each.version))) for each in shown])
    return 0


async def _dates_in_force(connection: Connection, _: KeyRing) -> Sequence[Lifecycle]:
    """Those of the newest configuration, which go before the files'; none before the first."""
    return [dates for each in await newest(connection, 1) for dates in each.configuration.lifecycles]


def _told(used: ClientUsage, names: Mapping[str, str], dates: Lifecycle | None) -> dict[str, Any]:
    sunset = None if dates is None else dates.sunset_at
    name = names.get(used.partner or "")
    return {**structs.asdict(used), "partner_name": name, "deprecated": dates is not None, "sunset_at": sunset}


def _used(used: ClientUsage, names: Mapping[str, str], dates: Lifecycle | None) -> tuple[str, ...]:
    sunset = None if dates is None else dates.sunset_at
    return (
        used.api,
        used.version,
        "" if sunset is None else sunset.date().isoformat(),
        names.get(used.partner or "", used.partner or "(ours)"),
        used.client,
        str(used.calls),
        str(len(used.days)),
        used.last_seen_at.strftime("%Y-%m-%d %H:%M:%S"),
    )


def webhook_version(settings: Settings, partner: str, version: str | None, *, as_json: bool) -> int:
    """Which API version each endpoint of a partner has its messages in; with `version`, that one from now on."""

    async def ask(connection: Connection, ring: KeyRing) -> Sequence[EndpointRendering]:
        whose = {"tenant": settings.tenant, "partner": partner}
        if version is None:
            return await renderings(connection, ring, **whose)
        return await choose_version(connection, ring, **whose, version=version, known=MESSAGE_VERSIONS)

    found = asyncio.run(administer(settings, ask))
    if as_json:
        print_json(found)
    else:
        print_table(("endpoint", "version", "address"), [(each.endpoint_id, each.version, each.url) for each in found])
    return 0


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they must be."""
    widths = [max(len(row[place]) for row in [columns, *rows]) for place in range(len(columns))]
    with suppress(BrokenPipeError):
        for row in [columns, *rows]:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            sys.stdout.write(line.rstrip() + "\n")


def print_json(value: Any) -> None:
    """One line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
