"""What `crossdock import` does: a file of master data into the record, with a report for people or as JSON."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.app import Core
from gateway.kernel.ids import new_id
from gateway.kernel.shell import account
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, Report, import_rows
from gateway.settings import Settings
from gateway.store.installation import check_installation


class Import(Struct, frozen=True, kw_only=True):
    """What the command is told."""

    kind: str
    file: Path
    source: str
    dry_run: bool
    partial: bool


def take_file(settings: Settings, asked: Import, *, as_json: bool) -> int:
    """Take the file; the status is 1 when rows were refused."""
    report = asyncio.run(_take(settings, asked))
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return 1 if report.refusals else 0
    would = "would be " if report.dry_run else ""
    sys.stdout.write(
        f"{report.rows} rows: {report.created} {would}new, {report.changed} {would}changed, "
        f"{report.unchanged} as before, {report.refusals} refused\n"
    )
    for each in report.refused:
        sys.stdout.write(f"  line {each.line}: {each.code}: {each.detail}\n")
    if report.refusals and not report.partial:
        sys.stdout.write("Nothing was written: correct the rows, or take the others with --partial.\n")
    return 1 if report.refusals else 0


async def _take(settings: Settings, asked: Import) -> Report:
    core = Core(settings)
    order = Order(
        tenant=settings.tenant,
        domain=asked.kind,
        source=asked.source,
        actor=f"cli/{account()}",
        correlation_id=new_id("imp"),
        dry_run=asked.dry_run,
        partial=asked.partial,
    )
    takers = core.takes_rows()
    await core.store.open()
    try:
        await check_installation(core.store, settings.store.installation)
        with asked.file.open("rb") as stream:
            return await import_rows(
                core.store, takers[asked.kind], read_rows(stream, takers[asked.kind].layout), order
            )
    finally:
        await core.store.close()
