"""A file of master data into the record: all of it or none, or what can be taken, or only a look at what would happen.

Importing a file again changes nothing: what it says is said already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.kernel.errors import Rejected
from gateway.reference.csv_rows import Layout, RefusedRow, Row
from gateway.reference.outcomes import Outcome
from gateway.store.audit import record_audit
from gateway.store.postgres import Store

MOST_AT_ONCE: Final = 20_000
"""Rows of a file that is taken whole: one transaction must end before its locks are felt."""
_BATCH: Final = 500
_TOLD: Final = 1_000


class Taken(Struct, frozen=True, kw_only=True):
    """What became of some rows, in numbers of records; `refused` has those that were left out."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: tuple[RefusedRow, ...] = ()


def taken_of(outcome: Outcome, lines: Mapping[Any, int]) -> Taken:
    """`outcome` of rows that stand in `lines`, by record: of several refusals of one row the first is told."""
    first = {each.record: each for each in reversed(outcome.refused)}
    return Taken(
        created=len(outcome.created),
        changed=len(outcome.changed),
        unchanged=len(outcome.unchanged),
        refused=tuple(
            RefusedRow(line=lines[each.record], column=each.attribute, code=each.code, detail=each.detail)
            for each in first.values()
        ),
    )


class Report(Struct, frozen=True, kw_only=True):
    """What an import did, or (`dry_run`) would do. `applied` is False when nothing was written.

    `refused` names the first thousand rows that were not taken, in the order of the file; `refusals` counts all.
    """

    source: str
    dry_run: bool
    partial: bool
    applied: bool
    rows: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refusals: int = 0
    refused: tuple[RefusedRow, ...] = ()

    def plus(self, taken: Taken, rows: int) -> Report:
        """With what became of `rows` more."""
        refused = sorted((*self.refused, *taken.refused), key=lambda each: each.line)
        return replace(
            self,
            rows=self.rows + rows,
            created=self.created + taken.created,
            changed=self.changed + taken.changed,
            unchanged=self.unchanged + taken.unchanged,
            refusals=self.refusals + len(taken.refused),
            refused=tuple(refused[:_TOLD]),
        )


class TakesRows(Protocol):
    """A process that takes rows of a file, inside the importer's transaction; what does not hold it leaves out."""

    @property
    def layout(self) -> Layout:
        """The columns of its files."""
        ...

    async def take_rows(
        self, connection: Connection, *, tenant: str, source: str, rows: Sequence[Row], correlation_id: str
    ) -> Taken:
        """Let `source` say what `rows` say."""
        ...


class Order(Struct, frozen=True, kw_only=True):
    """What is asked of an import: whose word the file is, and what becomes of it when rows are refused."""

    tenant: str
    domain: str
    source: str
    actor: str
    correlation_id: str
    dry_run: bool = False
    partial: bool = False


async def import_rows(store: Store, taker: TakesRows, rows: Iterable[Row | RefusedRow], order: Order) -> Report:
    """Take `rows`. Without `partial` one refusal keeps all out: one transaction of at most 20,000 rows."""
    report = Report(source=order.source, dry_run=order.dry_run, partial=order.partial, applied=False)
    rows = iter(_once_each(rows, taker.layout))
    if order.partial and not order.dry_run:
        while batch := list(islice(rows, _BATCH)):
            async with store.transaction() as connection:
                report = await _take(connection, taker, batch, order, report)
        report = replace(report, applied=report.created + report.changed > 0)
        async with store.transaction() as connection:
            await _audit(connection, order, report)
        return report
    whole = list(islice(rows, MOST_AT_ONCE + 1))
    if len(whole) > MOST_AT_ONCE:
        raise Rejected(
            f"more than {MOST_AT_ONCE} rows: split the file, or take what can be taken with `partial`",
            code="import.too_long",
        )
    try:
        async with store.transaction() as connection:
            report = await _take(connection, taker, whole, order, report)
            if order.dry_run or report.refusals:
                raise _UndoneError  # noqa: TRY301 - leaving the block by an error is what rolls it back
            report = replace(report, applied=report.created + report.changed > 0)
            await _audit(connection, order, report)
    except _UndoneError:
        pass
    return report


class _UndoneError(Exception):
    """Rolls the transaction back."""


async def _take(
    connection: Connection, taker: TakesRows, batch: Sequence[Row | RefusedRow], order: Order, report: Report
) -> Report:
    taken = await taker.take_rows(
        connection,
        tenant=order.tenant,
        source=order.source,
        rows=[each for each in batch if isinstance(each, Row)],
        correlation_id=order.correlation_id,
    )
    misread = tuple(each for each in batch if isinstance(each, RefusedRow))
    return report.plus(replace(taken, refused=(*taken.refused, *misread)), len(batch))


def _once_each(rows: Iterable[Row | RefusedRow], layout: Layout) -> Iterable[Row | RefusedRow]:
    lines: dict[object, int] = {}
    for row in rows:
        key = row.values.get(layout.key) if isinstance(row, Row) else None
        if key is not None and isinstance(row, Row) and lines.setdefault(key, row.line) != row.line:
            yield RefusedRow(
                line=row.line,
                column=layout.key,
                code="import.repeated",
                detail=f"line {lines[key]} is about {str(key)[:60]!r} already: keep one row of each",
            )
        else:
            yield row


async def _audit(connection: Connection, order: Order, report: Report) -> None:
    await record_audit(
        connection,
        tenant=order.tenant,
        actor=order.actor,
        action="reference.imported",
        subject=f"{order.domain}/import",
        outcome="done",
        correlation_id=order.correlation_id,
        detail={
            "source": order.source,
            "partial": order.partial,
            **{name: getattr(report, name) for name in ("rows", "created", "changed", "unchanged", "refusals")},
        },
    )
