"""What the command does to the record and to the published contracts, with its answers for people or as JSON.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.app import administer, migrate_record, published_apis
from gateway.contracts.export import compare_with_published, differences, export
from gateway.kernel.secrets import resolve_secret
from gateway.settings import Settings
from gateway.store.installation import begin_log_epoch, check_installation
from gateway.store.postgres import Store

_UNASKED: Final = 1  # the AsyncAPI document, beside one for each API version


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


def export_contracts(folder: Path, *, settings: Settings | None = None, as_json: bool) -> int:
    """Write what is published anew; with `settings`, what that installation wraps as well."""
    apis = published_apis(settings)
    changed = export(apis, folder)
    if as_json:
        _print_json({"contracts": len(apis) + _UNASKED, "changed": [str(path) for path in changed]})
        return 0
    with suppress(BrokenPipeError):
        sys.stdout.writelines(f"wrote {path}\n" for path in changed)
        sys.stdout.write(f"{len(apis) + _UNASKED} contracts, {len(changed)} changed\n")
    return 0


def check_contracts(folder: Path, *, settings: Settings | None = None, as_json: bool) -> int:
    """1 when what is published differs from what the code serves."""
    apis = published_apis(settings)
    found = differences(apis, folder)
    changes = compare_with_published(apis, folder) if found else []
    if as_json:
        _print_json({"contracts": len(apis) + _UNASKED, "differences": found, "changes": changes})
    else:
        sys.stdout.writelines(diff + "\n" for diff in found)
        for change in changes:
            sort = "BREAKING" if change.breaking else "additive"
            sys.stdout.write(f"{sort}: {change.where} {change.what} ({change.rule})\n")
    if found:
        sys.stderr.write("crossdock: what is published differs from the code: run `crossdock contracts export`\n")
    return 1 if found else 0


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
