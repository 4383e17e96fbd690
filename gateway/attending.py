"""What `crossdock exceptions` does. Each function returns the command's exit status."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.app import Core
from gateway.console.redaction import redacted
from gateway.governance import print_json, print_table
from gateway.kernel.context import Caller
from gateway.kernel.errors import Invalid
from gateway.kernel.shell import caller_at_shell
from gateway.settings import Settings
from process_apis.exceptions.bulk import Bulk
from process_apis.exceptions.models import Entry, Revision, State, Step
from process_apis.exceptions.process import Exceptions
from process_apis.exceptions.schemas import bulk_view, exception_view, revision_view, step_view

_SCOPES: Final = frozenset({"exceptions:repair", "exceptions:approve", "orders:repair"})
_WAITING: Final = (State.OPEN, State.ASSIGNED)


def show_all(settings: Settings, filters: Mapping[str, str | None], *, limit: int, as_json: bool) -> int:
    """Print what fits `filters`; 1 when any of it waits for a person."""

    async def work() -> Sequence[Entry]:
        async with Core(settings).opened() as core:
            wanted = core.exceptions.wanted(**filters)
            return await core.exceptions.listed(settings.tenant, wanted, limit=limit)

    found = asyncio.run(work())
    if as_json:
        print_json({"exceptions": [msgspec.to_builtins(exception_view(each)) for each in found]})
    else:
        with suppress(BrokenPipeError):
            heads = ("RANK", "STATE", "CLASS", "WHOSE FAULT", "ABOUT", "CODE", "N", "AGE", "ASSIGNEE", "ID")
            if found:
                print_table(heads, [_row(each) for each in found])
            waiting = sum(each.state in _WAITING for each in found)
            sys.stdout.write(f"{len(found)} listed, {waiting} wait for a person\n")
    return 1 if any(each.state in _WAITING for each in found) else 0


def show(settings: Settings, entry: str, *, as_json: bool) -> int:
    """Print one with its history; its payload as the console shows it, redacted."""

    async def work() -> tuple[Entry, Sequence[Step], Sequence[Revision], Any]:
        async with Core(settings).opened() as core:
            known = await core.exceptions.get(settings.tenant, entry)
            payload = await core.exceptions.payload(known)
            return known, await core.exceptions.history(known), await core.exceptions.revisions(known), payload

    known, steps, revisions, payload = asyncio.run(work())
    hidden = None if payload is None else redacted(payload)
    if as_json:
        print_json(
            {
                "exception": msgspec.to_builtins(exception_view(known)),
                "history": [msgspec.to_builtins(step_view(step)) for step in steps],
                "revisions": [msgspec.to_builtins(revision_view(each)) for each in revisions],
                "payload": hidden,
            }
        )
        return 0
    with suppress(BrokenPipeError):
        for name, value in msgspec.to_builtins(exception_view(known)).items():
            if value not in (None, []):
                sys.stdout.write(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}\n")
        sys.stdout.write("\n")
        heads = ("AT", "WHO", "WHAT", "WHY", "DETAIL")
        print_table(heads, [_line(step) for step in steps])
        if hidden is not None:
            sys.stdout.write("\n" + msgspec.json.format(msgspec.json.encode(hidden), indent=2).decode() + "\n")
    return 0


def decide(settings: Settings, verb: str, entry: str, given: Mapping[str, Any], *, as_json: bool) -> int:
    """Do `verb` with what was `given` to it."""

    async def work() -> Entry:
        core = Core(settings)
        async with core.opened():
            return await _decided(core.exceptions, _caller(core), verb, entry, given)

    after = asyncio.run(work())
    if as_json:
        print_json(msgspec.to_builtins(exception_view(after)))
    else:
        whose = f", {after.assignee}'s" if after.assignee else ""
        sys.stdout.write(f"{after.entry}: {verb} is done; it is {after.state.value}{whose}\n")
    return 0


def bulk(
    settings: Settings, step: str, given: Mapping[str, Any], filters: Mapping[str, str | None], *, as_json: bool
) -> int:
    """Plan, begin, tell or cancel a bulk."""

    async def work() -> Sequence[Bulk]:
        core = Core(settings)
        async with core.opened():
            bulks, caller = core.exceptions.bulks, _caller(core)
            if step == "list":
                return await bulks.listed(settings.tenant)
            if step == "plan":
                wanted = core.exceptions.wanted(**filters)
                return [await bulks.plan(caller, given["do"], wanted, reason=given["reason"])]
            if step in ("start", "approve"):
                return [await bulks.begin(caller, given["bulk"], approving=step == "approve")]
            if step == "cancel":
                return [await bulks.cancel(caller, given["bulk"])]
            return [await bulks.get(settings.tenant, given["bulk"])]

    found = asyncio.run(work())
    if as_json:
        print_json({"bulks": [msgspec.to_builtins(bulk_view(each)) for each in found]})
        return 0
    with suppress(BrokenPipeError):
        heads = ("STATE", "DO", "OF", "DONE", "CHANGED", "FAILED", "WAIT", "PLANNED BY", "BEGUN BY", "ID")
        print_table(heads, [_bulk_row(each) for each in found])
    return 0


async def _decided(exceptions: Exceptions, caller: Caller, verb: str, entry: str, given: Mapping[str, Any]) -> Entry:
    if verb == "assign":
        return await exceptions.assign(caller, entry, given["to"])
    if verb == "retry":
        return await exceptions.retry(caller, entry)
    if verb == "ignore":
        return await exceptions.ignore(caller, entry, reason=given["reason"])
    payload = _payload(given["payload"])
    return await exceptions.edit(caller, entry, payload, reason=given["reason"], version=given["version"])


def _payload(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Invalid(f"{path} is no JSON object: {error}") from error


def _caller(core: Core) -> Caller:
    return caller_at_shell(core.settings.tenant, core.clock, _SCOPES)


def _row(each: Entry) -> tuple[str, ...]:
    return (
        str(each.rank), each.state.value, each.error_class.value, each.fault_domain, each.about, each.code,
        str(each.count), _age(each.raised_at), each.assignee or "", each.entry,
    )  # fmt: skip


def _bulk_row(each: Bulk) -> tuple[str, ...]:
    counts = (each.size, each.done, each.skipped, each.failed, each.waiting)
    return each.state, each.verb, *map(str, counts), each.planned_by, each.begun_by or "", each.bulk


def _line(step: Step) -> tuple[str, ...]:
    return f"{step.at:%Y-%m-%d %H:%M:%S}", step.actor, step.what, step.reason or "", step.detail or step.code or ""


def _age(since: datetime) -> str:
    minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"  # noqa: PLR2004
