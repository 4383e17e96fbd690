"""The ERPs' figures against ours: what is on hand of each item at each location that an ERP is told about.

An ERP's difference never moves our books. Within tolerance the ERP is corrected, else a person decides. What moved on
our side while the ERP was read, or is shipped and perhaps being booked there, is in flight: looked at the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec import structs

from gateway.canonical.capabilities import Call, Connection, ExaminesStock, ResolvesItems, StockAccount, TellsUnposted
from gateway.canonical.item import Item
from gateway.canonical.stock import ReportedFigure, ReportedSnapshot
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from process_apis.reconciliation.models import Cause, Finding, Scope, State, Tally, What
from process_apis.reconciliation.options import ReconciliationOptions
from process_apis.reconciliation.records import sql, value_of, write_finding
from process_apis.reconciliation.rules import within

_ZERO: Final = Decimal(0)
_Key = tuple[str, str]
POLICY: Final = "policy"
"""Who settles what is within tolerance, in the audit trail."""


class Books(NamedTuple):
    """Our side at one moment, by (item, location): on hand, what the ERP still has, and what tells that it moved."""

    expected: Mapping[_Key, Decimal]
    marks: Mapping[_Key, tuple[Any, ...]]
    uncertain: frozenset[_Key]


class Ledgers:
    """Compares one ERP at a time."""

    def __init__(
        self,
        store: Store,
        *,
        stock: ExaminesStock,
        unposted: TellsUnposted,
        items: ResolvesItems,
        options: ReconciliationOptions,
    ) -> None:
        self._store = store
        self._stock = stock
        self._unposted = unposted
        self._items = items
        self._options = options

    async def compare(
        self, call: Call, run: str, scope: Scope, account: StockAccount, tally: Tally, *, dry: bool
    ) -> list[Finding]:
        """Read one ERP and hold it against our books at the same moment."""
        codes = {ours: theirs for ours, theirs in account.codes.items() if scope.location in (None, ours)}
        if not codes:
            return []
        since = await self._store.fetchval(sql.now)
        before = await self._books(call.tenant, list(codes))
        snapshot = await account.reads.read_stock(call, locations=list(codes.values()))
        after = await self._books(call.tenant, list(codes))
        told, unmapped = await self._told(call.tenant, account.name, snapshot, codes)
        moving = {key for key in {*before.marks, *after.marks} if before.marks.get(key) != after.marks.get(key)}
        moving |= before.uncertain | after.uncertain
        keys = sorted({*told, *after.expected} - moving)
        tally.compared += len(keys)
        tally.in_flight += len(moving)
        items = await self._items.by_id(call.tenant, sorted({item for item, _ in keys}))
        findings = [
            self._finding(run, account.name, key, told.get(key, _ZERO), after.expected.get(key, _ZERO), items)
            for key in keys
            if told.get(key, _ZERO) != after.expected.get(key, _ZERO)
        ]
        findings += [_unmapped(run, account.name, figure, place) for figure, place in unmapped]
        tally.differing += len(findings)
        if not dry:
            await self._write(call, account.name, findings, moving, set(codes), since)
        return findings

    async def _books(self, tenant: str, locations: Sequence[str]) -> Books:
        expected: dict[_Key, Decimal] = {}
        marks: dict[_Key, tuple[Any, ...]] = {}
        left: dict[_Key, Decimal] = defaultdict(Decimal)
        uncertain: set[_Key] = set()
        for line in await self._unposted.unposted(tenant, locations):
            key = (line.item, line.location)
            left[key] += line.amount
            if not line.certain:
                uncertain.add(key)
        for figure in await self._stock.on_hand(tenant, locations):
            key = (figure.item, figure.location)
            expected[key] = figure.on_hand
            marks[key] = (figure.version, left.get(key, _ZERO))
        for key, amount in left.items():
            expected[key] = expected.get(key, _ZERO) + amount
            marks.setdefault(key, (0, amount))
        return Books(expected, marks, frozenset(uncertain))

    async def _told(
        self, tenant: str, source: str, snapshot: ReportedSnapshot, codes: Mapping[str, str]
    ) -> tuple[dict[_Key, Decimal], list[tuple[ReportedFigure, str]]]:
        ours = {theirs: location for location, theirs in codes.items()}
        wanted = sorted({figure.source_item for figure in snapshot.figures})
        items = await self._items.by_source(tenant, source, wanted)
        told: dict[_Key, Decimal] = defaultdict(Decimal)
        unmapped: list[tuple[ReportedFigure, str]] = []
        for figure in snapshot.figures:
            item, place = items.get(figure.source_item), ours.get(figure.source_location)
            conversion = None if item is None else item.factor(figure.uom)
            if place is None:
                continue
            if item is None or conversion is None:
                unmapped.append((figure, place))
            else:
                told[item.item, place] += figure.amount * conversion.factor
        return told, unmapped

    def _finding(
        self, run: str, source: str, key: _Key, told: Decimal, expected: Decimal, items: Mapping[str, Item]
    ) -> Finding:
        item, location = items.get(key[0]), key[1]
        amount, sku = told - expected, "" if item is None else item.sku
        value, tolerance = value_of(amount, item), self._options.tolerance(location, sku)
        small = within(amount, of=expected, value=value, tolerance=tolerance)
        return Finding(
            finding="",
            run=run,
            what=What.STOCK,
            against="erp",
            scope=f"{source}/{run}",
            cause=Cause.SOURCE_ONLY,
            source=source,
            location=location,
            item=key[0],
            sku=sku,
            reported=told,
            expected=expected,
            amount=amount,
            value=value,
            detail=f"{source} has {told} on hand where the warehouse's books have {expected}: accept to correct "
            f"{source} by the difference, or reject and say why it stays",
            state=State.ADJUSTING if small else State.OPEN,
        )

    async def _write(
        self,
        call: Call,
        source: str,
        findings: Sequence[Finding],
        moving: set[_Key],
        places: set[str],
        since: datetime,
    ) -> None:
        tenant = call.tenant
        async with self._store.transaction() as connection:
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 20491))", f"{tenant}/{source}")
            rows = await connection.fetch(sql.undecided_against, tenant, What.STOCK.value, source)
            standing = {(row["item"], row["code"], row["location"]): row for row in rows}
            rows = await connection.fetch(sql.rejected_against, tenant, What.STOCK.value, source)
            refused = {(row["item"], row["location"], row["amount"]) for row in rows}
            # Somebody else's run corrected it after this one began to read: what this one read may be older.
            rows = await connection.fetch(sql.corrected_since, tenant, What.STOCK.value, source, since)
            corrected = {(row["item"], row["location"]) for row in rows}
            for each in findings:
                known = standing.pop((each.item, each.code, each.location), None)
                if known is not None and known["state"] == State.ADJUSTING.value:
                    continue  # being corrected: what the ERP says now may or may not hold the correction
                if known is None and (each.item, each.location, each.amount) in refused:
                    continue
                if (each.item, each.location) in corrected:
                    continue
                scoped = each if known is None else structs.replace(each, scope=known["scope"])
                if known is not None and known["error"] is not None:
                    # The ERP refused the correction: the next word is a person's.
                    scoped = structs.replace(scoped, state=State.OPEN)
                name = await write_finding(connection, tenant, scoped)
                if name is not None and scoped.state is State.ADJUSTING:
                    await _audit(connection, call, name, scoped)
            gone = [
                row["finding"]
                for (item, _, place), row in standing.items()
                if row["state"] == State.OPEN.value and place in places and (item, place) not in moving
            ]
            if gone:
                await connection.execute(sql.explain_findings, tenant, gone)


async def _audit(connection: Connection, call: Call, name: str, finding: Finding) -> None:
    await record_audit(
        connection,
        tenant=call.tenant,
        actor=POLICY,
        action="reconciliation.accepted",
        subject=f"finding/{name}",
        outcome="adjusting",
        correlation_id=call.correlation_id,
        detail={
            "source": finding.source,
            "location": finding.location,
            "item": finding.item,
            "reported": str(finding.reported),
            "expected": str(finding.expected),
            "why": "within tolerance",
        },
    )


def _unmapped(run: str, source: str, figure: ReportedFigure, location: str) -> Finding:
    return Finding(
        finding="",
        run=run,
        what=What.STOCK,
        against="erp",
        scope=f"{source}/{run}",
        cause=Cause.MAPPING,
        source=source,
        location=location,
        code=figure.source_item,
        bucket=figure.bucket.value,
        reported=figure.amount,
        amount=figure.amount,
        detail=f"{source} counts {figure.source_item!r} in {figure.uom!r}, which is no item and unit of ours: add its "
        "code to an item's cross-references, or the unit to its packs",
    )
