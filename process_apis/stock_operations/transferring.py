"""Transfers: planned and promised at the origin, released to it, given up, closed. Each command is one transaction.

Locks: the transfer's task, then (claims) the order's row and stock lines, as availability takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import ClaimsStock, Connection, FindsWarehouses, ResolvesItems, TellsLots
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import ClaimLine, LotAtHand
from gateway.canonical.task import TaskState
from gateway.canonical.warehouse import TRANSFER_PREFIX
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotFound, Rejected
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.stock_operations.models import Missing, PlanTransfer, Transfer, TransferLine, TransferState
from process_apis.stock_operations.records import (
    begin,
    load_transfer,
    lock,
    save_transfer,
    sql,
    transfer_event,
    transfer_of_text,
    wake,
)
from process_apis.stock_operations.rules import cancel_refusal, closed, first_expiring, is_settled

_CHANNEL: Final = "transfers"
_COLUMNS: Final = ("line", "item", "sku", "uom", "amount", "lot", "expires_on")
_TOLD: Final = ("line", "item", "lot", "amount")
_ZERO: Final = Decimal(0)
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Transfers:
    """Commands of people and applications. `channel` is whose rule a transfer's promise is made under."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        items: ResolvesItems,
        locations: LocationMap,
        claims: ClaimsStock,
        lots: TellsLots,
        warehouses: FindsWarehouses,
        channel: str = _CHANNEL,
    ) -> None:
        self._store = store
        self._clock = clock
        self._items = items
        self._locations = locations
        self._claims = claims
        self._lots = lots
        self._warehouses = warehouses
        self._channel = channel

    async def plan(self, caller: Caller, command: PlanTransfer) -> Transfer:
        """Promise the goods at the origin and keep the transfer, once per action.

        Raises `Rejected`, or `Conflict`: ``stock.insufficient``, ``operation.action_reused``, ``transfer.lot_short``,
        ``transfer.kit_not_there`` where a kit would have to be put together first.
        """
        rows = await self._lines(caller.tenant, command)
        system = self._warehouses.transferring(caller.tenant, command.origin)
        async with self._store.transaction() as connection:
            state = TaskState.PENDING if command.release else TaskState.WAITING
            transfer, fresh = await begin(
                connection, caller, kind="transfer", prefix=TRANSFER_PREFIX, action=command.action, content=command,
                system=system, state=state,
            )  # fmt: skip
            if not fresh:
                return await load_transfer(connection, transfer, caller.tenant)
            await self._promise(connection, caller, transfer, command, rows)
            state_now = TransferState.RELEASING if command.release else TransferState.PLANNED
            await connection.execute(
                sql.insert_transfer, transfer, caller.tenant, command.origin, command.destination, command.ship_on,
                command.expected_on, command.note, caller.principal.subject, caller.correlation_id, state_now,
                command.release,
            )  # fmt: skip
            lines = await self._by_lot(connection, caller.tenant, command, rows)
            columns = [[getattr(line, name) for line in lines] for name in _COLUMNS]
            suggested = [_encode(line.suggested).decode() for line in lines]
            await connection.execute(sql.insert_lines, transfer, *columns, suggested)
            _, now = await lock(connection, transfer)
            made = await load_transfer(connection, transfer)
            made = replace(made, task=await wake(connection, made.task, now))
            told = {"lines": [{name: getattr(line, name) for name in _TOLD} for line in made.lines]}
            await log.append(connection, [transfer_event(made, "stock.transfer.planned", 1, now, told)])
            await record_act(connection, caller, "transfer.plan", transfer, made.state, told)
        return made

    async def release(self, caller: Caller, transfer: str) -> Transfer:
        """Ask the origin to send it, or ask again what was refused. Repeating it changes nothing.

        Raises `Conflict` (``transfer.over``) once it is given up or closed.
        """
        async with self._store.transaction() as connection:
            return await self.release_within(connection, caller, transfer)

    async def release_within(self, connection: Connection, caller: Caller, transfer: str) -> Transfer:
        """As `release`, in the caller's transaction."""
        before, now = await _locked(connection, caller.tenant, transfer)
        if before.cancel_requested_at or before.cancelled_at or before.closed_at:
            raise Conflict(f"the transfer is {before.state}: plan another", code="transfer.over")
        task = before.task
        if task.state not in (TaskState.WAITING, TaskState.REFUSED):
            return before
        task = replace(task, state=TaskState.PENDING, attempts=0, error_code=None, error_detail=None)
        task = await wake(connection, replace(task, not_before=None), now)
        after = replace(before, task=task, released_at=before.released_at or now)
        after = await save_transfer(connection, before, after, now)
        await record_act(connection, caller, "transfer.release", transfer, after.state, {})
        return after

    async def cancel(self, caller: Caller, transfer: str, *, reason: str) -> Transfer:
        """Give it up before goods leave. Where a warehouse may hold the work it is asked back first.

        Raises `Conflict` (``transfer.not_cancellable``); asking again returns what the first one did.
        """
        async with self._store.transaction() as connection:
            before, now = await _locked(connection, caller.tenant, transfer)
            if before.cancelled_at or before.cancel_requested_at:
                return before
            if (refusal := cancel_refusal(before)) is not None:
                raise Conflict(f"it can no longer be cancelled: {refusal}", code="transfer.not_cancellable")
            task = replace(before.task, error_code=None, error_detail=None, attempts=0, not_before=None)
            held = task.system is not None and task.state in (TaskState.ASKED, TaskState.DONE)
            after = replace(before, cancel_requested_at=now, cancel_reason=reason)
            if held:
                task = await wake(connection, replace(task, state=TaskState.UNDOING, look=True), now)
                after = await save_transfer(connection, before, replace(after, task=task), now)
            else:
                after = replace(after, task=replace(task, state=TaskState.ABSENT))
                after = await give_up(connection, self._claims, before, after, now)
            await record_act(connection, caller, "transfer.cancel", transfer, after.state, {"reason": reason})
        return after

    async def close(
        self, caller: Caller, transfer: str, *, reason: str, missing: Missing, lines: Sequence[int] | None = None
    ) -> Transfer:
        """Say that what is missing will not come, and where it is; what was promised and did not leave is given back.

        Of all lines, or of some: the others stay open. Lines that are over stay as they are. Raises `Rejected`
        (``transfer.line_unknown``); `Conflict`: ``transfer.not_dispatched`` (cancel it), ``transfer.over``.
        """
        async with self._store.transaction() as connection:
            before, now = await _locked(connection, caller.tenant, transfer)
            if before.closed_at:
                return before
            check_lines(before, lines)
            if before.state is TransferState.COMPLETED:
                raise Conflict("everything arrived: nothing is left to close", code="transfer.over")
            if not any(line.dispatched or line.received for line in before.lines):
                raise Conflict("nothing has left yet: cancel it instead", code="transfer.not_dispatched")
            who = caller.principal.subject
            over = [line.line for line in before.lines if lines is None or line.line in lines]
            over = [line.line for line in before.lines if line.line in over and not is_settled(before, line)]
            if not over and lines is not None:
                return before
            after = replace(
                before,
                supply_version=before.supply_version + 1,
                lines=tuple(
                    closed(line, now, who, reason, missing) if line.line in over else line for line in before.lines
                ),
            )
            if all(is_settled(after, line) for line in after.lines):
                after = replace(after, closed_at=now, closed_by=who, close_reason=reason, missing=missing)
            lacking = [
                {"line": line.line, "item": line.item, "lot": line.lot, "amount": line.in_transit}
                for line in before.lines
                if line.line in over
            ]
            told = {"missing": missing, "reason": reason, "by": who, "lines": lacking}
            await release_claims(connection, self._claims, after, None if after.closed_at else over)
            kind = "stock.transfer.closed" if after.closed_at else "stock.transfer.line_closed"
            after = await save_transfer(connection, before, after, now, (kind, told))
            after = replace(after, task=await wake(connection, after.task, now))
            await record_act(connection, caller, "transfer.close", transfer, after.state, told)
        return after

    async def get(self, tenant: str, transfer: str) -> Transfer:
        """One transfer; raises `NotFound`."""
        async with self._store.connection() as connection:
            return await load_transfer(connection, transfer, tenant)

    async def listed(
        self,
        tenant: str,
        *,
        state: TransferState | None = None,
        location: str | None = None,
        open_only: bool = False,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[Transfer]:
        """The newest first; `location` is where they leave or come in."""
        rows = await self._store.fetch(sql.list_transfers, tenant, state, location, open_only, before, limit)
        return [transfer_of_text(row["body"]) for row in rows]

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _lines(self, tenant: str, command: PlanTransfer) -> list[TransferLine]:
        if command.origin == command.destination:
            raise Rejected("origin and destination are the same location", code="transfer.same_location")
        for name in (command.origin, command.destination):
            check_location(self._locations, tenant, name)
        if len({(line.item, line.lot) for line in command.lines}) != len(command.lines):
            raise Rejected(
                "an item stands on two lines that name the same lot, or none: add them up",
                code="transfer.item_repeated",
            )
        known = await self._items.by_id(tenant, [line.item for line in command.lines])
        rows = []
        for number, line in enumerate(command.lines, start=1):
            item = known.get(line.item)
            if item is None:
                raise Rejected(f"line {number}: there is no item {line.item[:40]!r}", code="item.unknown")
            rows.append(
                TransferLine(
                    line=number, item=item.item, sku=item.sku, uom=item.base_uom, amount=line.amount, lot=line.lot
                )
            )
        return rows

    async def _by_lot(
        self, connection: Connection, tenant: str, command: PlanTransfer, lines: Sequence[TransferLine]
    ) -> list[TransferLine]:
        """The lines with the last days of their lots, or with the lots that would go first.

        The promise locked the stock of these items: what other transfers ask for by lot stands still too.
        """
        items = sorted({line.item for line in lines})
        there = await self._lots.lots_at(
            connection, tenant=tenant, channel=self._channel, location=command.origin, items=items
        )
        if not any(each.lot for each in there) and not any(line.lot for line in lines):
            return list(lines)
        rows = await connection.fetch(sql.lots_promised, tenant, command.origin, items)
        promised = {(row["item"], row["lot"]): row["amount"] for row in rows}
        day = command.expected_on or command.ship_on or self._clock.now().date()
        return [
            replace(line, suggested=first_expiring(there, promised, line.item, line.amount, day))
            if line.lot is None
            else _of_lot(line, there, promised)
            for line in lines
        ]

    async def _promise(
        self, connection: Connection, caller: Caller, transfer: str, command: PlanTransfer, rows: Sequence[TransferLine]
    ) -> None:
        """Promised and allocated at once: a transfer does not expire, and gives way as an order does.

        A kit goes as it stands there: nobody puts one together to send it.
        """
        lines = [ClaimLine(line=row.line, item=row.item, amount=row.amount, location=command.origin) for row in rows]
        made = await self._claims.claim(
            connection,
            tenant=caller.tenant,
            action=f"{transfer}:claim",
            order=transfer,
            channel=self._channel,
            lines=lines,
            correlation_id=caller.correlation_id,
        )
        if parts := sorted({each.line for each in made if each.kit is not None}):
            lacking = ", ".join(f"line {row.line} ({row.sku})" for row in rows if row.line in parts)
            raise Conflict(
                f"{lacking}: not so many kits lie at {command.origin} as such. Have them put together there first, or "
                "send the components",
                code="transfer.kit_not_there",
            )
        await self._claims.allocate(
            connection,
            tenant=caller.tenant,
            action=f"{transfer}:allocate",
            order=transfer,
            correlation_id=caller.correlation_id,
        )


def check_location(locations: LocationMap, tenant: str, location: str) -> None:
    """Raise `Rejected` (``location.unknown``) for a location that the tenant does not have."""
    if locations.by_id(tenant, location) is None:
        raise Rejected(f"there is no location {location[:60]!r}: use the id of one", code="location.unknown")


async def give_up(connection: Connection, claims: ClaimsStock, before: Transfer, after: Transfer, now: Any) -> Transfer:
    """Nobody holds work for it: its promise goes back, and the destination expects nothing of it any more."""
    await release_claims(connection, claims, after)
    task = await wake(connection, after.task, now)
    after = replace(after, task=task, cancelled_at=now, supply_version=before.supply_version + 1)
    return await save_transfer(connection, before, after, now)


async def release_claims(
    connection: Connection, claims: ClaimsStock, transfer: Transfer, lines: Sequence[int] | None = None
) -> None:
    """Give back what the transfer still holds at its origin, of all lines or of some."""
    named = "" if lines is None else f":{','.join(map(str, lines))}"
    await claims.release(
        connection,
        tenant=transfer.tenant,
        action=f"{transfer.transfer}:release{named}",
        order=transfer.transfer,
        lines=lines,
        correlation_id=transfer.correlation_id,
    )


def check_lines(transfer: Transfer, lines: Sequence[int] | None) -> None:
    """Raise `Rejected` (``transfer.line_unknown``) for lines that are not the transfer's, or are named twice."""
    if lines is not None and (
        len(set(lines)) != len(lines) or not {line.line for line in transfer.lines} >= set(lines)
    ):
        raise Rejected("name lines of the transfer, each once", code="transfer.line_unknown")


def _of_lot(
    line: TransferLine, there: Sequence[LotAtHand], promised: Mapping[tuple[str, str], Decimal]
) -> TransferLine:
    lots = [each for each in there if each.item == line.item and each.lot]
    free = {each.lot: each.amount - promised.get((each.item, each.lot), _ZERO) for each in lots}
    if free.get(line.lot or "", _ZERO) < line.amount:
        known = ", ".join(f"{lot} {plain(amount)}" for lot, amount in free.items() if amount > 0) or "none by lot"
        raise Conflict(
            f"line {line.line}: not so much of lot {line.lot} of {line.sku} is sellable there. There is: {known}",
            code="transfer.lot_short",
        )
    return replace(line, expires_on=next(each.expires_on for each in lots if each.lot == line.lot))


async def _locked(connection: Connection, tenant: str, transfer: str) -> tuple[Transfer, Any]:
    try:
        _, now = await lock(connection, transfer, tenant)
    except NotFound:
        raise NotFound(f"there is no transfer {transfer[:40]!r}", code="transfer.not_found") from None
    return await load_transfer(connection, transfer, tenant), now
