"""What `crossdock history` does: tells how far history reaches and the sizes of its spans. Returns the exit status."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from gateway.app import Core
from gateway.governance import print_json, print_table
from gateway.settings import Settings
from process_apis.availability.history import Reach
from process_apis.availability.partitions import Span

_MEGABYTE = 1024 * 1024


def show(settings: Settings, *, as_json: bool) -> int:
    """Print from when on questions are answered, what is kept by the settings, and each span with its size."""

    async def work() -> Reach:
        async with Core(settings).opened() as core:
            return await core.availability.history.reach(settings.tenant)

    reach = asyncio.run(work())
    if as_json:
        kept = msgspec.to_builtins(settings.history)
        print_json({**msgspec.to_builtins(reach), "kept": kept})
        return 0
    since = "the first report" if reach.since is None else f"{reach.since:%Y-%m-%dT%H:%M:%SZ}"
    kept_for = f"{settings.history.history_days} days"
    sys.stdout.write(f"history reaches back to {since}; it is kept for {kept_for}\n")
    if reach.condensing:
        sys.stdout.write(f"what is older is being condensed, the last of it at {reach.moved_at:%Y-%m-%dT%H:%M:%SZ}\n")
    heads = ("OF", "SPAN", "FROM", "UNTIL", "ROWS (ABOUT)", "MB")
    print_table(heads, [_row(each) for each in reach.spans])
    return 0


def _row(span: Span) -> tuple[str, ...]:
    if span.begin is None:
        begin, end = "condensed", ""
    else:
        begin, end = "the first" if span.begin.year == 1 else f"{span.begin:%Y-%m-%d}", f"{span.end:%Y-%m-%d}"
    return (span.table, span.name, begin, end, str(span.rows), f"{span.bytes / _MEGABYTE:.1f}")
