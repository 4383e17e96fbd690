"""What the command does about partners, their keys and plans, with its answers for people or as JSON.

Each function returns the command's exit status. The process API `partner-accounts` does the same for programs.
"""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from gateway.app import MESSAGE_VERSIONS, administer
from gateway.canonical.capabilities import Connection
from gateway.configuration.snapshots import newest
from gateway.identity import clients, partners, plans
from gateway.identity.partners import Partner
from gateway.kernel.errors import Invalid, Misconfigured, NotFound
from gateway.kernel.keyring import KeyRing
from gateway.scoping import check_scopes
from gateway.settings import Settings
from policies.rate_limit.options import PlanLimits
from policies.rate_limit.plans import check_limits
from process_apis.partner_notifications.rendering import choose_version

Answer = TypeVar("Answer")
_FELT = "every worker knows within five seconds"
_READS_ITEMS: Final = "items:read"
_FOR_AN_ACCOUNT: Final = frozenset({"orders:read", "orders:write", "returns:read", "returns:write"})


class NewPartner(Struct, frozen=True, kw_only=True):
    """What `crossdock partner add` is told. `accounts` are customer codes of the ERP; without `scopes`, a shop's."""

    name: str
    channel: str
    plan: str
    accounts: tuple[str, ...]
    scopes: tuple[str, ...] | None
    webhook_url: str | None
    webhook_version: str | None = None


class Changes(Struct, frozen=True, kw_only=True):
    """What `crossdock partner change` is told; None leaves it as it is."""

    channel: str | None
    plan: str | None
    accounts: tuple[str, ...] | None


def add(settings: Settings, asked: NewPartner, *, as_json: bool) -> int:
    """Add a partner and show its credentials, this once."""
    _check_channel(settings, asked.channel)
    if asked.scopes is not None:
        check_scopes(settings, asked.scopes, layers={"experience"})
    scopes = asked.scopes or partners.PARTNER_SCOPES
    if not asked.accounts and _FOR_AN_ACCOUNT.intersection(scopes):
        raise Misconfigured("give the customer codes that it orders for: --account CUST3, once for each")

    async def work(connection: Connection, ring: KeyRing) -> partners.PartnerCredentials:
        await _check_plan(settings, connection, asked.plan)
        made = await partners.add_partner(
            connection,
            ring,
            tenant=settings.tenant,
            name=asked.name,
            channel=asked.channel,
            plan=asked.plan,
            accounts=asked.accounts,
            scopes=scopes,
            environment=settings.identity.environment,
            webhook_url=asked.webhook_url,
        )
        if asked.webhook_url is not None:
            await choose_version(
                connection,
                ring,
                tenant=settings.tenant,
                partner=made.partner_id,
                version=asked.webhook_version or MESSAGE_VERSIONS[-1],
                known=MESSAGE_VERSIONS,
            )
        return made

    made = _on_record(settings, work)
    shown = {name: getattr(made, name) for name in made.__struct_fields__}
    if as_json:
        return _print_json(shown)
    sys.stdout.write("Keep these now; they are not shown again.\n")
    sys.stdout.writelines(f"  {name:<15} {value}\n" for name, value in shown.items() if value is not None)
    if _READS_ITEMS in scopes:
        url = f"{settings.http.public_url}/storefront/v1/items?limit=3"
        sys.stdout.write(f"Try it:\n  curl -H 'X-Api-Key: {made.api_key}' '{url}'\n")
    return 0


def show_all(settings: Settings, *, as_json: bool) -> int:
    """All partners, disabled ones too."""
    found = _on_record(settings, lambda c, _: partners.list_partners(c, tenant=settings.tenant))
    if as_json:
        return _print_json(found)
    for partner in found:
        accounts = f"  ({', '.join(sorted(partner.accounts))})" if partner.accounts else ""
        sys.stdout.write(
            f"{partner.partner_id}  {_state(partner):<9}  {partner.channel:<10} {partner.plan:<10} "
            f"{partner.name}{accounts}\n"
        )
    return 0


