"""`crossdock explain`: why a request was answered as it was, for a terminal or as JSON.

Returns the command's exit status: 1 when there is no record of the request.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.explain.blocks import instant
from gateway.explain.reading import Explanation, Step, explain
from gateway.explain.record import Record
from gateway.governance import print_json, print_table
from gateway.kernel.keyring import KeyRing
from gateway.settings import Settings


def show_explanation(settings: Settings, request_id: str, *, as_json: bool) -> int:
    """Print the explanation of one request."""

    async def ask(connection: Connection, _: KeyRing) -> Explanation:
        return await explain(
            connection, request_id, tenant=settings.tenant, now=datetime.now(UTC), hours=settings.explain.hours
        )

    found = asyncio.run(administer(settings, ask))
    if as_json:
        print_json(told(found))
    elif found.record is None:
        sys.stderr.write(f"crossdock: {found.request_id}: {found.advice}\n")
    else:
        _print(found, found.record)
    return 0 if found.record is not None else 1


def told(found: Explanation) -> dict[str, Any]:
    """The explanation as JSON has it: the record's fields by name."""
    record = found.record
    fields = None if record is None else {**structs.asdict(record), "idempotency": bool(record.idempotency)}
    if fields is not None:
        del fields["decisions"], fields["outbound"]
    return {**structs.asdict(found), "record": fields}


def _print(found: Explanation, record: Record) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.write(f"{found.answer}\n")
        sys.stdout.writelines(f"  {text}\n" for text in (record.detail, *record.problems) if text)
        sys.stdout.write("\n")
        for name, value in facts_of(found, record):
            sys.stdout.write(f"  {name:<14}{value}\n")
        sys.stdout.write("\n")
    rows = [(step.policy, step.outcome, _time_of(step), step.detail) for step in found.steps]
    if found.rest_microseconds is not None:
        rows.append(("operation, way out", "", _time(found.rest_microseconds), ""))
    print_table(("policy", "decision", "time", "why"), rows)
    _print_outbound(found)
    _print_consequences(found)


def _print_outbound(found: Explanation) -> None:
    rows = [
        (made.system, made.method, made.outcome, _time(made.microseconds), str(made.attempts))
        for made in found.outbound
    ]
    if rows:
        with suppress(BrokenPipeError):
            sys.stdout.write("\n")
        print_table(("it asked", "method", "outcome", "time", "tries"), rows)


def _print_consequences(found: Explanation) -> None:
    rows = [(_at(each.at), each.what, each.about, each.outcome, each.by) for each in (*found.audit, *found.events)]
    if not rows:
        return
    with suppress(BrokenPipeError):
        sys.stdout.write("\n")
    print_table(("it led to (UTC)", "what", "about", "outcome", "by"), rows)


def facts_of(found: Explanation, record: Record) -> Iterator[tuple[str, str]]:
    """Name and value of what was asked, by whom, and under what."""
    who = " ".join(part for part in (record.client, record.partner and f"of {record.partner}") if part)
    facts: Sequence[tuple[str, str]] = (
        ("request", record.request_id),
        ("arrived", f"{_at(instant(record.arrived_ms))} UTC, answered in {_time(record.took_us)}"),
        ("asked", f"{record.method} {record.path}"),
        ("route", record.route),
        ("version", _version(record)),
        ("client", who or "unknown"),
        ("credential", record.credential),
        ("from", record.peer),
        ("limits told", ", ".join(f"{name}: {value}" for name, value in sorted(record.told.items()))),
        ("idempotency", found.idempotency),
        ("first request", found.original_request_id or ""),
        ("correlation", record.correlation_id),
        ("trace", record.trace_id),
        ("deadline", f"{record.deadline_ms / 1000:g} s, {_share(record)} of it used"),
        ("configuration", str(record.configuration)),
        ("worker", found.worker),
        ("orders", ", ".join(found.orders)),
    )
    yield from ((name, value) for name, value in facts if value)


def _version(record: Record) -> str:
    if record.version_asked and record.version_asked != record.version:
        return f"{record.version or 'none'} (asked for {record.version_asked})"
    return record.version


def _share(record: Record) -> str:
    return f"{record.took_us / 10 / max(record.deadline_ms, 1):.0f} %"


def _time(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    return f"{microseconds / 1000:.1f} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"  # noqa: PLR2004


def _time_of(step: Step) -> str:
    return f"≤ {_time(step.microseconds)}" if step.at_most else _time(step.microseconds)


def _at(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
