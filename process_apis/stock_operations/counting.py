"""Cycle counts: asked for, told, held against the books at the cut-off, agreed on by tolerance or by people.

Nobody who counts is told what is expected. What is within tolerance is believed; else somebody else counts again, and
what is off then is decided by one person, or by two above a value. Only then the figure goes to who holds the goods.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, FindsWarehouses, ResolvesItems, TellsPositions
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import MAIN_OWNER, OWN_SOURCE, OrderKey
from gateway.canonical.task import TaskState
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotAllowed, NotFound, Rejected
from gateway.store import log
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.stock_operations.count_rules import alone, found_lines, within
from process_apis.stock_operations.models import COUNT_PREFIX, AskCount, Counted, CountState, StockCount
from process_apis.stock_operations.options import StockOperationsOptions
from process_apis.stock_operations.records import (
    begin,
    count_event,
    count_of_text,
    load_count,
    lock,
    save_count,
    sql,
    wake,
)
from process_apis.stock_operations.transferring import check_location

_MICRO: Final = 1_000_000
_TO_COUNT: Final = frozenset({CountState.OPEN, CountState.RECOUNT, CountState.REFUSED})


class Counts:
    """Commands of people and applications, each one transaction."""

    def __init__(
        self,
        store: Store,
        *,
        items: ResolvesItems,
        locations: LocationMap,
        positions: TellsPositions,
        warehouses: FindsWarehouses,
        options: StockOperationsOptions,
    ) -> None:
        self._store = store
        self._items = items
        self._locations = locations
        self._positions = positions
        self._warehouses = warehouses
        self._options = options

    async def ask(self, caller: Caller, command: AskCount) -> StockCount:
        """Have items of one bucket counted, once per action.

        Raises `Rejected`; `Conflict`: ``operation.action_reused``, ``count.nobody_to_tell`` where who holds the
        location takes no counts from us.
        """
        check_location(self._locations, caller.tenant, command.location)
        rows = await self._lines(caller.tenant, command.items)
        system = self._holder(caller.tenant, command.location, command.owner)
        async with self._store.transaction() as connection:
            count, fresh = await begin(
                connection, caller, kind="count", prefix=COUNT_PREFIX, action=command.action, content=command,
                system=system, state=TaskState.WAITING,
            )  # fmt: skip
            if not fresh:
                return await load_count(connection, count, caller.tenant)
            await connection.execute(
                sql.insert_count, count, caller.tenant, command.location, command.bucket, command.reason,
                caller.principal.subject, caller.correlation_id, command.owner,
                msgspec.json.encode(command.bins).decode(),
            )  # fmt: skip
            await connection.execute(sql.insert_count_lines, count, *map(list, zip(*rows, strict=True)))
            _, now = await lock(connection, count)
            made = await load_count(connection, count)
            await log.append(connection, [count_event(made, "stock.count.requested", now)])
            await record_act(
                connection, caller, "count.ask", count, made.state, {"items": command.items, "bins": command.bins}
            )
        return made

    async def report(self, caller: Caller, count: str, told: Counted) -> StockCount:
        """Take what was found. Telling the same again changes nothing.

        Raises `Rejected` (``count.lines``, ``count.bins``, ``count.by_lot``, ``count.cut_off_needed``,
        ``count.in_future``); `Conflict` (``count.not_open``); `NotAllowed` (``count.same_person``) where the second
        count is the first one's.
        """
        known = await self.get(caller.tenant, count)
        cut_off = self._cut_off(known, told)
        positions = await self._positions.positions_by(
            caller.tenant,
            items=[line.item for line in known.lines],
            location=known.location,
            cut_off=cut_off,
            at=told.counted_at,
        )
        prices = await self._items.by_id(caller.tenant, [line.item for line in known.lines])
        async with self._store.transaction() as connection:
            before, now = await _locked(connection, caller.tenant, count)
            lines = found_lines(before, told, positions, prices)
            if before.counted_at == told.counted_at and lines == before.lines:
                return before
            if before.state not in _TO_COUNT:
                raise Conflict(f"the count is {before.state}: ask for another", code="count.not_open")
            if before.state is CountState.RECOUNT and told.counted_by == before.first_counted_by:
                raise NotAllowed(f"{told.counted_by} counted first: somebody else must", code="count.same_person")
            if told.counted_at > now:
                raise Rejected("it is told of a time that has not come: check the clock", code="count.in_future")
            after = replace(
                before,
                lines=lines,
                cut_epoch=cut_off.epoch,
                cut_sequence=cut_off.sequence,
                counted_at=told.counted_at,
                counted_by=told.counted_by,
                first_counted_by=before.first_counted_by or told.counted_by,
            )
            after = await self._judge(connection, before, after, now)
            detail = {"counted_by": told.counted_by, "lines": [[line.item, line.counted, line.lot] for line in lines]}
            await record_act(connection, caller, "count.report", count, after.state, detail)
        return after

    async def approve(self, caller: Caller, count: str, *, reason: str) -> StockCount:
        """Agree to what was found; above what one person may settle the first only proposes.

        Raises `Conflict` (``count.not_decidable``); `NotAllowed`: ``count.same_person`` for who counted,
        ``count.second_person`` for who has agreed already.
        """
        who = caller.principal.subject
        async with self._store.transaction() as connection:
            before, now = await _locked(connection, caller.tenant, count)
            if before.state in (CountState.POSTING, CountState.APPLIED) and before.decided_by == who:
                return before
            if before.state is not CountState.TO_APPROVE:
                raise Conflict(f"the count is {before.state}: nothing is to be decided", code="count.not_decidable")
            if who in (before.counted_by, before.first_counted_by):
                raise NotAllowed(f"{who} counted it: somebody else must agree", code="count.same_person")
            if before.proposed_by == who:
                raise NotAllowed(
                    f"{who} has agreed already, and it is too much for one person: ask a second one",
                    code="count.second_person",
                )
            if before.proposed_by is None and not alone(before, self._options):
                after = replace(before, proposed_by=who, decision=reason)
                after = await save_count(connection, before, after, now, "stock.count.proposed")
            else:
                after = replace(before, decided_by=who, decision=reason)
                after = await _post(connection, before, after, now)
            await record_act(connection, caller, "count.approve", count, after.state, {"reason": reason})
        return after

    async def reject(self, caller: Caller, count: str, *, reason: str) -> StockCount:
        """Believe the books, not the count; or give a count up that nobody took. Repeating it changes nothing."""
        async with self._store.transaction() as connection:
            before, now = await _locked(connection, caller.tenant, count)
            if before.state is CountState.REJECTED:
                return before
            if before.state in (CountState.POSTING, CountState.APPLIED):
                raise Conflict(f"the count is {before.state}: count again instead", code="count.not_decidable")
            after = replace(before, state=CountState.REJECTED, decided_by=caller.principal.subject, decision=reason)
            after = await save_count(connection, before, after, now, "stock.count.rejected")
            await record_act(connection, caller, "count.reject", count, after.state, {"reason": reason})
        return after

    async def get(self, tenant: str, count: str) -> StockCount:
        """One count; raises `NotFound`."""
        async with self._store.connection() as connection:
            return await load_count(connection, count, tenant)

    async def listed(
        self,
        tenant: str,
        *,
        state: CountState | None = None,
        location: str | None = None,
        open_only: bool = False,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[StockCount]:
        """The newest first."""
        rows = await self._store.fetch(sql.list_counts, tenant, state, location, open_only, before, limit)
        return [count_of_text(row["body"]) for row in rows]

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _judge(self, connection: Connection, before: StockCount, after: StockCount, now: datetime) -> StockCount:
        """Believe it, have it counted again, or leave it to people."""
        if within(after, self._options):
            return await _post(connection, before, after, now)
        if after.round == 1:
            after = replace(after, round=2, state=CountState.RECOUNT)
            return await save_count(connection, before, after, now, "stock.count.recount_asked")
        after = replace(after, state=CountState.TO_APPROVE, proposed_by=None)
        return await save_count(connection, before, after, now, "stock.count.approval_asked")

    async def _lines(self, tenant: str, items: Sequence[str]) -> list[tuple[Any, ...]]:
        if len(set(items)) != len(items):
            raise Rejected("an item is named twice: name each once", code="count.item_repeated")
        known = await self._items.by_id(tenant, list(items))
        if missing := [item for item in items if item not in known]:
            raise Rejected(f"there is no item {missing[0][:40]!r}", code="item.unknown")
        return [(n, item, known[item].sku, known[item].base_uom) for n, item in enumerate(items, start=1)]

    def _holder(self, tenant: str, location: str, owner: str) -> str | None:
        system = self._warehouses.counting(tenant, location)
        place = self._locations.by_id(tenant, location)
        if system is None and (place is None or place.holder != OWN_SOURCE):
            raise Conflict(
                f"who holds {location} takes no counts from us: count there, its report will follow",
                code="count.nobody_to_tell",
            )
        if system is not None and owner != MAIN_OWNER:
            raise Conflict(
                f"{system} is not told whose goods are counted: count {owner}'s there, its report will follow",
                code="count.nobody_to_tell",
            )
        return system

    def _cut_off(self, count: StockCount, told: Counted) -> OrderKey:
        if count.task.system is None:
            return OrderKey(0, int(told.counted_at.astimezone(UTC).timestamp() * _MICRO))
        if told.cut_off is None:
            raise Rejected(
                f"say after which event of {count.task.system} it was counted (epoch and sequence)",
                code="count.cut_off_needed",
            )
        return OrderKey(*told.cut_off)


async def _post(connection: Connection, before: StockCount, after: StockCount, now: datetime) -> StockCount:
    """Agreed on: the turn tells who holds the goods."""
    task = replace(after.task, state=TaskState.PENDING, attempts=0, not_before=None, error_code=None, error_detail=None)
    after = replace(after, state=CountState.POSTING, task=await wake(connection, task, now))
    return await save_count(connection, before, after, now, "stock.count.agreed")


async def _locked(connection: Connection, tenant: str, count: str) -> tuple[StockCount, datetime]:
    try:
        _, now = await lock(connection, count, tenant)
    except NotFound:
        raise NotFound(f"there is no count {count[:40]!r}", code="count.not_found") from None
    return await load_count(connection, count, tenant), now
