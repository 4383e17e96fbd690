"""Movements heard from the log: each moves the counters of its return once.

They come in any order, late and twice, and a revision takes back what it replaces. Whatever was asked or decided,
goods that came count. What names no return of ours, or an item that it has not, waits for a person.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded, movements_told
from gateway.canonical.invoice import RETURN_PREFIX
from gateway.canonical.stock import Bucket, MovementType
from gateway.canonical.trouble import settled_meanwhile
from gateway.kernel.errors import NotFound, Rejected
from process_apis.returns.crediting import credit_if_due
from process_apis.returns.models import DISPOSITION_PREFIX, DispositionState, Moved, Return
from process_apis.returns.records import lock, save, save_disposition, sql, with_disposition
from process_apis.returns.rules import FIGURES, added, spread

_RETURN: Final = f"{RETURN_PREFIX}_"
_DISPOSITION: Final = f"{DISPOSITION_PREFIX}_"
_OURS: Final = frozenset({MovementType.RETURN_RECEIVED.value, MovementType.RETURN_DISPOSITIONED.value})


async def on_movement(connection: Connection, recorded: Recorded) -> None:
    """Handle what concerns returns of an event; of all others nothing is asked of the record."""
    tenant = recorded.event.tenant
    for data in movements_told(recorded.event.data):
        document = data.get("document") or ""
        if data.get("replaces"):
            await _take_back(connection, tenant, str(data["replaces"]))
        if document.startswith(_DISPOSITION):
            await _disposed(connection, tenant, document, data)
        elif data["type"] in _OURS:
            await _count(connection, tenant, document, data)


def figures_of(data: dict[str, Any]) -> Moved:
    """What a movement adds to the counters of its item."""
    amount = Decimal(data["amount"])
    if data["type"] == MovementType.RETURN_RECEIVED:
        return Moved(item=data["item"], received=amount)
    if data.get("to") is None:
        return Moved(item=data["item"], out=amount)
    target = Bucket(data["to"])
    if target in (Bucket.SELLABLE, Bucket.DAMAGED, Bucket.QUALITY_HOLD):
        return Moved(item=data["item"], **{target.value: amount})
    # Still ours, in a state that a person looks at: as good as held.
    return Moved(item=data["item"], quality_hold=amount)


async def _count(connection: Connection, tenant: str, document: str, data: dict[str, Any]) -> None:
    found = await _locked(connection, tenant, document) if document.startswith(_RETURN) else None
    if found is None:
        await _stray(connection, tenant, document, data, "return.unknown_document")
        return
    before, now = found
    if all(line.item != data["item"] for line in before.lines):
        await _stray(connection, tenant, document, data, "return.unknown_item")
        return
    await count_for(connection, before, figures_of(data), now, data)


async def count_for(connection: Connection, before: Return, more: Moved, now: datetime, data: dict[str, Any]) -> None:
    """Count one movement for a locked return, once."""
    movement = str(data["movement"])
    figures = [getattr(more, name) for name in FIGURES]
    made = await connection.fetchval(
        sql.count_movement, movement, before.tenant, before.return_id, more.item, *figures, data.get("document"),
        data["location"], data["source"], None,
    )  # fmt: skip
    if made is not None:
        name = "return.received" if more.received else "return.dispositioned"
        await recount(connection, before, more, now, name, {"movement": movement, "location": data["location"]})


async def recount(
    connection: Connection, before: Return, more: Moved, now: datetime, name: str, told: dict[str, Any]
) -> Return:
    """Let the lines of a locked return follow from what moved, and the credit from the lines."""
    moved = added(before.moved, more)
    changed = {each: getattr(more, each) for each in FIGURES if getattr(more, each)}
    after = replace(before, moved=moved, lines=spread(before.lines, moved))
    after = await save(connection, before, after, now, (name, {"item": more.item, **changed, **told}))
    return await credit_if_due(connection, after, now)


async def _disposed(connection: Connection, tenant: str, document: str, data: dict[str, Any]) -> None:
    """A disposition that we asked for was made: it counts for its return."""
    return_id = await connection.fetchval(sql.return_of_disposition, document, tenant)
    if return_id is None:
        return
    before, now = await lock(connection, return_id, tenant)
    known = next(each for each in before.dispositions if each.disposition == document)
    if known.movement is not None and known.movement != str(data["movement"]):
        return
    made = replace(known, state=DispositionState.MADE, movement=str(data["movement"]))
    await save_disposition(connection, made)
    await count_for(connection, with_disposition(before, made), figures_of(data), now, data)


async def _take_back(connection: Connection, tenant: str, movement: str) -> None:
    counted = await connection.fetch(sql.counted_under, movement)
    if not counted:
        return
    return_id = counted[0]["return_id"]
    if return_id is None:
        await connection.execute(sql.take_back, movement, None)
        return
    before, now = await lock(connection, return_id, tenant)
    row = await connection.fetchrow(sql.take_back, movement, return_id)
    if row is None:
        return
    for each in before.dispositions:
        if each.movement == movement:
            before = with_disposition(before, replace(each, movement=None))
            await save_disposition(connection, replace(each, movement=None))
    less = Moved(item=row["item"], **{name: -row[name] for name in FIGURES})
    await recount(connection, before, less, now, "return.corrected", {"movement": movement})


async def adopt(connection: Connection, tenant: str, movement: str, return_id: str) -> Return:
    """Count a movement that named no return for the one that a person, or its own document, says.

    Raises `Conflict` (``exceptions.over``), `NotFound`, `Rejected` (``return.unknown_item``).
    """
    before, now = await lock(connection, return_id, tenant)
    row = await connection.fetchrow(sql.lock_stray, tenant, movement)
    if row is None:
        raise settled_meanwhile()
    if all(line.item != row["item"] for line in before.lines):
        raise Rejected(f"return {return_id} has no line of {row['item']}", code="return.unknown_item")
    await connection.execute(sql.adopt_stray, movement, return_id)
    more = Moved(item=row["item"], **{name: row[name] for name in FIGURES})
    name = "return.received" if more.received else "return.dispositioned"
    return await recount(connection, before, more, now, name, {"movement": movement, "location": row["location"]})


async def _stray(connection: Connection, tenant: str, document: str, data: dict[str, Any], code: str) -> None:
    more = figures_of(data)
    figures = [getattr(more, name) for name in FIGURES]
    await connection.fetchval(
        sql.count_movement, str(data["movement"]), tenant, None, more.item, *figures, document or None,
        data["location"], data["source"], code,
    )  # fmt: skip


async def _locked(connection: Connection, tenant: str, return_id: str) -> tuple[Return, datetime] | None:
    """The return under its lock; None for a document that only looks like one of ours."""
    try:
        return await lock(connection, return_id, tenant)
    except NotFound:
        return None
