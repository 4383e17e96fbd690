"""Dispatches and receipts of transfers at locations that we hold: told by people, recorded as our movements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from gateway.canonical.capabilities import RecordsStock, Report
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import OWN_SOURCE, Bucket, MovementType, OrderKey, Outcome, ReportedMovement
from gateway.canonical.task import TaskState
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Rejected
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.stock_operations.models import Transfer
from process_apis.stock_operations.records import load_transfer
from process_apis.stock_operations.transferring import check_lines

Side = Literal["dispatch", "receipt"]
_MICRO: Final = 1_000_000
_FURTHER: Final = 1000  # more than a transfer has lines
_TYPES: Final = {"dispatch": MovementType.TRANSFER_DISPATCHED, "receipt": MovementType.TRANSFER_RECEIVED}


class Handled(NamedTuple):
    """So much of a line left or came, of one lot: that of the line where none is told."""

    line: int
    amount: Decimal
    lot: str | None = None


class OwnHandling:
    """Commands of people at locations of ours; repeating one with the same content changes nothing."""

    def __init__(self, store: Store, *, records: RecordsStock, locations: LocationMap) -> None:
        self._store = store
        self._records = records
        self._locations = locations

    async def tell(
        self, caller: Caller, transfer: str, side: Side, *, action: str, at: datetime,
        lines: Sequence[Handled],
    ) -> Transfer:  # fmt: skip
        """Record that goods left (from `sellable`) or came (to `sellable`); the lines count them from the log.

        Raises `Rejected` (``transfer.line_unknown``, ``transfer.lot_needed`` for goods that lay by lot); `Conflict`:
        ``transfer.not_ours`` where another holds the place,
        ``transfer.not_released``, ``operation.action_reused``.
        """
        async with self._store.transaction() as connection:
            known = await load_transfer(connection, transfer, caller.tenant)
            self._check(known, side, lines)
            detail = {"action": action, "lines": [[each.line, str(each.amount), each.lot] for each in lines]}
            await record_act(connection, caller, f"transfer.{side}", transfer, "asked", detail)
        movements = tuple(_movement(known, side, caller, action, at, number, each) for number, each in _numbered(lines))
        receipt = await self._records.record(caller.tenant, Report(movements=movements))
        for line in receipt.others:
            if line.outcome is Outcome.CONFLICT:
                raise Conflict(
                    f"action {action} was something else before: give every command its own action id",
                    code="operation.action_reused",
                )
            if line.outcome is Outcome.PARKED:
                raise Conflict(f"it waits for a person: {line.detail}", code="transfer.not_recorded")
        return known

    def _check(self, known: Transfer, side: Side, lines: Sequence[Handled]) -> None:
        place = known.origin if side == "dispatch" else known.destination
        found = self._locations.by_id(known.tenant, place)
        if found is None or found.holder != OWN_SOURCE:
            holder = "another" if found is None else found.holder
            raise Conflict(f"{holder} holds {place} and tells what moves there", code="transfer.not_ours")
        if side == "dispatch" and known.task.state is not TaskState.DONE:
            raise Conflict("it is not released: release it first", code="transfer.not_released")
        numbers = {each.line for each in lines}
        if len({(each.line, each.lot) for each in lines}) != len(lines):
            raise Rejected("name a line once, or once for each lot of it", code="transfer.line_unknown")
        check_lines(known, sorted(numbers))
        for line in known.lines:
            lots = ", ".join(each.lot for each in line.suggested)
            if side == "dispatch" and lots and any(each.line == line.line and not each.lot for each in lines):
                raise Rejected(f"line {line.line} lies by lot: say which left ({lots})", code="transfer.lot_needed")


def _numbered(lines: Sequence[Handled]) -> Iterator[tuple[int, Handled]]:
    """The event's own numbers: those of the transfer's lines, and beyond them for further lots of one line."""
    seen: dict[int, int] = defaultdict(int)
    for each in sorted(lines, key=lambda one: (one.line, one.lot or "")):
        yield each.line + _FURTHER * seen[each.line], each
        seen[each.line] += 1


def _movement(
    known: Transfer, side: Side, caller: Caller, action: str, at: datetime, number: int, told: Handled
) -> ReportedMovement:
    line = next(each for each in known.lines if each.line == told.line)
    left = side == "dispatch"
    return ReportedMovement(
        source=OWN_SOURCE,
        event_id=f"{known.transfer}/{side}/{caller.principal.subject}/{action}",
        line=number,
        order_key=OrderKey(0, int(at.astimezone(UTC).timestamp() * _MICRO)),
        type=_TYPES[side],
        occurred_at=at,
        source_item=line.item,
        source_location=known.origin if left else known.destination,
        amount=told.amount,
        uom=line.uom,
        from_bucket=Bucket.SELLABLE if left else None,
        to_bucket=None if left else Bucket.SELLABLE,
        order_reference=known.transfer if left else None,
        order_line=line.line if left else None,
        lot=told.lot or line.lot,
        document=known.transfer,
        correlation_id=known.correlation_id,
    )
