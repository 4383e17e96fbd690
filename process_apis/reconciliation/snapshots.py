"""Drift of the owners' snapshots: each difference split by cause, written down once, and looked at again while open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from gateway.canonical.capabilities import Call, Connection, ExaminesStock, ReportsMovements, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.reconciliation import DriftedSnapshot, StockDifference
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from process_apis.reconciliation.journals import Journals
from process_apis.reconciliation.models import Cause, Finding, Part, Scope, State, Tally, What
from process_apis.reconciliation.options import ReconciliationOptions
from process_apis.reconciliation.records import evidence_of, sql, value_of, write_finding
from process_apis.reconciliation.rules import parts_of, state_of

_MOST_SNAPSHOTS: Final = 1_000
_SNAPSHOT: Final = "snapshot/"
_FIGURE: Final = "figure/"


class Snapshots:
    """Examines what drifted."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        stock: ExaminesStock,
        items: ResolvesItems,
        journals: Journals,
        options: ReconciliationOptions,
    ) -> None:
        self._store = store
        self._clock = clock
        self._stock = stock
        self._items = items
        self._journals = journals
        self._options = options

    async def examine(
        self, call: Call, run: str, scope: Scope, found: Mapping[str, ReportsMovements], tally: Tally, *, dry: bool
    ) -> list[Finding]:
        """Examine every snapshot that is new or has open findings. `found` are the sources' own journals."""
        due = await self._due(call.tenant, scope)
        told: dict[str, list[Finding]] = {}
        for snapshot in due:
            told[snapshot.snapshot] = await self._look(call.tenant, run, snapshot, scope)
        if not dry:
            for source in {each.source for each in due if _unexplained(told[each.snapshot])} & found.keys():
                tally.recovered += await self._journals.recover(call, source, found[source])
                for snapshot in (each for each in due if each.source == source):
                    told[snapshot.snapshot] = await self._look(call.tenant, run, snapshot, scope)
            for snapshot in due:
                await self._write(call.tenant, snapshot, told[snapshot.snapshot], whole=scope.location is None)
            if scope.location is None:
                await self._close_mended(call.tenant, scope, told.values())
        tally.compared += sum(each.figures for each in due)
        findings = [each for some in told.values() for each in some]
        tally.differing += len({(each.scope, each.location, each.item, each.bucket, each.lot) for each in findings})
        return findings

    async def _due(self, tenant: str, scope: Scope) -> Sequence[DriftedSnapshot]:
        since = self._clock.now() - timedelta(hours=self._options.window_hours)
        drifted = await self._stock.drifted(tenant, since=since, source=scope.source, limit=_MOST_SNAPSHOTS)
        names = [each.snapshot for each in drifted]
        known = {row["snapshot"] for row in await self._store.fetch(sql.examined_of, tenant, names)}
        scopes = [_SNAPSHOT + name for name in names]
        still = {row["scope"] for row in await self._store.fetch(sql.open_scopes, tenant, scopes)}
        unmapped = {row["source"] for row in await self._store.fetch(sql.open_figures, tenant, scope.source)}
        latest = {each.source: each.snapshot for each in drifted if each.source in unmapped}
        again = {name.removeprefix(_SNAPSHOT) for name in still} | set(latest.values())
        return [each for each in drifted if each.snapshot not in known or each.snapshot in again]

    async def _look(self, tenant: str, run: str, snapshot: DriftedSnapshot, scope: Scope) -> list[Finding]:
        differences = [
            each
            for each in await self._stock.differences(tenant, snapshot.snapshot)
            if scope.location in (None, each.location)
        ]
        events = {event.event_id for each in differences for event in each.events}
        recovered = await self._journals.recovered(tenant, snapshot.source, sorted(events))
        items = await self._items.by_id(tenant, sorted({each.item for each in differences if each.item is not None}))
        return [
            self._finding(run, snapshot, each, part, None if each.item is None else items.get(each.item))
            for each in differences
            for part in parts_of(each, recovered)
        ]

    def _finding(
        self, run: str, snapshot: DriftedSnapshot, each: StockDifference, part: Part, item: Item | None
    ) -> Finding:
        value, sku = value_of(part.amount, item), "" if item is None else item.sku
        unmapped = each.item is None
        return Finding(
            finding="",
            run=run,
            what=What.STOCK,
            against="owner",
            scope=f"{_FIGURE}{snapshot.source}" if unmapped else _SNAPSHOT + snapshot.snapshot,
            cause=part.cause,
            source=snapshot.source,
            location=each.location,
            item=each.item or "",
            sku=sku,
            code=each.code or "",
            owner=each.owner,
            bucket=each.bucket,
            lot=each.lot,
            reported=each.reported,
            expected=each.expected,
            amount=part.amount,
            value=value,
            detail=_detail(snapshot, each, part),
            evidence=evidence_of(part),
            state=state_of(part, of=each.expected, value=value, tolerance=self._options.tolerance(each.location, sku)),
        )

    async def _write(self, tenant: str, snapshot: DriftedSnapshot, findings: Sequence[Finding], *, whole: bool) -> None:
        async with self._store.transaction() as connection:
            await connection.fetchval(
                sql.lock_examined, tenant, snapshot.snapshot, snapshot.source, snapshot.recorded_at
            )
            for finding in findings:
                await write_finding(connection, tenant, finding)
            if whole:
                scope = _SNAPSHOT + snapshot.snapshot
                rows = await connection.fetch(sql.undecided_of_scope, tenant, What.STOCK.value, scope)
                await _close(connection, tenant, rows, findings)

    async def _close_mended(self, tenant: str, scope: Scope, told: Iterable[Sequence[Finding]]) -> None:
        async with self._store.transaction() as connection:
            rows = await connection.fetch(sql.open_figures, tenant, scope.source)
            await _close(connection, tenant, rows, [each for some in told for each in some])


_ABOUT: Final = ("location", "item", "code", "owner", "bucket", "lot", "reference")


async def _close(connection: Connection, tenant: str, rows: Sequence[Any], findings: Sequence[Finding]) -> None:
    """What was open and is not found any more has been explained, or mended."""
    there = {(each.scope, *_about(each.cause.value, each)) for each in findings}
    gone = [
        row["finding"] for row in rows if (row["scope"], row["class"], *(row[name] for name in _ABOUT)) not in there
    ]
    if gone:
        await connection.execute(sql.explain_findings, tenant, gone)


def _about(cause: str, finding: Finding) -> tuple[str, ...]:
    return (cause, *(getattr(finding, name) for name in _ABOUT))


def _unexplained(findings: Sequence[Finding]) -> bool:
    return any(each.cause is Cause.SOURCE_ONLY and each.state in (State.OPEN, State.ACCEPTED) for each in findings)


def _detail(snapshot: DriftedSnapshot, each: StockDifference, part: Part) -> str:
    if each.item is None:
        return f"{snapshot.source} counts {each.code!r}, which nobody has mapped: add it to an item's cross-references"
    match part.cause:
        case Cause.TIMING:
            return "told after the snapshot, of before its cut-off: the books and the source agree by now"
        case Cause.LOSS:
            return f"never came to us: found in the journal of {snapshot.source} and recorded"
        case Cause.MAPPING:
            causes = sorted({event.cause for event in part.events if event.cause is not None})
            return f"waited for a mapping ({', '.join(causes)}): mend it and what is parked is let in"
        case Cause.SOURCE_ONLY:
            return f"{snapshot.source} changed it and told nobody: the books follow the owner; find out why"
