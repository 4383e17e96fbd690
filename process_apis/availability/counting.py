"""Absolute figures in: snapshots and counts. A figure stands on the latest by cut-off; deltas after it are added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.stock import Outcome, Receipt, ReceiptLine, ReportedSnapshot
from gateway.kernel.clock import Clock
from gateway.kernel.ids import new_id
from gateway.store import log
from gateway.store.arrays import array
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.arriving import Arrivals
from process_apis.availability.hearing import hear
from process_apis.availability.holding import scopes_of
from process_apis.availability.lateness import Lateness
from process_apis.availability.lines import Cause, LineChange, lock_lines, tell_lines
from process_apis.availability.locking import location_keys
from process_apis.availability.models import Count, LineKey, Mapped, Parked, ParkedFigure, Refusal, TooLateError
from process_apis.availability.moving import apply_effects, settle
from process_apis.availability.parking import park
from process_apis.availability.translating import Translator, fingerprint

_sql: Final = queries_beside(__file__)
_drift_sql: Final = queries_beside(__file__, "drift_queries.sql")
_history_sql: Final = queries_beside(__file__, "history_queries.sql")
_CHUNK: Final = 5_000
DRIFT_SHOWN: Final = 100
"""So many of the keys that drifted are named."""
_ZERO: Final = Decimal(0)
_Key = tuple[str, str, str, str, str]
OnceRow = tuple[str, str, int, int, bytes, str | None]
"""Source, event, line, revision, fingerprint, movement."""
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class CutCount(NamedTuple):
    """A figure and the cut-off it holds at; the row of `rebase`."""

    location: str
    item: str
    owner: str
    bucket: str
    lot: str
    figure: Decimal
    epoch: int
    sequence: int
    event: str
    taken_at: datetime


class Drift(NamedTuple):
    """How far a reported figure was from what was expected at its cut-off, in base units, and where it stood before.

    `known` is false for a figure of which nothing at all was known: it opens the books.
    """

    location: str
    item: str
    owner: str
    bucket: str
    lot: str
    drift: Decimal
    was_epoch: int = -1
    was_sequence: int = -1
    known: bool = True

    def shown(self) -> dict[str, Any]:
        """What the event tells of it."""
        return dict(zip(self._fields[:6], self, strict=False))


def count_of_movement(each: Mapped) -> CutCount:
    """A cycle count: an absolute figure for one key, at its own place in the source's order."""
    reported = each.reported
    bucket = each.way.target
    return CutCount(
        each.location,
        each.item,
        each.owner,
        bucket.value if bucket else "sellable",
        reported.lot or "",
        each.amount,
        reported.order_key.epoch,
        reported.order_key.sequence,
        f"{reported.event_id}#{reported.revision:06d}" if reported.revision else reported.event_id,
        reported.occurred_at,
    )


