"""The import's report on the wire: one shape for every kind of master data."""

import io
from typing import Annotated, Any, Final

from litestar import Request
from msgspec import Meta, Struct

from gateway.kernel.exchange import caller_of
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, Report, TakesRows, import_rows
from gateway.reference.speaking import may_state
from gateway.store.postgres import Store

MOST_BYTES: Final = 8 << 20
CsvFile = Annotated[
    str, Meta(max_length=MOST_BYTES, description="RFC 4180: UTF-8, a header line, commas, quotes where needed")
]
IMPORT_OPTIONS: Final[dict[str, Any]] = {
    "cost": 20,
    "content_types": ("text/csv",),
    "body": CsvFile,
    "max_body": MOST_BYTES,
}


class RefusedRowView(Struct, kw_only=True):
    """A row that was not taken: its line in the file, the column, and what to do."""

    line: int
    column: str | None
    code: str
    detail: str


class ImportReport(Struct, kw_only=True):
    """What an import did, or would do (`dry_run`). `applied` is false when nothing was written.

    `refused` lists the first thousand rows that were not taken; `refusals` counts all.
    """

    source: str
    dry_run: bool
    partial: bool
    applied: bool
    rows: int
    created: int
    changed: int
    unchanged: int
    refusals: int
    refused: list[RefusedRowView]


async def import_body(
    request: Request[Any, Any, Any],
    store: Store,
    taker: TakesRows,
    *,
    domain: str,
    source: str,
    dry_run: bool,
    partial: bool,
) -> ImportReport:
    """Import the request's body on behalf of its caller."""
    caller = caller_of(request.scope)
    may_state(caller.principal, source)
    order = Order(
        tenant=caller.tenant,
        domain=domain,
        source=source,
        actor=caller.principal.subject,
        correlation_id=caller.correlation_id,
        dry_run=dry_run,
        partial=partial,
    )
    rows = read_rows(io.BytesIO(await request.body()), taker.layout)
    return report_view(await import_rows(store, taker, rows, order))


def report_view(report: Report) -> ImportReport:
    """A report on the wire."""
    refused = [
        RefusedRowView(line=each.line, column=each.column, code=each.code, detail=each.detail)
        for each in report.refused
    ]
    return ImportReport(
        source=report.source,
        dry_run=report.dry_run,
        partial=report.partial,
        applied=report.applied,
        rows=report.rows,
        created=report.created,
        changed=report.changed,
        unchanged=report.unchanged,
        refusals=report.refusals,
        refused=refused,
    )