def show(settings: Settings, partner_id: str, *, as_json: bool) -> int:
    """One partner with its clients and live keys; no secret is kept that could be shown."""
    given: dict[str, Any] = {"tenant": settings.tenant, "partner": partner_id}

    async def work(connection: Connection, _: KeyRing) -> tuple[Partner, list[Any], list[Any]]:
        return (
            await partners.find_partner(connection, **given),
            await clients.clients_of(connection, **given),
            await clients.api_keys_of(connection, **given),
        )

    partner, its_clients, keys = _on_record(settings, work)
    if as_json:
        return _print_json({**msgspec.to_builtins(partner), "clients": its_clients, "api_keys": keys})
    facts = {
        "partner": partner.partner_id,
        "name": partner.name,
        "state": _state(partner) + (f" ({partner.suspended_because})" if partner.suspended_at else ""),
        "channel": partner.channel,
        "plan": partner.plan,
        "accounts": ", ".join(sorted(partner.accounts)),
        "version": partner.version,
    }
    sys.stdout.writelines(f"{name:<9} {value}\n" for name, value in facts.items())
    for client in its_clients:
        off = "  disabled" if client.disabled else ""
        sys.stdout.write(f"client    {client.client_id}  {' '.join(sorted(client.scopes))}{off}\n")
    for key in keys:
        until = f"until {key.expires_at:%Y-%m-%d %H:%M:%S} UTC" if key.expires_at else "until revoked"
        sys.stdout.write(f"key       {key.key_id}  of {key.client_id}, {until}, pepper {key.pepper_version}\n")
    return 0


def change(settings: Settings, partner_id: str, asked: Changes, *, as_json: bool) -> int:
    """Change a partner's channel, plan or accounts."""
    if asked.channel is not None:
        _check_channel(settings, asked.channel)

    async def work(connection: Connection, _: KeyRing) -> Partner:
        given: dict[str, Any] = {"tenant": settings.tenant, "partner": partner_id}
        if asked.plan is not None:
            await _check_plan(settings, connection, asked.plan)
        now = await partners.find_partner(connection, **given)
        await partners.change_partner(
            connection,
            **given,
            channel=asked.channel or now.channel,
            plan=asked.plan or now.plan,
            accounts=asked.accounts or tuple(now.accounts),
            expected=now.version,
        )
        return await partners.find_partner(connection, **given)

    changed = _on_record(settings, work)
    return _print_json(changed) if as_json else _say(f"{partner_id} is at version {changed.version}; {_FELT}")


def suspend(settings: Settings, partner_id: str, reason: str, *, as_json: bool) -> int:
    """Shut the door to a partner until it is resumed; its accepted orders go on."""
    given: dict[str, Any] = {"tenant": settings.tenant, "partner": partner_id}
    _on_record(settings, lambda c, _: partners.suspend_partner(c, **given, reason=reason))
    told = {"partner_id": partner_id, "suspended": True}
    return _print_json(told) if as_json else _say(f"{partner_id} is suspended; {_FELT}")


def resume(settings: Settings, partner_id: str, *, as_json: bool) -> int:
    """Open the door again."""
    given: dict[str, Any] = {"tenant": settings.tenant, "partner": partner_id}
    _on_record(settings, lambda c, _: partners.resume_partner(c, **given))
    told = {"partner_id": partner_id, "suspended": False}
    return _print_json(told) if as_json else _say(f"{partner_id} may call again; {_FELT}")


def disable(settings: Settings, partner_id: str, *, as_json: bool) -> int:
    """Refuse everything of a partner from now on, for good."""
    _on_record(settings, lambda c, _: partners.disable_partner(c, tenant=settings.tenant, partner=partner_id))
    told = {"partner_id": partner_id, "disabled": True}
    return (
        _print_json(told) if as_json else _say(f"{partner_id} is disabled; every worker refuses it within five seconds")
    )


def rotate_key(settings: Settings, partner_id: str, overlap: float, *, as_json: bool) -> int:
    """A new API key for the partner's first live client; the key before it ends after `overlap` seconds."""

    async def work(connection: Connection, ring: KeyRing) -> str:
        known = await clients.clients_of(connection, tenant=settings.tenant, partner=partner_id)
        live = [client.client_id for client in known if not client.disabled]
        if not live:
            raise NotFound(f"{partner_id} has no live client: crossdock partner list shows who there is")
        return await clients.rotate_api_key(
            connection,
            ring,
            tenant=settings.tenant,
            client_id=live[0],
            environment=settings.identity.environment,
            overlap=overlap,
        )

    made = _on_record(settings, work)
    if as_json:
        return _print_json({"partner_id": partner_id, "api_key": made, "overlap_seconds": overlap})
    return _say(f"Keep this now; it is not shown again.\n  {made}\nThe key before it ends in {overlap:.0f} seconds.")


