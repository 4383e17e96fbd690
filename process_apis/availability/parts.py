"""Snapshots too large for one transaction: kept part by part, applied part by part once all have come.

Until the last part is here nothing changes. From then on each figure stands, in the transaction that applies its part,
either on what it stood on before or on the snapshot, and what moved meanwhile counts in both cases: a figure is right
whenever it is read. A death in between leaves the rest of the parts to whoever comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import (
    OrderKey,
    Outcome,
    Receipt,
    ReceiptLine,
    ReportedFigure,
    ReportedSnapshot,
    SnapshotPart,
)
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Rejected
from gateway.kernel.ids import new_id
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.counting import (
    DRIFT_SHOWN,
    Counter,
    Drift,
    OnceRow,
    absent,
    compare,
    drift_of,
    keep_drift,
    record_once,
)
from process_apis.availability.hearing import hear
from process_apis.availability.lateness import Lateness
from process_apis.availability.lines import lock_lines
from process_apis.availability.locking import location_keys
from process_apis.availability.models import LineKey, TooLateError
from process_apis.availability.parking import park
from process_apis.availability.translating import Translator, fingerprint

_sql: Final = queries_beside(__file__)
_parts: Final = queries_beside(__file__, "parts_queries.sql")
_LARGEST: Final = 5_000
_MOST_PARTS: Final = 10_000
_KEPT: Final = timedelta(days=7)
_After = Sequence[str] | None
_FIRST: Final = ("",) * 5
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_decode: Final = msgspec.json.Decoder(tuple[ReportedFigure, ...]).decode


class PartCounter:
    """Records snapshots in parts. Any number of processes may take and apply parts at once."""

    def __init__(
        self, store: Store, translator: Translator, counter: Counter, lateness: Lateness, clock: Clock
    ) -> None:
        self._lateness = lateness
        self._store = store
        self._translator = translator
        self._counter = counter
        self._clock = clock

    async def record(self, tenant: str, part: SnapshotPart) -> Receipt:
        """Keep a part, once; it is committed when this returns, and applied by `apply_next` when all have come."""
        figures = part.snapshot.figures
        if not 0 < part.number <= part.of <= _MOST_PARTS or len(figures) > _LARGEST:
            raise Rejected(
                f"part {part.number} of {part.of} with {len(figures)} figures: number parts from 1, send at most"
                f" {_LARGEST} figures in one and at most {_MOST_PARTS} parts",
                code="stock.part_invalid",
            )
        if await self._lateness.is_late(tenant, part.snapshot):
            return await self._lateness.park_snapshot(tenant, part.snapshot)
        async with self._store.transaction() as connection:
            outcome = await self._keep(connection, tenant, part)
            await hear(connection, tenant, [part.snapshot.source], self._clock)
        if outcome is None:
            return Receipt(recorded=len(figures))
        return Receipt(others=(_line(part, outcome),))

    async def apply_next(self) -> bool:
        """Apply one part of a complete snapshot, or end one whose parts are applied; False: nothing is left for us."""
        part = await self._store.fetchrow(_parts.next_part)
        due = await self._store.fetchrow(_parts.due_snapshot) if part is None else None
        if part is None and due is None:
            return False
        try:
            return await (self._apply(part) if part is not None else self._end(due))
        except TooLateError:
            return await self._give_up(part or due)
        except Exception:
            failed: Any = part or due
            await self._store.execute(_parts.snapshot_failed, failed["snapshot"])
            raise

    async def _give_up(self, row: Any) -> bool:
        """Leave to a person what its cut-off does not let us tell: figures of one part, or the zeroes of them all."""
        figures = _decode(row["figures"]) if "figures" in row.keys() else ()  # noqa: SIM118 - a record is no mapping
        snapshot = _snapshot(row, figures, full=row["full_scope"])
        await self._lateness.park_snapshot(row["tenant"], snapshot)
        if "number" in row.keys():  # noqa: SIM118
            await self._store.execute(_parts.take_part, row["snapshot"], row["number"], 0, 0, "[]", 0, 0, "[]")
        else:
            await self._store.execute(_parts.end_snapshot, row["snapshot"])
        return True

    async def forget(self) -> None:
        """Let go of snapshots that did not become complete in a week, and of what is left of applied ones."""
        await self._store.execute(_parts.forget_parts, _KEPT)

    async def list(self, tenant: str, limit: int = 50) -> Sequence[Any]:
        """Snapshots in parts, the latest first: how many parts have come and how many are applied."""
        return await self._store.fetch(_parts.parted_snapshots, tenant, limit)

    async def _keep(self, connection: Connection, tenant: str, part: SnapshotPart) -> Outcome | None:
        head, digest = part.snapshot, _head_digest(part)
        row: OnceRow = (head.source, head.event_id, -1, 0, digest, None)
        if await record_once(connection, tenant, [row]):
            cut = (head.cut_off.epoch, head.cut_off.sequence, head.taken_at, head.full, list(head.locations))
            await connection.execute(
                _parts.open_snapshot, tenant, head.source, head.event_id, *cut, part.of, digest, new_id("snp")
            )
        kept = await connection.fetchrow(_parts.lock_snapshot, tenant, head.source, head.event_id)
        if kept is None:  # it was told as a whole, or in parts long ago
            known = await connection.fetch(_sql.known_once, tenant, [head.source], [head.event_id], [-1])
            return Outcome.DUPLICATE if known and known[0]["fingerprint"] == digest else Outcome.CONFLICT
        if kept["fingerprint"] != digest:
            return Outcome.CONFLICT
        figures = _encode(head.figures).decode()
        own = fingerprint(head)
        if not await connection.fetch(_parts.keep_part, kept["id"], part.number, own, figures):
            known = await connection.fetchval(_parts.fingerprint_of_part, kept["id"], part.number)
            return Outcome.DUPLICATE if known == own else Outcome.CONFLICT
        await connection.fetchval(_parts.complete_snapshot, kept["id"])
        return None

    async def _apply(self, row: Any) -> bool:
        tenant = row["tenant"]
        snapshot = _snapshot(row, _decode(row["figures"]), full=False)
        counts, parked = await self._translator.figures(tenant, snapshot, first_line=(row["number"] - 1) * _LARGEST)
        async with self._store.transaction() as connection:
            if await connection.fetchval(_parts.lock_part, row["snapshot"], row["number"]) is None:
                return False
            await log.append(connection, await park(connection, tenant, parked, self._clock.now()))
            held, scope = self._counter.split(tenant, snapshot, counts)
            drift = await self._counter.apply(connection, tenant, snapshot, held, scope)
            await keep_drift(connection, tenant, row["name"], drift)
            told = [count for count in counts if count.location not in scope]
            found = (len(held), *_shown(drift), len(told), *_shown(await compare(connection, tenant, told)))
            await connection.execute(_parts.take_part, row["snapshot"], row["number"], *found)
        return True

    async def _end(self, row: Any) -> bool:
        """Zero what a full snapshot did not name, then say that it holds."""
        tenant, snapshot = row["tenant"], _snapshot(row, (), full=row["full_scope"])
        _, scope = self._counter.split(tenant, snapshot, ())
        places = sorted(scope)
        if snapshot.full:
            await self._zero_by_and_by(row, snapshot, places)
        async with self._store.transaction() as connection:
            if await connection.fetchval(_parts.lock_due, row["snapshot"]) is None:
                return False
            if snapshot.full:
                await connection.execute(_sql.lock_locations, location_keys(tenant, places))
                after: _After = _FIRST
                while after is not None:
                    after = await self._zero(connection, row, snapshot, places, after)
                cut = (snapshot.cut_off.epoch, snapshot.cut_off.sequence, snapshot.event_id, snapshot.taken_at)
                await connection.execute(_sql.cut_full, tenant, places, *cut)
                await connection.execute(_sql.keep_full_cut, tenant, places, *cut)
            await self._note(connection, row, snapshot)
            await connection.execute(_parts.end_snapshot, row["snapshot"])
        return True

    async def _note(self, connection: Connection, row: Any, snapshot: ReportedSnapshot) -> None:
        total = await connection.fetchrow(_parts.sum_of_parts, row["snapshot"])
        sums = ((total["counted"], total["drifted"], True), (total["told"], total["told_drifted"], False))
        for figures, drifted, moves in sums:
            if moves or figures:
                rows = await connection.fetch(_parts.drift_of_parts, row["snapshot"], moves, DRIFT_SHOWN)
                shown = [msgspec.json.decode(each["drift"]) for each in rows]
                name = row["name"] if moves else new_id("snp")
                await self._counter.note_all(
                    connection, row["tenant"], name, snapshot, figures, drifted, shown, moves=moves
                )

    async def _zero_by_and_by(self, row: Any, snapshot: ReportedSnapshot, places: Sequence[str]) -> None:
        after: _After = _FIRST
        while after is not None:
            async with self._store.transaction() as connection:
                await connection.execute(_sql.lock_locations_shared, location_keys(row["tenant"], places))
                after = await self._zero(connection, row, snapshot, places, after)

    async def _zero(
        self,
        connection: Connection,
        row: Any,
        snapshot: ReportedSnapshot,
        places: Sequence[str],
        after: Sequence[str],
    ) -> _After:
        """Up to 5,000 keys that were not named; where to go on, or None when that was all."""
        tenant, cut = row["tenant"], (snapshot.cut_off.epoch, snapshot.cut_off.sequence, snapshot.event_id)
        rows = await connection.fetch(_parts.keys_before, tenant, list(places), *cut, *after, _LARGEST)
        keys = {LineKey(each["item"], each["location"], each["owner"]) for each in rows}
        awaited = await lock_lines(connection, tenant, keys)
        rebased = await self._counter.rebase(connection, tenant, [absent(snapshot, each) for each in rows])
        if drift := await drift_of(connection, tenant, rebased):
            await keep_drift(connection, tenant, row["name"], drift)
            await connection.execute(_parts.add_drift, row["snapshot"], *_shown(drift), DRIFT_SHOWN)
        await self._counter.refresh(connection, tenant, snapshot, keys, frozenset(awaited))
        return tuple(rows[-1]) if len(rows) == _LARGEST else None


def _snapshot(row: Any, figures: tuple[ReportedFigure, ...], *, full: bool) -> ReportedSnapshot:
    return ReportedSnapshot(
        source=row["source"],
        event_id=row["event_id"],
        cut_off=OrderKey(row["cut_epoch"], row["cut_sequence"]),
        taken_at=row["taken_at"],
        full=full,
        locations=tuple(row["locations"]),
        figures=figures,
    )


def _shown(drift: Sequence[Drift]) -> tuple[int, str]:
    return len(drift), _encode([each.shown() for each in drift[:DRIFT_SHOWN]]).decode()


def _head_digest(part: SnapshotPart) -> bytes:
    head = msgspec.structs.replace(part.snapshot, figures=())
    return fingerprint(SnapshotPart(snapshot=head, number=0, of=part.of))


def _line(part: SnapshotPart, outcome: Outcome) -> ReceiptLine:
    clash = outcome is Outcome.CONFLICT
    detail = f"part {part.number} of this snapshot was told otherwise: ask its source which is true"
    return ReceiptLine(
        source=part.snapshot.source,
        event_id=part.snapshot.event_id,
        line=-1,
        outcome=outcome,
        cause="stock.event_conflict" if clash else None,
        detail=detail if clash else None,
    )
