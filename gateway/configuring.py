"""What `crossdock config` does: show, compare, apply and take back the configuration in the record.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.app import Core, Gateway, initial_configuration
from gateway.configuration.applying import Acknowledged, acknowledged, await_acknowledged
from gateway.configuration.changes import Change, Effect, changes
from gateway.configuration.snapshots import Snapshot, newest, read, write
from gateway.configuration.tree import Configuration, plain, read_configuration, sha256_of, toml_of
from gateway.configuration.workers import living
from gateway.kernel.errors import Conflict, Misconfigured
from gateway.kernel.shell import account
from gateway.settings import Settings
from gateway.store.installation import check_installation

_SHORT: Final = 12
_PIPED_WIDTH: Final = 200
_COLOURS: Final = {Effect.BREAKING: "bold red", Effect.TIGHTENS: "yellow", Effect.LOOSENS: "green", Effect.CHANGES: ""}
Answer = TypeVar("Answer")


def show(settings: Settings, version: int | None, *, as_json: bool) -> int:
    """The newest configuration, or one version of it, as TOML that `apply` takes."""
    holds, configuration = _on_record(settings, lambda core: _look_at(core, version))
    if as_json:
        _print_json({"version": holds, "sha256": sha256_of(configuration), "content": plain(configuration)})
    else:
        sys.stdout.write(f"# version {holds}\n{toml_of(configuration)}")
    return 0


def diff(settings: Settings, file: Path, *, as_json: bool) -> int:
    """What applying `file` would change."""
    wanted = _read(file)
    _gateway(settings).check_configuration(wanted)

    async def compare(core: Core) -> tuple[int, list[Change]]:
        version, present = await _look_at(core, None)
        return version, changes(present, wanted, now=core.clock.now())

    version, found = _on_record(settings, compare)
    if as_json:
        _print_json({"version": version, "changes": found})
    else:
        _print_changes(version, found)
    return 0


def apply(
    settings: Settings, file: Path, *, note: str, seconds: float, as_json: bool, progress: Callable[[str], None]
) -> int:
    """Make `file` the newest version and wait until every worker holds it; 1 when not all did within `seconds`."""
    wanted = _read(file)
    _gateway(settings).check_configuration(wanted)
    return _on_record(
        settings,
        lambda core: _put_in_force(
            core, lambda _: _itself(wanted), note=note, seconds=seconds, as_json=as_json, progress=progress
        ),
    )


def rollback(
    settings: Settings,
    version: int | None,
    *,
    note: str,
    seconds: float,
    as_json: bool,
    progress: Callable[[str], None],
) -> int:
    """Make the content of an older version (by default the one before) the newest again, as `apply` does."""
    gateway = _gateway(settings)

    async def older(core: Core) -> tuple[Configuration, int]:
        async with core.store.connection() as connection:
            known = await newest(connection, 2)
            if version is None and not known:
                raise Conflict("nothing was applied yet: there is nothing to go back to", code="configuration.first")
            wanted = known[0].version - 1 if version is None else version
            restored = (await read(connection, wanted)).configuration if wanted else initial_configuration(settings)
        gateway.check_configuration(restored)
        return restored, wanted

    return _on_record(
        settings,
        lambda core: _put_in_force(core, older, note=note, seconds=seconds, as_json=as_json, progress=progress),
    )


def history(settings: Settings, count: int, *, as_json: bool) -> int:
    """The last versions, newest first, and which worker holds which."""

    async def look(core: Core) -> tuple[list[Snapshot], Acknowledged]:
        async with core.store.connection() as connection:
            known = await newest(connection, count)
            return known, acknowledged(known[0].version if known else 0, await living(connection))

    known, state = _on_record(settings, look)
    workers = [*state.holding, *state.missing, *state.refused]
    if as_json:
        versions = [{k: v for k, v in msgspec.structs.asdict(each).items() if k != "content"} for each in known]
        _print_json({"versions": versions, "workers": workers})
        return 0
    table = _table("version", "applied at", "by", "sha256", "note")
    for each in known:
        note = f"restores {each.restores}. {each.note}".strip() if each.restores is not None else each.note
        at = each.created_at.isoformat(timespec="seconds")
        table.add_row(*map(Text, (str(each.version), at, each.actor, each.sha256[:_SHORT], note)))
    _print(table if known else "nothing was applied yet: what the settings say holds")
    for worker in workers:
        refused = f", refused {worker.refused_version}: {worker.refusal}" if worker.refusal else ""
        _print(f"{worker.called} holds {worker.version}{refused}")
    return 0


# --- on the record ----------------------------------------------------------------------------------------------------


async def _put_in_force(
    core: Core,
    choose: Callable[[Core], Awaitable[tuple[Configuration, int | None]]],
    *,
    note: str,
    seconds: float,
    as_json: bool,
    progress: Callable[[str], None],
) -> int:
    try:
        present, before = await _look_at(core, None)
    except Misconfigured as error:
        async with core.store.connection() as connection:
            present, before = (await newest(connection, 1))[0].version, initial_configuration(core.settings)
        progress(f"version {present} cannot be compared: {error.detail}")
    wanted, restores = await choose(core)
    found = changes(before, wanted, now=core.clock.now())
    if present and sha256_of(wanted) == sha256_of(before):
        version = present
    else:
        if not as_json:
            _print_changes(present, found)
        async with core.store.transaction() as connection:
            version = await write(
                connection,
                wanted,
                replaces=present,
                tenant=core.settings.tenant,
                actor=f"{account()}@{socket.gethostname()}",
                note=note,
                restores=restores or None,
                changes={"changes": msgspec.to_builtins(found)},
            )
    state = await await_acknowledged(core.store, core.clock, version, seconds=seconds, progress=progress)
    if as_json:
        _print_json({"written": version != present, "changes": found, **msgspec.structs.asdict(state)})
    else:
        _print_state(state, written=version != present)
    for worker in state.refused:
        sys.stderr.write(f"crossdock: {worker.called} refused version {version}: {worker.refusal}\n")
    for worker in state.missing:
        sys.stderr.write(f"crossdock: {worker.called} still holds version {worker.version} after {seconds:g} s\n")
    return 0 if state.everybody else 1


async def _look_at(core: Core, version: int | None) -> tuple[int, Configuration]:
    async with core.store.connection() as connection:
        if version is not None and version > 0:
            return version, (await read(connection, version)).configuration
        known = await newest(connection, 1) if version is None else []
    if known:
        return known[0].version, known[0].configuration
    return 0, initial_configuration(core.settings)


async def _itself(wanted: Configuration) -> tuple[Configuration, None]:
    return wanted, None


def _on_record(settings: Settings, work: Callable[[Core], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        core = Core(settings)
        await core.store.open()
        try:
            await check_installation(core.store, settings.store.installation)
            return await work(core)
        finally:
            await core.store.close()

    return asyncio.run(run())


def _gateway(settings: Settings) -> Gateway:
    """A gateway that is never opened, to try a configuration on."""
    return Gateway(Core(settings))


def _read(file: Path) -> Configuration:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"cannot read {file}: {error}") from error
    return read_configuration(text, name=str(file))


# --- telling ----------------------------------------------------------------------------------------------------------


def _print_changes(version: int, found: Sequence[Change]) -> None:
    if not found:
        _print(f"nothing changes against version {version}")
        return
    table = _table("whom", "what", f"version {version}", "then", "effect")
    for change in found:
        effect = Text(change.effect.value, style=_COLOURS[change.effect])
        table.add_row(*map(Text, (change.whom, change.what, change.before, change.after)), effect)
    _print(table)
    if broken := sum(change.effect is Effect.BREAKING for change in found):
        _print(f"{broken} of {len(found)} changes will refuse callers or stop believing somebody: look twice")


def _print_state(state: Acknowledged, *, written: bool) -> None:
    word = f"version {state.version} is in force" if written else f"nothing to write: version {state.version} says so"
    living = len(state.holding) + len(state.missing) + len(state.refused)
    told = (
        f"{len(state.holding)} of {living} workers hold it" if living else "no worker runs: it holds from their start"
    )
    _print(f"{word}; {told}")


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _print(shown: Any) -> None:
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    Console(highlight=False, markup=False, width=width, soft_wrap=isinstance(shown, str)).print(shown)


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
