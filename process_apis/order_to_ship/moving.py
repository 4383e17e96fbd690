"""Moving a business unit from one ERP to another: its cut-over, and the orders that are taken along.

What is asked here is done by the turns of the orders (`erp_moves.py`), under their locks, one task at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection, FindsSystems
from gateway.kernel.errors import Conflict, NotFound, Rejected
from gateway.kernel.ids import new_id
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.erp_moves import erp_for, stays_because
from process_apis.order_to_ship.models import ErpMove, MoveState, Order, TaskKind, TaskState
from process_apis.order_to_ship.records import Change, load, lock

CUT_OVER_PREFIX: Final = "cut"
NOTICE: Final = timedelta(seconds=5)
"""How long before it holds a cut-over must be in the record, so that no order of its time was planned without it."""
_sql: Final = queries_beside(__file__, "erp_move_queries.sql")


class Mover(Struct, frozen=True, kw_only=True):
    """Who moves which tenant's orders from which ERP to which."""

    tenant: str
    actor: str
    correlation_id: str
    from_erp: str
    to_erp: str


class Candidate(Struct, frozen=True, kw_only=True):
    """One open order: whether it can be moved, and what of it stands where. `stays` says why it cannot."""

    order: str
    state: str
    submitted: bool
    stays: str | None


class Moving:
    """Cut-overs and moves of orders between ERPs."""

    def __init__(self, store: Store, systems: FindsSystems) -> None:
        self._store = store
        self._systems = systems

    async def cut_over(self, mover: Mover, *, at: datetime | None, locations: Sequence[str] = ()) -> Mapping[str, Any]:
        """Orders placed at `at` or later go to the other ERP; by default as soon as may be.

        Raises `Rejected` (``cut_over.too_soon``) unless that is `NOTICE` ahead, so that no order was planned by then.
        """
        if mover.from_erp == mover.to_erp:
            raise Rejected("a cut-over needs two ERPs", code="cut_over.one_erp")
        self._systems.takes_orders(mover.to_erp)
        self._systems.reads_customers(mover.to_erp)
        number = new_id(CUT_OVER_PREFIX)
        async with self._store.transaction() as connection:
            at = await _ahead(connection, at)
            await connection.execute(
                _sql.add_cut_over, number, mover.tenant, mover.from_erp, mover.to_erp, list(locations), at, mover.actor
            )
            detail = {"at": at.isoformat(), "locations": list(locations)}
            await _audit(connection, mover, "erp.cut_over", number, detail)
        return {"cut_over": number, "from": mover.from_erp, "to": mover.to_erp, "effective_at": at.isoformat()}

    async def roll_back(self, mover: Mover, cut_over: str, *, at: datetime | None = None) -> Mapping[str, Any]:
        """Orders placed at `at` or later go where they went before; those placed meanwhile stay where they are.

        Raises `NotFound` where there is none of that number, or it is rolled back already.
        """
        async with self._store.transaction() as connection:
            at = await _ahead(connection, at)
            row = await connection.fetchrow(_sql.end_cut_over, mover.tenant, cut_over, at)
            if row is None:
                raise NotFound(f"there is no cut-over {cut_over[:60]} to roll back", code="cut_over.not_found")
            await _audit(connection, mover, "erp.roll_back", cut_over, {"at": row["ended_at"].isoformat()})
        return {
            "cut_over": cut_over,
            "from": row["from_erp"],
            "to": row["to_erp"],
            "ended_at": row["ended_at"].isoformat(),
        }

    async def cut_overs(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """All of them, with how many orders were placed while each held."""
        async with self._store.connection() as connection:
            return [dict(row) for row in await connection.fetch(_sql.cut_overs, tenant)]

    async def plan(self, mover: Mover, *, limit: int = 100_000) -> Sequence[Candidate]:
        """The open orders of one ERP and whether each can be moved; asks no other system and changes nothing."""
        found = []
        async with self._store.connection() as connection:
            for row in await connection.fetch(_sql.open_orders, mover.tenant, mover.from_erp, limit):
                order = await load(connection, row["order_id"])
                if order is not None and self._is_of(order, mover.from_erp):
                    found.append(_candidate(order, mover))
        return found

    async def move(self, mover: Mover, *, limit: int = 100_000) -> Counter[str]:
        """Ask that every order that can be moved is: how many were asked, and how many stay for which reason."""
        told: Counter[str] = Counter()
        for candidate in await self.plan(mover, limit=limit):
            told[candidate.stays or "asked"] += 1
            if candidate.stays is None:
                await self._ask(mover, candidate.order)
        return told

    async def progress(self, mover: Mover, *, limit: int = 50) -> Mapping[str, Any]:
        """How many orders are how far on their way, and those that are not there yet or stayed."""
        between = (mover.tenant, mover.from_erp, mover.to_erp)
        async with self._store.connection() as connection:
            counted = {row["state"]: row["orders"] for row in await connection.fetch(_sql.moves, *between)}
            rows = await connection.fetch(_sql.moves_to_look_at, *between, limit)
        return {
            "moves": counted,
            "under_way": sum(counted.get(state, 0) for state in ("asked", "withdrawing", "submitting")),
            "orders": [
                {"order": r["order_id"], "move": r["state"], "state": r["order_state"], "detail": r["detail"]}
                for r in rows
            ],
        }

    def _is_of(self, order: Order, erp: str) -> bool:
        """Whether the ERP has it; of one that is planned nowhere yet, whether it will be asked to take it."""
        tasks = [task for task in order.of_kind(TaskKind.ERP_ORDER) if task.state is not TaskState.WITHDRAWN]
        if tasks:
            return any(task.system == erp for task in tasks)
        return any(erp_for(order, part.location, self._systems) == erp for part in order.allocations)

    async def _ask(self, mover: Mover, order_id: str) -> None:
        async with self._store.transaction() as connection:
            order, now = await lock(connection, order_id)
            await connection.execute(_sql.ask_move, order_id, mover.from_erp, mover.to_erp, mover.actor)
            change = Change(connection, order, now)
            change.wake()
            await change.save()
            await _audit(connection, mover, "order.move", order_id, {"from": mover.from_erp, "to": mover.to_erp})


def _candidate(order: Order, mover: Mover) -> Candidate:
    move = ErpMove(from_erp=mover.from_erp, to_erp=mover.to_erp, state=MoveState.ASKED)
    return Candidate(
        order=order.order_id,
        state=order.state,
        submitted=any(task.number for task in order.of_kind(TaskKind.ERP_ORDER)),
        stays=stays_because(order, move),
    )


async def _ahead(connection: Connection, at: datetime | None) -> datetime:
    now: datetime = await connection.fetchval(_sql.record_time)
    soonest = now + NOTICE
    if at is None:
        return soonest
    if at.tzinfo is None:
        raise Rejected("give the instant with its zone: 2026-11-22T22:00:00+01:00", code="cut_over.no_zone")
    if at < soonest:
        raise Conflict(
            f"a cut-over needs {NOTICE.seconds} s notice, so that all workers know it: give an instant after {soonest}",
            code="cut_over.too_soon",
        )
    return at


async def _audit(connection: Connection, mover: Mover, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    await record_audit(
        connection, tenant=mover.tenant, actor=mover.actor, action=action, subject=subject, outcome="done",
        correlation_id=mover.correlation_id, detail=detail,
    )  # fmt: skip
