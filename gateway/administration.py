"""What the command does to the record and to the published contracts, with its answers for people or as JSON.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.app import MESSAGE_VERSIONS, administer, migrate_record, published_apis
from gateway.canonical.capabilities import Connection
from gateway.contracts.export import differences, export
from gateway.identity.partners import PartnerCredentials, add_partner, disable_partner, list_partners
from gateway.kernel.errors import Misconfigured
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import resolve_secret
from gateway.settings import Settings
from gateway.store.installation import begin_log_epoch, check_installation
from gateway.store.postgres import Store
from process_apis.partner_notifications.rendering import choose_version


class NewPartner(Struct, frozen=True, kw_only=True):
    """What `crossdock partner add` is told. `accounts` are customer codes of the ERP."""

    name: str
    channel: str
    plan: str
    accounts: tuple[str, ...]
    webhook_url: str | None
    webhook_version: str | None = None


def migrate(settings: Settings, *, as_json: bool, progress: Callable[[str], None]) -> int:
    """Bring the record's tables up to date; an empty ``store.installation`` sets a new installation up."""
    url = resolve_secret(settings.store.url, setting="store.url").reveal()
    expected = settings.store.installation or None
    progress("preparing the record")
    installation = asyncio.run(migrate_record(url, expected=expected, progress=progress))
    if as_json:
        _print_json({"installation": installation})
    else:
        sys.stdout.write(f"up to date; installation {installation}\n")
        if expected is None:
            sys.stdout.write(f'put it into the settings: [store] installation = "{installation}"\n')
    return 0


def check_record(settings: Settings) -> None:
    """Raise what is wrong with the settings' secrets, systems or database, before a service is started on them."""

    async def check(_connection: object, _ring: object) -> None:
        return None

    asyncio.run(administer(settings, check))


def begin_epoch(settings: Settings, *, as_json: bool) -> int:
    """Begin a log epoch by hand: after a restore that PostgreSQL's timeline does not show."""

    async def begin() -> int:
        store = Store(resolve_secret(settings.store.url, setting="store.url").reveal(), size=1)
        await store.open()
        try:
            await check_installation(store, settings.store.installation)
            return await begin_log_epoch(store)
        finally:
            await store.close()

    epoch = asyncio.run(begin())
    if as_json:
        _print_json({"log_epoch": epoch})
    else:
        sys.stdout.write(f"log epoch {epoch} has begun; consumers go on from their positions\n")
    return 0


def add(settings: Settings, asked: NewPartner, *, as_json: bool) -> int:
    """Add a partner and show its credentials, this once."""
    known = [channel.name for channel in settings.channels]
    if asked.channel not in known:
        raise Misconfigured(f"there is no channel {asked.channel}: the settings have {', '.join(known) or 'none'}")
    made = asyncio.run(administer(settings, partial(_added, settings, asked)))
    shown = {name: getattr(made, name) for name in made.__struct_fields__}
    if as_json:
        _print_json(shown)
        return 0
    sys.stdout.write("Keep these now; they are not shown again.\n")
    sys.stdout.writelines(f"  {name:<15} {value}\n" for name, value in shown.items() if value is not None)
    url = f"{settings.http.public_url}/storefront/v1/items?limit=3"
    sys.stdout.write(f"Try it:\n  curl -H 'X-Api-Key: {made.api_key}' '{url}'\n")
    return 0


async def _added(settings: Settings, asked: NewPartner, connection: Connection, ring: KeyRing) -> PartnerCredentials:
    made = await add_partner(
        connection,
        ring,
        tenant=settings.tenant,
        name=asked.name,
        channel=asked.channel,
        plan=asked.plan,
        accounts=asked.accounts,
        environment=settings.identity.environment,
        webhook_url=asked.webhook_url,
    )
    if asked.webhook_url is not None:
        version = asked.webhook_version or MESSAGE_VERSIONS[-1]
        await choose_version(
            connection,
            ring,
            tenant=settings.tenant,
            partner=made.partner_id,
            version=version,
            known=MESSAGE_VERSIONS,
        )
    return made


def show_partners(settings: Settings, *, as_json: bool) -> int:
    """All partners, disabled ones too."""
    found = asyncio.run(administer(settings, lambda c, _: list_partners(c, tenant=settings.tenant)))
    if as_json:
        _print_json(found)
        return 0
    for partner in found:
        state = "disabled" if partner.disabled_at else "active"
        accounts = ", ".join(sorted(partner.accounts))
        sys.stdout.write(f"{partner.partner_id}  {state:<8}  {partner.channel:<10} {partner.name}  ({accounts})\n")
    return 0


def disable(settings: Settings, partner: str, *, as_json: bool) -> int:
    """Refuse everything of a partner from now on."""
    asyncio.run(administer(settings, lambda c, _: disable_partner(c, tenant=settings.tenant, partner=partner)))
    if as_json:
        _print_json({"partner_id": partner, "disabled": True})
    else:
        sys.stdout.write(f"{partner} is disabled; every worker refuses it within five seconds\n")
    return 0


def export_contracts(folder: Path, *, as_json: bool) -> int:
    """Write what is published anew."""
    apis = published_apis()
    changed = export(apis, folder)
    if as_json:
        _print_json({"contracts": len(apis), "changed": [str(path) for path in changed]})
        return 0
    with suppress(BrokenPipeError):
        sys.stdout.writelines(f"wrote {path}\n" for path in changed)
        sys.stdout.write(f"{len(apis)} contracts, {len(changed)} changed\n")
    return 0


def check_contracts(folder: Path, *, as_json: bool) -> int:
    """1 when what is published differs from what the code serves."""
    apis = published_apis()
    found = differences(apis, folder)
    if as_json:
        _print_json({"contracts": len(apis), "differences": found})
    else:
        sys.stdout.writelines(diff + "\n" for diff in found)
    if found:
        sys.stderr.write("crossdock: what is published differs from the code: run `crossdock contracts export`\n")
    return 1 if found else 0


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
