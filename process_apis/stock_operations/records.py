"""Subjects in the record: locked by the row of their task, changed as facts, written back with their events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.durable.tasks import Tasks
from gateway.kernel.errors import NotFound
from gateway.store import log
from gateway.store.queries import queries_beside
from process_apis.stock_operations.models import QUEUE, WORKFLOW, StatusChange, StockCount, Transfer
from process_apis.stock_operations.rules import derive_state

sql: Final = queries_beside(__file__)
transfer_of_text: Final = msgspec.json.Decoder(Transfer).decode
change_of_text: Final = msgspec.json.Decoder(StatusChange).decode
count_of_text: Final = msgspec.json.Decoder(StockCount).decode
_encode: Final = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode


tasks: Final = Tasks(
    "stock_operations", kinds=("transfer", "count", "status"), workflow=WORKFLOW, queue=QUEUE, space=20483
)
lock: Final = tasks.lock
begin: Final = tasks.begin
wake: Final = tasks.wake
save_task: Final = tasks.save


async def load_transfer(connection: Connection, transfer: str, tenant: str | None = None) -> Transfer:
    """One transfer with its lines and its task; raises `NotFound`."""
    text = await connection.fetchval(sql.get_transfer, transfer, tenant)
    if text is None:
        raise NotFound(f"there is no transfer {transfer[:40]!r}", code="transfer.not_found")
    return transfer_of_text(text)


async def load_change(connection: Connection, change: str, tenant: str | None = None) -> StatusChange:
    """One status change with its task; raises `NotFound`."""
    text = await connection.fetchval(sql.get_change, change, tenant)
    if text is None:
        raise NotFound(f"there is no status change {change[:40]!r}", code="status.not_found")
    return change_of_text(text)


async def load_count(connection: Connection, count: str, tenant: str | None = None) -> StockCount:
    """One count with its lines and its task; raises `NotFound`."""
    text = await connection.fetchval(sql.get_count, count, tenant)
    if text is None:
        raise NotFound(f"there is no count {count[:40]!r}", code="count.not_found")
    return count_of_text(text)


async def save_transfer(
    connection: Connection, before: Transfer, after: Transfer, now: datetime, *told: tuple[str, dict[str, Any]]
) -> Transfer:
    """Write what changed of a locked transfer (all but its task), with what is `told` of it: event type and data."""
    after = replace(after, state=derive_state(after))
    if after.state != before.state and after.state in _ENDS:
        told = (*told, (_ENDS[after.state], {}))
    if after == before and not told:
        return after
    first = before.version + 1
    after = replace(after, version=before.version + max(len(told), 1))
    await connection.execute(
        sql.save_transfer, after.transfer, after.version, after.state, after.released_at, after.picking_began_at,
        after.dispatched_at, after.cancel_requested_at, after.cancel_reason, after.cancelled_at, after.closed_at,
        after.closed_by, after.close_reason, after.missing, after.stray, after.supply_version,
    )  # fmt: skip
    if after.lines != before.lines:
        names = ("line", "dispatched", "received", "written_off", "closed_at", "closed_by", "close_reason", "missing")
        columns = [[getattr(line, name) for line in after.lines] for name in names]
        await connection.execute(sql.save_lines, after.transfer, *columns)
    events = [transfer_event(after, name, version, now, data) for version, (name, data) in enumerate(told, first)]
    await log.append(connection, events)
    return after


async def save_change(
    connection: Connection, before: StatusChange, after: StatusChange, now: datetime, told: str
) -> StatusChange:
    """Write a locked status change (all but its task) and tell its event."""
    after = replace(after, version=before.version + 1)
    await connection.execute(sql.save_change, after.change, after.version, after.state, after.movement)
    await log.append(connection, [change_event(after, told, now)])
    return after


async def save_count(
    connection: Connection, before: StockCount, after: StockCount, now: datetime, told: str
) -> StockCount:
    """Write a locked count (all but its task) and tell its event."""
    after = replace(after, version=before.version + 1)
    await connection.execute(
        sql.save_count, after.count, after.version, after.state, after.round, after.cut_epoch, after.cut_sequence,
        after.counted_at, after.counted_by, after.first_counted_by, after.proposed_by, after.decided_by, after.decision,
    )  # fmt: skip
    if after.lines != before.lines:
        names = ("line", "item", "sku", "uom", "counted", "expected", "variance", "value", "movement", "lot")
        columns = [[getattr(line, name) for line in after.lines] for name in (*names, "item_group", "unknown_lot")]
        bins = [_encode(line.bins).decode() for line in after.lines]
        await connection.execute(sql.forget_count_lines, after.count)
        await connection.execute(sql.save_count_lines, after.count, *columns, bins)
    await log.append(connection, [count_event(after, told, now)])
    return after


def transfer_event(transfer: Transfer, name: str, version: int, now: datetime, data: dict[str, Any]) -> Event:
    """An event of a transfer: what it is about and its state, then what the event says."""
    return Event(
        tenant=transfer.tenant,
        type=name,
        aggregate=transfer.transfer,
        aggregate_version=version,
        occurred_at=now,
        correlation_id=transfer.correlation_id,
        data={
            "transfer": transfer.transfer,
            "origin": transfer.origin,
            "destination": transfer.destination,
            "state": transfer.state,
            **data,
        },
    )


def change_event(change: StatusChange, name: str, now: datetime) -> Event:
    """An event of a status change."""
    names = ("change", "kind", "location", "item", "owner", "lot", "amount", "reason", "state", "movement")
    return Event(
        tenant=change.tenant,
        type=name,
        aggregate=change.change,
        aggregate_version=change.version,
        occurred_at=now,
        correlation_id=change.correlation_id,
        data={
            **{each: getattr(change, each) for each in names},
            "from": change.from_bucket,
            "to": change.to_bucket,
            "error": change.task.error_code,
        },
    )


def count_event(count: StockCount, name: str, now: datetime) -> Event:
    """An event of a count."""
    figures = ("item", "lot", "counted", "expected", "variance", "value")
    return Event(
        tenant=count.tenant,
        type=name,
        aggregate=count.count,
        aggregate_version=count.version,
        occurred_at=now,
        correlation_id=count.correlation_id,
        data={
            "count": count.count,
            "location": count.location,
            "bucket": count.bucket,
            "owner": count.owner,
            "state": count.state,
            "round": count.round,
            "cut_off": {"epoch": count.cut_epoch, "sequence": count.cut_sequence},
            "counted_by": count.counted_by,
            "decided_by": count.decided_by,
            "lines": [{each: getattr(line, each) for each in figures} for line in count.lines],
            "error": count.task.error_code,
        },
    )


_ENDS: Final = {"completed": "stock.transfer.completed", "cancelled": "stock.transfer.cancelled"}
