"""What `crossdock replay` does. Returns the command's exit status: 1 when some events failed once more."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.app import Core
from gateway.backbone import replaying
from gateway.backbone.replaying import Listener, Planned, Window
from gateway.governance import print_json
from gateway.kernel.errors import Invalid
from gateway.kernel.shell import shell_actor
from gateway.settings import Settings
from gateway.store.log_reader import LogReader

_LOOK_S: Final = 0.5


class Asked(Struct, frozen=True, kw_only=True):
    """What was typed."""

    consumer: str | None
    begin: str | None
    end: str | None
    filters: tuple[str, ...]
    again: bool
    dry: bool
    reason: str
    wait: bool


def replay(settings: Settings, asked: Asked, *, as_json: bool) -> int:
    """Count what would happen, or have it done and show how far it is."""

    async def work() -> int:
        async with Core(settings).opened() as core:
            listener, window = _listener(core, asked.consumer), _window(asked)
            keep, tenant = timedelta(days=settings.backbone.replay_days), settings.tenant
            async with core.store.transaction() as connection:
                await replaying.check(connection, listener.name, window, now=core.clock.now(), keep=keep)
                planned = await replaying.plan(connection, tenant, listener, window, LogReader())
                if asked.dry:
                    return _tell_plan(planned, asked, as_json=as_json)
                name = await replaying.ask(
                    connection,
                    tenant,
                    listener.name,
                    window,
                    again=asked.again,
                    actor=shell_actor(),
                    reason=asked.reason,
                )
            return await _follow(core, name, planned, wait=asked.wait, as_json=as_json)

    return asyncio.run(work())


def look(settings: Settings, replay_id: str, *, end: bool, as_json: bool) -> int:
    """Print how far a replay is; with `end`, end it first."""

    async def work() -> Mapping[str, Any]:
        async with Core(settings).opened() as core, core.store.transaction() as connection:
            if end:
                await replaying.cancel(connection, settings.tenant, replay_id, actor=shell_actor())
            return await replaying.progress(connection, settings.tenant, replay_id)

    found = asyncio.run(work())
    if as_json:
        print_json(msgspec.to_builtins(dict(found)))
    else:
        sys.stdout.write(_line(found) + "\n")
    return 1 if found["failed"] else 0


async def _follow(core: Core, name: str, planned: Planned, *, wait: bool, as_json: bool) -> int:
    expected = planned.seen + planned.unseen
    while True:
        async with core.store.connection() as connection:
            found = await replaying.progress(connection, core.settings.tenant, name)
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\r{_line(found)} (about {expected})")
        if not wait or found["state"] != "running":
            break
        await asyncio.sleep(_LOOK_S)
    if as_json:
        print_json(msgspec.to_builtins(dict(found)))
    else:
        sys.stdout.write(("\n" if sys.stderr.isatty() else "") + _line(found) + "\n")
    return 1 if found["failed"] else 0


def _tell_plan(planned: Planned, asked: Asked, *, as_json: bool) -> int:
    handled = planned.unseen + (planned.seen if asked.again else 0)
    dropped = 0 if asked.again else planned.seen
    if as_json:
        print_json({"by_type": dict(planned.by_type), "handled": handled, "dropped": dropped, "dry_run": True})
        return 0
    for name, number in planned.by_type.items():
        sys.stdout.write(f"{number:>9}  {name}\n")
    sys.stdout.write(
        f"{handled} would be handled, {dropped} were handled before and dropped (dry run: nothing was done)\n"
    )
    return 0


def _listener(core: Core, name: str | None) -> Listener:
    known = {each.name: each for each in core.subscriptions()}
    found = known.get(name or "")
    if found is None:
        raise Invalid(f"say whose with --consumer: one of {', '.join(sorted(known))}", code="replay.consumer")
    return Listener(name=found.name, types=found.types, stream=found.stream)


def _window(asked: Asked) -> Window:
    if asked.begin is None:
        raise Invalid("say from when: --from 2026-11-22T10:00:00Z", code="replay.window")
    types, about = [], None
    for each in asked.filters:
        name, _, value = each.partition("=")
        if name == "type" and value:
            types.append(value)
        elif name == "about" and value and about is None:
            about = value
        else:
            raise Invalid(f"a filter is type=NAME or one about=ID, not {each!r}", code="replay.filter")
    end = datetime.now(UTC) if asked.end is None else _instant(asked.end)
    return Window(from_at=_instant(asked.begin), to_at=end, types=frozenset(types) if types else None, aggregate=about)


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is no instant: write 2026-11-22T10:00:00Z", code="replay.window") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _line(found: Mapping[str, Any]) -> str:
    failed = f", the last failure: {found['error']}" if found["error"] else ""
    return (
        f"{found['replay']} of {found['consumer']} is {found['state']}: {found['matched']} events, "
        f"{found['handled']} handled, {found['dropped']} handled before, {found['failed']} failed{failed}"
    )
