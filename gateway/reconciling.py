"""`crossdock reconcile`: one comparison, for a terminal or as JSON.

Returns the command's exit status: 1 when a difference waits for a person, or the comparison could not be finished.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal

import msgspec

from gateway.app import Core
from gateway.governance import print_json, print_table
from gateway.kernel.quantity import plain
from gateway.kernel.shell import shell_actor
from gateway.settings import Settings
from process_apis.reconciliation.models import Finding, Run, Scope, State, What
from process_apis.reconciliation.schemas import finding_view, run_view


def reconcile(
    settings: Settings,
    *,
    what: str,
    source: str | None,
    location: str | None,
    fresh: bool,
    dry: bool,
    as_json: bool,
    progress: Callable[[str], None],
) -> int:
    """Compare once and print what was found."""
    scope = Scope(what=What(what), source=source, location=location)

    async def work() -> tuple[Run, list[Finding]]:
        async with Core(settings).opened() as core:
            run, found = await core.reconciliation.run(
                scope, asked_by=shell_actor(), fresh=fresh, dry=dry, tell=progress
            )
            return run, found if dry else list(await core.reconciliation.standing(run))

    run, findings = asyncio.run(work())
    waiting = sum(each.state is State.OPEN for each in findings)
    if as_json:
        views = [msgspec.to_builtins(finding_view(each)) for each in findings]
        print_json({"run": msgspec.to_builtins(run_view(run)), "dry_run": dry, "findings": views})
    else:
        _print(run, findings, waiting, dry=dry)
    return 1 if waiting or run.error is not None else 0


def _print(run: Run, findings: Sequence[Finding], waiting: int, *, dry: bool) -> None:
    with suppress(BrokenPipeError):
        if findings:
            heads = ("CLASS", "STATE", "SOURCE", "LOCATION", "ITEM", "BUCKET", "REPORTED", "EXPECTED", "OF IT", "ID")
            print_table(heads, [_row(each) for each in findings])
        name = "dry run: nothing was written down" if dry else run.run
        sys.stdout.write(
            f"{run.compared} figures compared, {run.differing} differ, {run.recovered} lost events recovered, "
            f"{run.in_flight} in flight; {waiting} wait for a person ({name})\n"
        )
        if run.error is not None:
            sys.stderr.write(f"crossdock: not finished: {run.error}\n")


def _row(each: Finding) -> tuple[str, ...]:
    return (
        each.cause.value,
        each.state.value,
        each.source,
        each.location,
        each.sku or each.code or each.item or each.reference,
        each.bucket or "on hand",
        _amount(each.reported),
        _amount(each.expected),
        _amount(each.amount),
        each.finding,
    )


def _amount(value: Decimal | None) -> str:
    return "" if value is None else plain(value)
