"""Movements in: once each, in any order, into the ledger, the positions, the claims and the log, in one transaction.

Locks are always taken in this order, each kind sorted: once rows, locations (shared), orders, stock lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection, Report
from gateway.canonical.events import Event
from gateway.canonical.order import order_of
from gateway.canonical.stock import MovementType, Outcome, Receipt, ReceiptLine, ReportedMovement
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.store import log
from gateway.store.arrays import column_arrays
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.arriving import Arrivals
from process_apis.availability.counting import (
    Counter,
    OnceRow,
    count_key,
    count_of_movement,
    once_columns,
    record_once,
)
from process_apis.availability.effects import EFFECTS
from process_apis.availability.fulfilling import OrderClaims
from process_apis.availability.hearing import hear
from process_apis.availability.holding import place_movements
from process_apis.availability.lateness import Lateness, counted_at
from process_apis.availability.lines import Cause, LineChange, lock_places, moved_lines, tell_lines, tell_moved
from process_apis.availability.locking import location_keys
from process_apis.availability.models import LineKey, Mapped, Parked, ParkedFigure, Refusal, TooLateError
from process_apis.availability.moving import (
    Deed,
    apply_effects,
    deed_of_mapped,
    deed_of_row,
    effects_of,
    movement_row,
    settle_deeds,
)
from process_apis.availability.parking import ALL, Codes, code_columns, park
from process_apis.availability.telling import correlation_of, movement_events
from process_apis.availability.translating import Translator, park_movement

_sql: Final = queries_beside(__file__)
_BATCH: Final = 500
_TRIES: Final = 8
_ZERO: Final = Decimal(0)
_CAUSE: Final = Cause("availability")
_BALANCES: Final = {kind.value: effect.balance for kind, effect in EFFECTS.items() if effect.balance is not None}
_CLASH: Final = Refusal(
    "stock.event_conflict", "this event was recorded with other content: ask its source which is true", mendable=False
)

_OnceKey = tuple[str, str, int]


class Recorder:
    """Records reports. Any number of processes may do so at once, with any overlap."""

    def __init__(
        self,
        store: Store,
        translator: Translator,
        counter: Counter,
        arrivals: Arrivals,
        lateness: Lateness,
        clock: Clock,
    ) -> None:
        self._lateness = lateness
        self._store = store
        self._translator = translator
        self._counter = counter
        self._arrivals = arrivals
        self._clock = clock

    async def record(self, tenant: str, report: Report) -> Receipt:
        """Record movements in transactions of up to 500, then each snapshot in one; returns when all are committed."""
        receipt = Receipt()
        for start in range(0, len(report.movements), _BATCH):
            receipt = receipt.plus(await self._record_batch(tenant, report.movements[start : start + _BATCH]))
        for snapshot in report.snapshots:
            receipt = receipt.plus(await self._counter.record(tenant, snapshot))
        return receipt

    async def unpark(self, tenant: str, source: str | None = None, codes: Codes = ALL) -> Receipt:
        """Try what waits for a mapping again, all or what is about `codes`; what cannot be mapped goes on waiting."""
        await self._translator.refresh(tenant)
        receipt, after = Receipt(), 0
        while rows := await self._store.fetch(_sql.parked_open, tenant, source, after, _BATCH, *code_columns(codes)):
            after = rows[-1]["id"]
            receipt = receipt.plus(await self._unpark_rows(tenant, rows))
        return receipt

    async def unpark_some(self, tenant: str, parked: Sequence[int]) -> Receipt:
        """Try those that were parked just now: their mapping may have been mended while they were on their way in."""
        rows = await self._store.fetch(_sql.parked_among, tenant, list(parked))
        if not rows:
            return Receipt()
        await self._translator.refresh(tenant)
        return await self._unpark_rows(tenant, rows)

    async def _unpark_rows(self, tenant: str, rows: Sequence[Any]) -> Receipt:
        waiting = [(row["id"], row["kind"], row["payload"]) for row in rows]
        receipt = await self._unpark_movements(tenant, waiting)
        snapshots: dict[tuple[str, str], dict[int, ParkedFigure]] = defaultdict(dict)
        for parked, kind, payload in waiting:
            if kind == "figure":
                figure = msgspec.json.decode(payload, type=ParkedFigure)
                snapshots[figure.snapshot.source, figure.snapshot.event_id][parked] = figure
        for some in snapshots.values():
            receipt = receipt.plus(await self._counter.record_parked(tenant, some))
        return receipt

    async def _unpark_movements(self, tenant: str, waiting: Sequence[tuple[int, str, str]]) -> Receipt:
        reported = {
            parked: msgspec.json.decode(payload, type=ReportedMovement)
            for parked, kind, payload in waiting
            if kind == "movement"
        }
        mapped, _ = await self._translator.movements(tenant, list(reported.values()))
        let_in = {(each.reported.source, each.reported.event_id, each.reported.line) for each in mapped}
        resolved = {
            key: parked
            for parked, each in reported.items()
            if (key := (each.source, each.event_id, each.line)) in let_in
        }
        if not resolved:
            return Receipt()
        try:
            async with self._store.transaction() as connection:
                return await self._write(connection, tenant, mapped, [], resolved)
        except TooLateError as late:
            if not late.keys:
                return Receipt()  # what it replaces was condensed meanwhile: the next try finds it gone
            some = {
                parked: each.occurred_at
                for parked, each in reported.items()
                if any(one.reported is each and _counts(one) and counted_at(one) in late.keys for one in mapped)
            }
            if not some:
                raise
            for parked, at in some.items():
                await self._lateness.keep_waiting(tenant, [parked], at)
        left = [entry for entry in waiting if entry[0] not in some]
        return await self._unpark_movements(tenant, left)

    async def _record_batch(self, tenant: str, reported: Sequence[ReportedMovement]) -> Receipt:
        mapped: Sequence[Mapped]
        mapped, parked = await self._translator.movements(tenant, reported)
        for _ in range(_TRIES):
            try:
                async with self._store.transaction() as connection:
                    mapped, late = await self._lateness.set_aside(connection, tenant, mapped)
                    return await self._write(connection, tenant, mapped, [*parked, *late], {})
            except TooLateError as too_late:
                counts = [each for each in mapped if _counts(each) and counted_at(each) in too_late.keys]
                if too_late.keys and not counts:
                    raise
                parked += [self._lateness.park_movement(each) for each in counts]
                mapped = [each for each in mapped if each not in counts]
        raise Unavailable(
            "what these movements replace was itself replaced each time; nothing was recorded, send them again",
            code="stock.replaced_meanwhile",
        )

    async def _write(
        self,
        connection: Connection,
        tenant: str,
        mapped: Sequence[Mapped],
        parked: list[Parked],
        resolved: Mapping[_OnceKey, int],
    ) -> Receipt:
        fresh, revised, others = await self._admit(connection, tenant, mapped, parked)
        events: list[Event] = await park(connection, tenant, parked, self._clock.now())
        if resolved:
            refused = {(each.source, each.event_id, each.line): each.refusal for each in parked}
            await self._lateness.resolve(connection, tenant, resolved, refused)
        taken = [*fresh, *(each for each, _ in revised)]
        if taken:
            events += await self._apply(connection, tenant, taken, {each.movement: old for each, old in revised})
        heard = sorted({each.reported.source for each in mapped} | {each.source for each in parked})
        await hear(connection, tenant, heard, self._clock)
        await log.append(connection, events)
        others += [
            _line(each, Outcome.CONFLICT if each.refusal is _CLASH else Outcome.PARKED, each.refusal) for each in parked
        ]
        return Receipt(recorded=len(taken), others=tuple(others))

    # --- once -----------------------------------------------------------------------------------------------------

    async def _admit(
        self, connection: Connection, tenant: str, mapped: Sequence[Mapped], parked: list[Parked]
    ) -> tuple[list[Mapped], list[tuple[Mapped, str]], list[ReceiptLine]]:
        """Sort out what is new, what revises which movement, and what was here before; clashes join `parked`."""
        chosen, others = _latest_of_each(mapped, parked)
        if not chosen:
            return [], [], others
        if await record_once(connection, tenant, map(_once_row, chosen.values())) == len(chosen):
            return list(chosen.values()), [], others
        made: set[str] = set()
        revised: list[tuple[Mapped, str]] = []
        for row in await connection.fetch(_sql.known_once, tenant, *map(list, zip(*sorted(chosen), strict=True))):
            each = chosen[row["source"], row["event_id"], row["line"]]
            verdict = _compare(each, row["revision"], row["fingerprint"])
            if row["movement"] == each.movement:
                made.add(each.movement)
            elif verdict is None:
                revised.append((each, row["movement"]))
            elif verdict is Outcome.CONFLICT:
                parked.append(park_movement(each.reported, _CLASH))
            else:
                others.append(_line(each.reported, verdict))
        gone = await self._lateness.gone(connection, tenant, (old for _, old in revised))
        parked += [self._lateness.park_movement(each) for each, old in revised if old in gone]
        revised = [(each, old) for each, old in revised if old not in gone]
        if revised:
            await connection.execute(_sql.revise_once, tenant, *once_columns([_once_row(each) for each, _ in revised]))
        return [each for each in chosen.values() if each.movement in made], revised, others

    # --- effects --------------------------------------------------------------------------------------------------

    async def _apply(
        self, connection: Connection, tenant: str, taken: Sequence[Mapped], replaced: Mapping[str, str]
    ) -> list[Event]:
        """Into the ledger, then into the figures: stock lines are locked as late as can be, until the commit.

        `replaced` names, for each movement that revises one, the one that it revises.
        """
        now = self._clock.now()
        taken = await place_movements(connection, tenant, taken, self._translator.locations)
        moving = [each for each in taken if each.moves]
        await connection.execute(_sql.insert_movements, tenant, *column_arrays(map(movement_row, taken)))
        await log.append(connection, movement_events(tenant, moving, replaced))
        by_line = [(each.key, each) for each in moving]
        keys = {key for key, _ in by_line}
        orders = {order_of(each.reported.order_reference)[0] for each in moving}
        places = {each.location for each in taken}
        old = sorted(replaced.values())
        for row in await connection.fetch(_sql.movements_by_id, tenant, old) if old else ():
            keys.add(LineKey(row["item"], row["location"], row["owner"]))
            places.add(row["location"])
            orders.add(row["order_id"])
        await connection.execute(_sql.lock_locations_shared, location_keys(tenant, places))
        named = sorted(filter(None, orders))
        claimed = await OrderClaims.lock(connection, tenant, named)
        keys |= claimed.keys
        # Whatever can be reckoned before the locks: while they are held, others wait.
        deeds = [deed_of_mapped(each) for each in moving]
        effects = effects_of(deeds)
        changes, causes = _changes(keys, by_line), _causes(by_line)
        counts = [count_of_movement(each) for each in moving if _counts(each)]
        moved = None if old or named or counts else moved_lines(changes, causes, _CAUSE, effects)
        locked = await lock_places(connection, tenant, keys)
        await claimed.look_again(connection, tenant)
        retired = await connection.fetch(_sql.retire_movements, tenant, old) if old else []
        if len(retired) < len(old):
            raise TooLateError  # condensed between our look and our lock
        undone = [row for row in retired if row["moves"]]
        back = [deed_of_row(row) for row in undone]
        deeds = back + deeds
        more = [*effects_of(back), *await settle_deeds(connection, tenant, deeds)]
        effects += more
        recalled = [count_key(row) for row in undone if _counted(row)]
        # They need figures that are up to date, or move lines by themselves.
        if read := bool(counts or recalled or locked.awaited or claimed.on_supply):
            await apply_effects(connection, tenant, effects)
            await self._counter.rebase(connection, tenant, counts)
            await self._counter.recall(connection, tenant, recalled)
        await _move_balances(connection, tenant, deeds)
        events = await claimed.settle(connection, tenant, deeds, changes, now)
        events += await self._arrivals.attend(connection, tenant, locked.awaited, changes)
        if read:
            return await tell_lines(connection, tenant, changes, now, causes, _CAUSE) + events
        if moved is None or more:
            moved = moved_lines(changes, causes, _CAUSE, effects)
        return await tell_moved(connection, tenant, moved, locked, now) + events


def _latest_of_each(mapped: Sequence[Mapped], parked: list[Parked]) -> tuple[dict[_OnceKey, Mapped], list[ReceiptLine]]:
    """Of several deliveries of one line in a batch, the latest revision."""
    chosen: dict[_OnceKey, Mapped] = {}
    others: list[ReceiptLine] = []
    for each in mapped:
        key = (each.reported.source, each.reported.event_id, each.reported.line)
        before = chosen.get(key)
        if before is None:
            chosen[key] = each
            continue
        verdict = _compare(each, before.reported.revision, before.fingerprint)
        if verdict is None:
            chosen[key] = each
            others.append(_line(before.reported, Outcome.SUPERSEDED))
        elif verdict is Outcome.CONFLICT:
            parked.append(park_movement(each.reported, _CLASH))
        else:
            others.append(_line(each.reported, verdict))
    return dict(sorted(chosen.items())), others


def _compare(each: Mapped, revision: int, fingerprint: bytes) -> Outcome | None:
    """Against what was recorded under the same id: None when `each` revises it."""
    if each.reported.revision > revision:
        return None
    if each.reported.revision < revision:
        return Outcome.SUPERSEDED
    return Outcome.DUPLICATE if each.fingerprint == fingerprint else Outcome.CONFLICT


def _line(reported: ReportedMovement | Parked, outcome: Outcome, refusal: Refusal | None = None) -> ReceiptLine:
    return ReceiptLine(
        source=reported.source,
        event_id=reported.event_id,
        line=reported.line,
        outcome=outcome,
        cause=refusal.cause if refusal else None,
        detail=refusal.detail if refusal else None,
    )


def _once_row(each: Mapped) -> OnceRow:
    reported = each.reported
    return (reported.source, reported.event_id, reported.line, reported.revision, each.fingerprint, each.movement)


def _counts(each: Mapped) -> bool:
    return EFFECTS[each.reported.type].absolute


def _counted(row: Mapping[str, Any]) -> bool:
    return EFFECTS[MovementType(row["type"])].absolute


def _changes(keys: Iterable[LineKey], by_line: Iterable[tuple[LineKey, Mapped]]) -> dict[LineKey, LineChange]:
    changes = {key: LineChange() for key in keys}
    for key, each in by_line:
        change = changes[key]
        at = each.reported.occurred_at
        if change.as_of is None or at > change.as_of:
            change.as_of = at
    return changes


def _causes(by_line: Iterable[tuple[LineKey, Mapped]]) -> dict[LineKey, Cause]:
    return {key: Cause(correlation_of(each), each.movement) for key, each in dict(by_line).items()}


async def _move_balances(connection: Connection, tenant: str, deeds: Iterable[Deed]) -> None:
    sums: dict[tuple[str, str, str], list[Decimal]] = {}
    for deed in deeds:
        if deed.document is not None and (side := _BALANCES.get(deed.type)) is not None:
            both = sums.setdefault((side.kind, deed.document, deed.item), [_ZERO, _ZERO])
            both[side.column == "closed"] += deed.amount * deed.sign
    if sums:
        keys = sorted(sums)
        columns = [list(column) for column in zip(*keys, strict=True)]
        opened, closed = [sums[key][0] for key in keys], [sums[key][1] for key in keys]
        await connection.execute(_sql.move_balances, tenant, *columns, opened, closed)