def revoke_key(settings: Settings, key_id: str, *, as_json: bool) -> int:
    """End an API key now. A whole key is taken as well: only its visible part is looked at."""
    visible = key_id.split("_")[2] if key_id.startswith("cdk_") and key_id.count("_") >= 2 else key_id  # noqa: PLR2004

    async def work(connection: Connection, _: KeyRing) -> None:
        client_id = await clients.client_of_key(connection, tenant=settings.tenant, key_id=visible)
        await clients.revoke_api_key(connection, tenant=settings.tenant, client_id=client_id, key_id=visible)

    _on_record(settings, work)
    told = {"key_id": visible, "revoked": True}
    return _print_json(told) if as_json else _say(f"{visible} is revoked; {_FELT}")


def show_plans(settings: Settings, *, as_json: bool) -> int:
    """The plans of the record and of the configuration, as they hold."""

    async def work(connection: Connection, _: KeyRing) -> tuple[list[plans.Plan], Mapping[str, PlanLimits], str]:
        return (
            await plans.list_plans(connection, tenant=settings.tenant),
            *await _configured_plans(settings, connection),
        )

    recorded, configured, place = _on_record(settings, work)
    names = {plan.name for plan in recorded}
    given = {name: limits for name, limits in configured.items() if name not in names}
    if as_json:
        rest = [{"name": name, "limits": limits, "version": None} for name, limits in given.items()]
        return _print_json([*recorded, *rest])
    for plan in recorded:
        sys.stdout.write(f"{plan.name:<14} record v{plan.version:<4} {_told(plan.limits)}\n")
    for name, limits in given.items():
        sys.stdout.write(f"{name:<14} {place:<13}{_told(msgspec.to_builtins(limits))}\n")
    return 0


def set_plan(settings: Settings, name: str, file: Path, description: str, *, as_json: bool) -> int:
    """Add or replace a plan from a TOML file with `default` and `operations`."""
    try:
        limits = tomllib.loads(file.read_text(encoding="utf-8"))
        check_limits(limits)
    except (tomllib.TOMLDecodeError, Invalid) as error:
        raise Misconfigured(f"{file}: {error.detail if isinstance(error, Invalid) else error}") from error

    async def work(connection: Connection, _: KeyRing) -> plans.Plan:
        given: dict[str, Any] = {
            "tenant": settings.tenant,
            "name": name,
            "description": description,
            "limits": limits,
        }
        if name in {plan.name for plan in await plans.list_plans(connection, tenant=settings.tenant)}:
            return await plans.change_plan(connection, **given)
        return await plans.add_plan(connection, **given)

    plan = _on_record(settings, work)
    return _print_json(plan) if as_json else _say(f"the plan {name} is at version {plan.version}; {_FELT}")


def drop_plan(settings: Settings, name: str, *, as_json: bool) -> int:
    """Remove a plan of the record that nobody is on."""
    _on_record(settings, lambda c, _: plans.drop_plan(c, tenant=settings.tenant, name=name))
    return _print_json({"plan": name, "removed": True}) if as_json else _say(f"the plan {name} is removed; {_FELT}")


def _on_record(settings: Settings, work: Callable[[Connection, KeyRing], Awaitable[Answer]]) -> Answer:
    return asyncio.run(administer(settings, work))


def _check_channel(settings: Settings, channel: str) -> None:
    known = [each.name for each in settings.channels]
    if channel not in known:
        raise Misconfigured(f"there is no channel {channel}: the settings have {', '.join(known) or 'none'}")


async def _check_plan(settings: Settings, connection: Connection, plan: str) -> None:
    recorded = [each.name for each in await plans.list_plans(connection, tenant=settings.tenant)]
    configured, _ = await _configured_plans(settings, connection)
    known = sorted({*configured, *recorded})
    if plan not in known:
        raise Misconfigured(f"there is no plan {plan}: there are {', '.join(known)}")


async def _configured_plans(settings: Settings, connection: Connection) -> tuple[Mapping[str, PlanLimits], str]:
    """Those of the newest snapshot, or of the settings as long as there is none; and in a word which."""
    with suppress(Misconfigured):  # another release wrote it: the settings are what this one understands
        for snapshot in await newest(connection, 1):
            return snapshot.configuration.rate_limit.plans, f"version {snapshot.version}"
    return settings.rate_limit.plans, "settings"


def _state(partner: Partner) -> str:
    return "disabled" if partner.disabled_at else "suspended" if partner.suspended_at else "active"


def _told(limits: dict[str, Any]) -> str:
    own = ", ".join(f"{route} {limit['rate']}" for route, limit in limits.get("operations", {}).items())
    return f"{limits['default']['rate']}; {own}" if own else str(limits["default"]["rate"])


def _say(text: str) -> int:
    sys.stdout.write(text + "\n")
    return 0


def _print_json(value: Any) -> int:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    return 0
