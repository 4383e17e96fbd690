"""The shortage rule, carried out: one short stock line in one transaction, under the locks of whoever promises from it.

Which lines are due stands in the record, so a process that dies in between leaves nothing undone. Locks: the orders
that are touched, then all stock lines of the item; an order that is found only behind the lines' locks is locked by
beginning again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.location import LocationMap
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.kernel.ids import new_id
from gateway.store import log
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.fulfilling import claim_data, claim_event, claim_of_row, write_claims
from process_apis.availability.lines import Cause, LineChange, line_events, line_of_row, refresh_lines
from process_apis.availability.models import Held, LineKey, OpenClaim, StockLine
from process_apis.availability.rulebook import Rulebook, fencing_of, open_rule
from process_apis.availability.selling import offer
from process_apis.availability.shortage import Move, Promised, Relief, relieve, served_elsewhere

_sql: Final = queries_beside(__file__)
_own: Final = queries_beside(__file__, "shortage_queries.sql")
_of_kits: Final = queries_beside(__file__, "kit_queries.sql")
_ZERO: Final = Decimal(0)
_CONTENDED: Final = "store.contended"
_TRIES: Final = 5
_US: Final = "crossdock"


class _Plan(Struct, frozen=True):
    """What is to become of the claims on one line: who falls, who moves, and all marks as they shall be."""

    claims: Sequence[Promised]
    relief: Relief
    moves: Sequence[Move]
    marks: Mapping[str, Decimal]
    actions: frozenset[str]
    beside: Sequence[OpenClaim]
    """The other components of the kits that fall: nobody is served by a part of a kit."""

    @property
    def items(self) -> set[str]:
        """The items whose stock lines must be locked."""
        return {claim.item for claim in self.beside} | {each.claim.item for each in self.claims}

    @property
    def changed_marks(self) -> dict[str, Decimal]:
        """The marks that are other than they were."""
        gone = {each.claim.claim for each in self.relief.fallen}
        wanted = {each.claim.claim: (each.claim.short, self.marks.get(each.claim.claim, _ZERO)) for each in self.claims}
        return {claim: new for claim, (old, new) in wanted.items() if new != old and claim not in gone}

    @property
    def orders(self) -> set[str]:
        """The orders whose claims change."""
        changed = self.changed_marks
        fallen = {each.claim.order for each in self.relief.fallen}
        moved = {move.claim.order for move in self.moves}
        return fallen | moved | {each.claim.order for each in self.claims if each.claim.claim in changed}


class Shortages:
    """Decides what is due. Any number of processes may do so at once."""

    def __init__(self, store: Store, locations: LocationMap, rulebook: Rulebook, clock: Clock) -> None:
        self._store = store
        self._rulebook = rulebook
        self._locations = locations
        self._clock = clock

    async def relieve(self, limit: int = 100) -> int:
        """Decide on stock lines that are short, or were; returns how many. What somebody else holds is left."""
        decided = 0
        for row in await self._store.fetch(_own.due, limit):
            try:
                decided += await self._line(row["tenant"], LineKey(row["item"], row["location"], row["owner"]))
            except Unavailable as error:
                if error.code != _CONTENDED:
                    raise
        return decided

    async def short_lines(self, tenant: str, *, after: tuple[str, str, str], limit: int) -> Sequence[Any]:
        """Short lines as they were decided on, by item, location and owner."""
        return await self._store.fetch(_own.shortages, tenant, *after, limit)

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _line(self, tenant: str, key: LineKey) -> bool:
        orders: set[str] = set()
        items = {key.item}
        for _ in range(_TRIES):
            async with self._store.transaction() as connection:
                locked = await connection.fetch(_sql.lock_orders, tenant, sorted(orders)) if orders else []
                plan = await self._plan(connection, tenant, key, items)
                if plan is None:
                    return False
                if plan.orders <= orders and plan.items <= items:
                    versions = {row["order_id"]: row["version"] for row in locked}
                    await self._carry_out(connection, tenant, key, plan, versions)
                    return True
                orders |= plan.orders
                items |= plan.items
        return False

    async def _plan(self, connection: Connection, tenant: str, key: LineKey, items: set[str]) -> _Plan | None:
        rows = await connection.fetch(_of_kits.lock_items_lines, tenant, sorted(items))
        lines = {LineKey(*row[:3]): row for row in rows if row["item"] == key.item}
        if key not in lines:
            return None
        found = await connection.fetch(_own.claims_at, tenant, *key)
        claims = [_promised(row) for row in found]
        relief = relieve(lines[key]["short"], claims)
        moves: list[Move] = []
        if any(relief.marks.get(each.claim.claim) and not each.claim.worked_on for each in claims):
            others = [line_of_row(row) for place, row in lines.items() if place.owner == key.owner and place != key]
            moves = await self._elsewhere(connection, tenant, claims, relief, others)
        marks = dict(relief.marks)
        for move in moves:
            marks[move.claim.claim] -= move.amount
        moved = {move.claim.claim for move in moves}
        actions = frozenset(row["action"] for row in found if row["claim"] in moved)
        beside = await _beside(connection, tenant, relief)
        return _Plan(claims, relief, moves, {claim: mark for claim, mark in marks.items() if mark}, actions, beside)

    async def _elsewhere(
        self,
        connection: Connection,
        tenant: str,
        claims: Sequence[Promised],
        relief: Relief,
        others: Sequence[StockLine],
    ) -> list[Move]:
        """By channel, each under its rule in force; what one takes is not there for the next."""
        item, now = claims[0].claim.item, self._clock.now()
        rules = await self._rulebook.in_force(connection, tenant, now)
        held = {
            (row["channel"], row["owner"]): Held(row["open"], row["version"], row["allotment"], row["drawn"])
            for row in await connection.fetch(_sql.channels_of_items, tenant, [item])
        }
        taken = dict.fromkeys((line.location for line in others), _ZERO)
        moves: list[Move] = []
        for channel in sorted({each.claim.channel for each in claims}):
            rule = rules.get(channel) or open_rule(channel)
            places = offer(item, others, rule, fencing_of(rules), held).places
            order = sorted(places, key=lambda place: self._locations.priority(tenant, place))
            stock = {place: max(_ZERO, places[place] - taken[place]) for place in order}
            of_channel = [each for each in claims if each.claim.channel == channel]
            for move in served_elsewhere(of_channel, relief.marks, stock):
                taken[move.location] += move.amount
                moves.append(move)
        return moves

    async def _carry_out(
        self, connection: Connection, tenant: str, key: LineKey, plan: _Plan, versions: Mapping[str, int]
    ) -> None:
        now, why = self._clock.now(), f"shortage/{key.item}/{key.location}"
        changes: dict[LineKey, LineChange] = {}
        falls = [*(each.claim for each in plan.relief.fallen), *plan.beside]
        fell = [(claim, _given_up(claim)) for claim in falls]
        events = await write_claims(connection, tenant, fell, changes, versions, now, "short", why)
        events += await _move(connection, tenant, plan, changes, versions, _Told(now, why))
        if changed := plan.changed_marks:
            await connection.execute(_own.mark_claims, tenant, list(changed), list(changed.values()))
        rows = await refresh_lines(connection, tenant, changes)
        events = [*line_events(tenant, rows, now, {}, Cause(why), changes), *events]
        if plan.orders:
            events += await _tell_orders(connection, tenant, plan, _Told(now, why))
            await _audit(connection, tenant, key, plan, why)
        await log.append(connection, events)
        handed = sum((plan.marks.get(each.claim.claim, _ZERO) for each in plan.claims if each.claim.worked_on), _ZERO)
        marked = sum(plan.marks.values(), _ZERO)
        await connection.execute(_own.end_shortage, tenant, *key)
        await connection.execute(_own.keep_shortage, tenant, *key, marked, handed)


class _Told(Struct, frozen=True):
    now: Any
    why: str


async def _move(
    connection: Connection,
    tenant: str,
    plan: _Plan,
    changes: dict[LineKey, LineChange],
    versions: Mapping[str, int],
    told: _Told,
) -> list[Event]:
    """Let other locations serve what moves: a claim that moves whole keeps its id, what goes off it gets one."""
    if not plan.moves:
        return []
    await connection.execute(_own.keep_answers, tenant, sorted(plan.actions))
    placed: list[tuple[str, str, Decimal]] = []
    split: list[tuple[str, str, str, Decimal]] = []
    made: dict[str, list[OpenClaim]] = defaultdict(list)
    for claim, moves in _by_claim(plan.moves):
        kept = claim.open - sum((move.amount for move in moves), _ZERO)
        parts = moves if kept else moves[1:]
        gone = sum((move.amount for move in parts), _ZERO)
        placed.append((claim.claim, claim.location if kept else moves[0].location, claim.amount - gone))
        for move in parts:
            part = msgspec.structs.replace(
                claim, claim=new_id("clm"), location=move.location, amount=move.amount, released=_ZERO
            )
            split.append((part.claim, claim.claim, part.location, part.amount))
            made[claim.order].append(part)
        for move in moves:
            _shift(changes, claim, move)
    if split:
        await connection.execute(_own.split_claims, tenant, *map(list, zip(*split, strict=True)))
    await connection.execute(_own.place_claims, tenant, *map(list, zip(*placed, strict=True)))
    return [
        claim_event("claim.made", tenant, order, versions[order], told.now, told.why,
                    {"reason": "moved", "claims": [claim_data(part) for part in parts]})
        for order, parts in sorted(made.items())
    ]  # fmt: skip


def _by_claim(moves: Iterable[Move]) -> list[tuple[OpenClaim, list[Move]]]:
    found: dict[str, tuple[OpenClaim, list[Move]]] = {}
    for move in moves:
        found.setdefault(move.claim.claim, (move.claim, []))[1].append(move)
    return [found[claim] for claim in sorted(found)]


def _shift(changes: dict[LineKey, LineChange], claim: OpenClaim, move: Move) -> None:
    # The channel holds as much of the item as before: its counter stands.
    target = LineKey(claim.item, move.location, claim.owner)
    for key, amount in ((claim.key, -move.amount), (target, move.amount)):
        change = changes.setdefault(key, LineChange())
        if claim.state == "reserved":
            change.reserved += amount
        else:
            change.allocated += amount


async def _tell_orders(connection: Connection, tenant: str, plan: _Plan, told: _Told) -> list[Event]:
    """`claim.short` or `claim.covered` for each order, with all that stands of it: the newest is the whole truth."""
    orders = sorted(plan.orders)
    # A version of its own: `claim.ended` and `claim.made` have used up those that came with the lock.
    locked = await connection.fetch(_sql.lock_orders, tenant, orders)
    standing: dict[str, list[dict[str, Any]]] = {order: [] for order in orders}
    for row in await connection.fetch(_own.standing_of, tenant, orders):
        fields = dict(row)
        standing[fields.pop("order_id")].append(fields)
    return [
        claim_event(
            "claim.short" if any(each["short"] for each in standing[row["order_id"]]) else "claim.covered",
            tenant, row["order_id"], row["version"], told.now, told.why, {"claims": standing[row["order_id"]]},
        )
        for row in locked
    ]  # fmt: skip


async def _audit(connection: Connection, tenant: str, key: LineKey, plan: _Plan, why: str) -> None:
    moved = [{"claim": move.claim.claim, "to": move.location, "amount": move.amount} for move in plan.moves]
    await record_audit(
        connection,
        tenant=tenant,
        actor=_US,
        action="availability.shortage_decided",
        subject=f"{key.item}/{key.location}/{key.owner}",
        outcome="done",
        correlation_id=why,
        detail={
            "fallen": [each.claim.claim for each in plan.relief.fallen] + [claim.claim for claim in plan.beside],
            "moved": moved,
            "marks": plan.changed_marks,
        },
    )


def _given_up(claim: OpenClaim) -> OpenClaim:
    return msgspec.structs.replace(claim, state="released", released=claim.amount - claim.consumed)


async def _beside(connection: Connection, tenant: str, relief: Relief) -> list[OpenClaim]:
    fallen = [each.claim.claim for each in relief.fallen if each.claim.kit is not None]
    if not fallen:
        return []
    found = [claim_of_row(row) for row in await connection.fetch(_of_kits.parts_of, tenant, fallen)]
    return [claim for claim in found if claim.claim not in fallen]


def _promised(row: Mapping[str, Any]) -> Promised:
    return Promised(
        claim=claim_of_row(row),
        made_at=row["made_at"],
        soft=row["state"] == "reserved" and row["expires_at"] is not None,
        priority=row["priority"],
        need_by=row["need_by"],
        pinned=row["pinned"] or row["kit"] is not None,  # a component alone is of no use elsewhere
    )