def count_key(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """The key of the figure that a recorded cycle count stated."""
    return row["location"], row["item"], row["owner"], row["to_bucket"], row["lot"]


def once_columns(rows: Iterable[OnceRow]) -> list[Any]:
    """The arrays of `record_once` and `revise_once`."""
    source, event, line, revision, digest, movement = zip(*rows, strict=True)
    return [array(source), array(event), array(line), array(revision), list(digest), array(movement)]


async def record_once(connection: Connection, tenant: str, rows: Iterable[OnceRow]) -> int:
    """Record what was never recorded before; returns how many of `rows` that is."""
    status = await connection.execute(_sql.record_once, tenant, *once_columns(rows))
    return int(status.rpartition(" ")[2])


class Counter:
    """Records snapshots, each in one transaction."""

    def __init__(
        self, store: Store, translator: Translator, arrivals: Arrivals, lateness: Lateness, clock: Clock
    ) -> None:
        self._lateness = lateness
        self._store = store
        self._translator = translator
        self._arrivals = arrivals
        self._clock = clock

    async def record(self, tenant: str, snapshot: ReportedSnapshot) -> Receipt:
        """Apply a snapshot once; what it says about locations that another system holds is kept, and moves nothing."""
        if await self._lateness.is_late(tenant, snapshot):
            return await self._lateness.park_snapshot(tenant, snapshot)
        try:
            return await self._record(tenant, snapshot)
        except TooLateError:
            return await self._lateness.park_snapshot(tenant, snapshot)

    async def _record(self, tenant: str, snapshot: ReportedSnapshot) -> Receipt:
        counts, parked = await self._translator.figures(tenant, snapshot)
        async with self._store.transaction() as connection:
            verdict = await _admit(connection, tenant, snapshot)
            if verdict is not None:
                return Receipt(others=(_whole(snapshot, verdict),))
            events = await park(connection, tenant, parked, self._clock.now())
            await log.append(connection, events)
            held, scope, drift = await self._apply_all(connection, tenant, snapshot, counts)
            told = [count for count in counts if count.location not in scope]
            await self.note(connection, tenant, snapshot, len(held), drift, moves=True)
            if told:
                drift = await compare(connection, tenant, told)
                await self.note(connection, tenant, snapshot, len(told), drift, moves=False)
            await hear(connection, tenant, [snapshot.source], self._clock)
        others = tuple(_parked_line(each) for each in parked)
        return Receipt(recorded=len(counts), others=others)

    async def record_parked(self, tenant: str, waiting: Mapping[int, ParkedFigure]) -> Receipt:
        """Apply those of one snapshot's figures that waited for a mapping and have one now.

        Each joins what its snapshot said about the same key.
        """
        head = next(iter(waiting.values())).snapshot
        part = msgspec.structs.replace(head, figures=tuple(each.figure for each in waiting.values()), full=False)
        counts, unknown = await self._translator.figures(tenant, part)
        if not counts:
            return Receipt()
        unmapped = {each.line for each in unknown}
        mapped = [parked for line, parked in enumerate(waiting) if line not in unmapped]
        try:
            async with self._store.transaction() as connection:
                let_in = {row["id"] for row in await connection.fetch(_sql.resolve_parked, tenant, mapped)}
                counts = [count for parked, count in zip(mapped, counts, strict=True) if parked in let_in]
                if counts:
                    await self._apply_all(connection, tenant, part, counts)
        except TooLateError:
            if len(mapped) == 1:
                await self._lateness.keep_waiting(tenant, mapped, head.taken_at)
                return Receipt()
            receipt = Receipt()  # which of them is too late shows when each is alone
            for parked in mapped:
                receipt = receipt.plus(await self.record_parked(tenant, {parked: waiting[parked]}))
            return receipt
        return Receipt(recorded=len(counts))

    async def rebase(self, connection: Connection, tenant: str, counts: Sequence[CutCount]) -> Sequence[Any]:
        """Stand figures on these counts where they are later than what they stand on; the rows that were rebased.

        The caller holds the locks. Figures of one key under one cut-off add up (bins), a later cut-off replaces.
        """
        merged = sorted(_merge(counts))
        rows: list[Any] = []
        for start in range(0, len(merged), _CHUNK):
            columns = zip(*merged[start : start + _CHUNK], strict=True)
            rows += await connection.fetch(_sql.rebase, tenant, *map(list, columns))
        await _check_told(connection, tenant, merged, rows)
        await self._settle_again(connection, tenant, [row for row in rows if not row["same"]])
        return rows

    async def recall(self, connection: Connection, tenant: str, keys: Iterable[_Key]) -> None:
        """Stand figures on the latest absolute figure left, after one of theirs was taken back by a revision.

        The caller holds the locks.
        """
        if ordered := sorted(set(keys)):
            rows = await connection.fetch(_sql.recall, tenant, *map(list, zip(*ordered, strict=True)))
            await self._settle_again(connection, tenant, rows)

    async def _settle_again(self, connection: Connection, tenant: str, rebased: Sequence[Any]) -> None:
        moved = [row for row in rebased if row["bucket"] in ("sellable", "picked")]
        if not moved:
            return
        columns = zip(*((r["location"], r["item"], r["owner"], r["bucket"], r["lot"]) for r in moved), strict=True)
        await connection.execute(_sql.drop_settlements, tenant, *map(list, columns))
        after = {(r["location"], r["item"], r["owner"], r["lot"], r["epoch"], r["sequence"]) for r in moved}
        groups = await connection.fetch(_sql.groups_after, tenant, *map(list, zip(*sorted(after), strict=True)))
        effects = await settle(connection, tenant, {tuple(group) for group in groups}, self._clock.now())
        await apply_effects(connection, tenant, effects)

    def split(self, tenant: str, snapshot: ReportedSnapshot, counts: Sequence[Count]) -> tuple[list[Count], set[str]]:
        """The figures that may move stock, and the locations this source is declared to hold among the snapshot's."""
        scope = set()
        for code in {*snapshot.locations, *(figure.source_location for figure in snapshot.figures)}:
            place = self._translator.place(tenant, snapshot.source, code, snapshot.taken_at)
            if not isinstance(place, Refusal) and place.holder == snapshot.source:
                scope.add(place.location)
        return [count for count in counts if count.location in scope], scope

    async def _apply_all(
        self, connection: Connection, tenant: str, snapshot: ReportedSnapshot, counts: Sequence[Count]
    ) -> tuple[list[Count], set[str], list[Drift]]:
        """Apply what may move stock: the figures, their locations (those that this source holds), and the drift."""
        scope: set[str] = set()
        held: list[Count] = []
        drift: list[Drift] = []
        for part, names in await self._scopes(connection, tenant, snapshot):
            some = [count for count in counts if count.location in names]
            drift += await self.apply(connection, tenant, part, some, names)
            scope |= names
            held += some
        return held, scope, drift

    async def _scopes(
        self, connection: Connection, tenant: str, snapshot: ReportedSnapshot
    ) -> list[tuple[ReportedSnapshot, set[str]]]:
        """The locations that this source holds among those of the snapshot, with the cut-off that holds there."""
        places = {}
        for code in {*snapshot.locations, *(figure.source_location for figure in snapshot.figures)}:
            place = self._translator.place(tenant, snapshot.source, code, snapshot.taken_at)
            if not isinstance(place, Refusal) and (place.holder == snapshot.source or place.stand_by is not None):
                places[place.location] = place
        switchable = [place for place in places.values() if place.stand_by is not None]
        parts = [(snapshot, {name for name, place in places.items() if place.stand_by is None})]
        if switchable:
            lock = _sql.lock_locations if snapshot.full else _sql.lock_locations_shared
            await connection.fetch(lock, location_keys(tenant, places))
            parts += await scopes_of(connection, tenant, snapshot, switchable, self._clock.now())
        return parts

    async def apply(
        self, connection: Connection, tenant: str, snapshot: ReportedSnapshot, held: Sequence[Count], scope: set[str]
    ) -> list[Drift]:
        """Stand the figures of `held` on the snapshot; with a full one, everything else of `scope` on zero."""
        places = sorted(scope)
        lock = _sql.lock_locations if snapshot.full else _sql.lock_locations_shared
        await connection.fetch(lock, location_keys(tenant, places))
        counts = [_cut(snapshot, count) for count in held]
        keys = {LineKey(count.item, count.location, count.owner) for count in held}
        if snapshot.full:
            rows = await connection.fetch(_sql.lines_at, tenant, places)
            keys |= {LineKey(row["item"], row["location"], row["owner"]) for row in rows}
        awaited = await lock_lines(connection, tenant, keys)
        await _keep(connection, tenant, counts)
        if snapshot.full:
            named = {count[:5] for count in counts}
            rows = await connection.fetch(_sql.keys_at, tenant, places)
            counts += [absent(snapshot, row) for row in rows if tuple(row) not in named]
        rebased = await self.rebase(connection, tenant, counts)
        if snapshot.full:
            cut = (snapshot.cut_off.epoch, snapshot.cut_off.sequence, snapshot.event_id, snapshot.taken_at)
            tag = await connection.execute(_sql.cut_full, tenant, places, *cut)
            late = int(tag.rpartition(" ")[2]) < len(places)
            if late and await connection.fetchval(_history_sql.straddled, tenant, places, None, *cut[:2]):
                raise TooLateError
            await connection.execute(_sql.keep_full_cut, tenant, places, *cut)
        await self.refresh(connection, tenant, snapshot, keys, frozenset(awaited))
        return await drift_of(connection, tenant, rebased)

    async def refresh(
        self,
        connection: Connection,
        tenant: str,
        snapshot: ReportedSnapshot,
        keys: Iterable[LineKey],
        awaited: frozenset[LineKey],
    ) -> None:
        """Write the lines of these keys, which are locked, and tell the log of those that changed.

        `awaited` are those that promises wait at: see `Arrivals.attend`.
        """
        ordered = sorted(keys)
        cause = Cause(f"{snapshot.source}:{snapshot.event_id}", snapshot.event_id)
        for start in range(0, len(ordered), _CHUNK):
            changes = {key: LineChange(as_of=snapshot.taken_at) for key in ordered[start : start + _CHUNK]}
            waited = [key for key in changes if key in awaited]
            events = await self._arrivals.attend(connection, tenant, waited, changes)
            fallen = await tell_lines(connection, tenant, changes, self._clock.now(), {}, cause)
            await log.append(connection, [*fallen, *events])

    async def note(
        self,
        connection: Connection,
        tenant: str,
        snapshot: ReportedSnapshot,
        figures: int,
        drift: Sequence[Drift],
        *,
        moves: bool,
    ) -> None:
        """Keep what a snapshot said beside what was expected, and tell the log of one that moved figures."""
        name, shown = new_id("snp"), [each.shown() for each in drift[:DRIFT_SHOWN]]
        await self.note_all(connection, tenant, name, snapshot, figures, len(drift), shown, moves=moves)
        if moves:
            await keep_drift(connection, tenant, name, drift)

    async def note_all(
        self,
        connection: Connection,
        tenant: str,
        name: str,
        snapshot: ReportedSnapshot,
        figures: int,
        drifted: int,
        shown: list[dict[str, Any]],
        *,
        moves: bool,
    ) -> None:
        """`note`, where the drift was kept and counted already, under the `name` of the snapshot."""
        cut = snapshot.cut_off
        await connection.execute(
            _sql.insert_snapshot,
            tenant,
            name,
            snapshot.source,
            snapshot.event_id,
            cut.epoch,
            cut.sequence,
            snapshot.taken_at,
            snapshot.full,
            moves,
            figures,
            drifted,
            _encode(shown).decode(),
        )
        if moves:
            await log.append(connection, [_applied(tenant, name, snapshot, figures, drifted, shown)])


async def _check_told(connection: Connection, tenant: str, counts: Sequence[CutCount], rows: Sequence[Any]) -> None:
    """Refuse figures at a cut-off that what is kept reaches over: they could not be told from it."""
    straddled = frozenset(tuple(row)[:5] for row in rows if row["straddled"])
    if straddled:
        raise TooLateError(straddled)
    if len(rows) == len(counts):
        return
    # These do not hold now, but would if a later one were taken back.
    rebased = {tuple(row)[:5] for row in rows}
    cuts: dict[tuple[int, int], list[CutCount]] = {}
    for count in counts:
        if count[:5] not in rebased:
            cuts.setdefault((count.epoch, count.sequence), []).append(count)
    for cut, some in cuts.items():
        places, items = {count.location for count in some}, {count.item for count in some}
        if await connection.fetchval(_history_sql.straddled, tenant, list(places), list(items), *cut):
            raise TooLateError(frozenset(count[:5] for count in some))


async def _keep(connection: Connection, tenant: str, counts: Sequence[CutCount]) -> None:
    for start in range(0, len(counts), _CHUNK):
        columns = zip(*counts[start : start + _CHUNK], strict=True)
        await connection.execute(_sql.keep_figures, tenant, *map(list, columns))


def _merge(counts: Iterable[CutCount]) -> Iterable[CutCount]:
    merged: dict[_Key, CutCount] = {}
    for count in counts:
        key = count[:5]
        before = merged.get(key)
        if before is None or (count.epoch, count.sequence, count.event) > (before.epoch, before.sequence, before.event):
            merged[key] = count
        elif (count.epoch, count.sequence, count.event) == (before.epoch, before.sequence, before.event):
            merged[key] = before._replace(figure=before.figure + count.figure)
    return merged.values()


def _cut(snapshot: ReportedSnapshot, count: Count) -> CutCount:
    cut = snapshot.cut_off
    return CutCount(
        count.location,
        count.item,
        count.owner,
        count.bucket.value,
        count.lot,
        count.amount,
        cut.epoch,
        cut.sequence,
        snapshot.event_id,
        snapshot.taken_at,
    )


def absent(snapshot: ReportedSnapshot, row: Any) -> CutCount:
    """Zero at the cut-off, for a key that a full snapshot did not name."""
    cut = snapshot.cut_off
    place, item, owner, bucket, lot = row
    return CutCount(
        place, item, owner, bucket, lot, _ZERO, cut.epoch, cut.sequence, snapshot.event_id, snapshot.taken_at
    )


async def _admit(connection: Connection, tenant: str, snapshot: ReportedSnapshot) -> Outcome | None:
    """Once per snapshot: None when it is new."""
    digest = fingerprint(snapshot)
    row: OnceRow = (snapshot.source, snapshot.event_id, -1, 0, digest, None)
    if await record_once(connection, tenant, [row]):
        return None
    known = await connection.fetch(_sql.known_once, tenant, [snapshot.source], [snapshot.event_id], [-1])
    return Outcome.DUPLICATE if known[0]["fingerprint"] == digest else Outcome.CONFLICT


async def drift_of(connection: Connection, tenant: str, rebased: Sequence[Any]) -> list[Drift]:
    """How far figures were from what they were rebased on."""
    rows = {
        (row["location"], row["item"], row["owner"], row["bucket"], row["lot"]): row
        for row in rebased
        if not row["same"]
    }
    after = await _amounts(connection, tenant, sorted(rows))
    return [
        Drift(*key, after[key] - row["before"], row["was_epoch"], row["was_sequence"], row["known"])
        for key, row in sorted(rows.items())
        if after[key] != row["before"]
    ]


async def keep_drift(connection: Connection, tenant: str, name: str, drift: Sequence[Drift]) -> None:
    """Keep how far figures of a snapshot were off; one of which nothing was known opens the books."""
    known = [each[:8] for each in drift if each.known]
    for start in range(0, len(known), _CHUNK):
        columns = zip(*known[start : start + _CHUNK], strict=True)
        await connection.execute(_drift_sql.keep_drift, tenant, name, *map(list, columns))


async def compare(connection: Connection, tenant: str, counts: Sequence[Count]) -> list[Drift]:
    """How far these figures, which move nothing, are from ours."""
    told: dict[_Key, Decimal] = {}
    for count in counts:
        key = (count.location, count.item, count.owner, count.bucket.value, count.lot)
        told[key] = told.get(key, _ZERO) + count.amount
    ours = await _amounts(connection, tenant, sorted(told))
    return [
        Drift(*key, figure - ours.get(key, _ZERO)) for key, figure in sorted(told.items()) if figure != ours.get(key)
    ]


async def _amounts(connection: Connection, tenant: str, keys: Sequence[_Key]) -> dict[_Key, Decimal]:
    found: dict[_Key, Decimal] = {}
    for start in range(0, len(keys), _CHUNK):
        columns = zip(*keys[start : start + _CHUNK], strict=True)
        for row in await connection.fetch(_sql.amounts_of, tenant, *map(list, columns)):
            found[tuple(row)[:5]] = row["amount"]
    return found


def _applied(
    tenant: str, name: str, snapshot: ReportedSnapshot, figures: int, drifted: int, shown: list[dict[str, Any]]
) -> Event:
    return Event(
        tenant=tenant,
        type="stock.snapshot_applied",
        aggregate=name,
        aggregate_version=1,
        occurred_at=snapshot.taken_at,
        correlation_id=f"{snapshot.source}:{snapshot.event_id}",
        causation_id=snapshot.event_id,
        data={
            "snapshot": name,
            "source": snapshot.source,
            "event_id": snapshot.event_id,
            "full": snapshot.full,
            "cut_off": {"epoch": snapshot.cut_off.epoch, "sequence": snapshot.cut_off.sequence},
            "figures": figures,
            "drifted": drifted,
            "drift": shown,
        },
    )


def _whole(snapshot: ReportedSnapshot, outcome: Outcome) -> ReceiptLine:
    clash = outcome is Outcome.CONFLICT
    return ReceiptLine(
        source=snapshot.source,
        event_id=snapshot.event_id,
        line=-1,
        outcome=outcome,
        cause="stock.event_conflict" if clash else None,
        detail="this snapshot was recorded with other figures: ask its source which are true" if clash else None,
    )


def _parked_line(each: Parked) -> ReceiptLine:
    return ReceiptLine(
        source=each.source,
        event_id=each.event_id,
        line=each.line,
        outcome=Outcome.PARKED,
        cause=each.refusal.cause,
        detail=each.refusal.detail,
    )
