"""Settings of an installation whose record is migrated: what a command is typed against."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.app import migrate_record
from gateway.engines import EngineUrls
from gateway.engines.ports import free_port
from gateway.plays.settings_file import write_settings

Install = Callable[[Mapping[str, Any]], Awaitable[Path]]


async def write_installation(folder: Path, urls: EngineUrls, more: Mapping[str, Any]) -> Path:
    """Migrate the record of `urls`, and write a settings file for it into `folder`, with `more` settings."""
    path = folder / "settings.toml"
    write_settings(
        path,
        secrets_folder=folder / "secrets",
        urls=urls,
        installation=await migrate_record(urls.postgres, progress=lambda _: None),
        ports=(free_port(set()), free_port(set())),
        gateway_workers=1,
        demo=None,
        more=more,
    )
    return path
