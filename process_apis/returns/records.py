"""Returns in the record: locked by their row, changed as facts, written back with their events."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.durable.tasks import Tasks
from gateway.kernel.errors import Conflict, NotFound
from gateway.store import log
from gateway.store.queries import queries_beside
from process_apis.returns.models import QUEUE, WORKFLOW, Credit, Disposition, Return
from process_apis.returns.rules import FIGURES, derive_state

sql: Final = queries_beside(__file__)
tasks: Final = Tasks("returns", kinds=("disposition", "credit"), workflow=WORKFLOW, queue=QUEUE, space=20486)
encode: Final = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode
_decode: Final = msgspec.json.Decoder(Return, strict=False).decode
_LINE: Final = ("line", "amount", *FIGURES, "refused", "credited")
_TOLD: Final = ("line", "item", "amount", *FIGURES, "refused", "credited")


def fingerprint(content: msgspec.Struct) -> bytes:
    """What tells two commands under one action id apart."""
    return hashlib.blake2b(encode(content), digest_size=16).digest()


async def load(connection: Connection, return_id: str, tenant: str | None = None, partner: str | None = None) -> Return:
    """One return with everything of it; raises `NotFound`, also for somebody else's."""
    rows = await connection.fetch(sql.bodies, [return_id], tenant, partner)
    if not rows:
        raise NotFound(f"there is no return {return_id[:40]!r}", code="return.not_found")
    return _decode(rows[0]["body"])


async def lock(
    connection: Connection, return_id: str, tenant: str | None = None, partner: str | None = None
) -> tuple[Return, datetime]:
    """The return under its row lock, until the transaction ends, and the record's time; raises `NotFound`."""
    now = await connection.fetchval(sql.lock_return, return_id, tenant)
    if now is None:
        raise NotFound(f"there is no return {return_id[:40]!r}", code="return.not_found")
    return await load(connection, return_id, tenant, partner), now


async def save(
    connection: Connection, before: Return, after: Return, now: datetime, *told: tuple[str, dict[str, Any]]
) -> Return:
    """Write what changed of a locked return (all but dispositions and credits) and tell its events."""
    after = replace(after, state=derive_state(after))
    if after == before and not told:
        return after
    first = before.version + 1
    after = replace(after, version=before.version + max(len(told), 1))
    await connection.execute(
        sql.save_return, after.return_id, after.version, after.state, after.decision, after.decided_by,
        after.decided_at, after.decision_reason, after.cancelled_at, after.cancel_reason, after.closed_at,
        after.closed_by, after.close_reason,
    )  # fmt: skip
    if after.lines != before.lines:
        columns = [[getattr(line, name) for line in after.lines] for name in _LINE]
        await connection.execute(sql.save_lines, after.return_id, *columns)
    events = [event_of(after, name, version, now, data) for version, (name, data) in enumerate(told, first)]
    await log.append(connection, events)
    return after


async def save_disposition(connection: Connection, each: Disposition) -> None:
    """Write how far a disposition of a locked return is."""
    await connection.execute(sql.save_disposition, each.disposition, each.state, each.movement)


async def save_credit(connection: Connection, credit: Credit) -> None:
    """Write how far a credit of a locked return is."""
    await connection.execute(
        sql.save_credit, credit.credit, credit.state, credit.number, credit.issued_on, credit.total
    )


def with_disposition(known: Return, each: Disposition) -> Return:
    """The return with `each` in place of what it was."""
    others = (each if one.disposition == each.disposition else one for one in known.dispositions)
    return replace(known, dispositions=tuple(others))


def with_credit(known: Return, credit: Credit) -> Return:
    """The return with `credit` in place of what it was."""
    return replace(known, credits=tuple(credit if one.credit == credit.credit else one for one in known.credits))


def event_of(known: Return, name: str, version: int, now: datetime, data: dict[str, Any]) -> Event:
    """An event of a return: what it is about, its state and counters, then what the event says."""
    return Event(
        tenant=known.tenant,
        type=name,
        aggregate=known.return_id,
        aggregate_version=version,
        occurred_at=now,
        correlation_id=known.correlation_id,
        data={
            "return": known.return_id,
            "order": known.order_id,
            "partner": known.partner,
            "location": known.location,
            "state": known.state,
            "lines": [{each: getattr(line, each) for each in _TOLD} for line in known.lines],
            **data,
        },
    )


async def action_known(connection: Connection, tenant: str, action: str, content: msgspec.Struct) -> str | None:
    """The return that this action made before; raises `Conflict` (``operation.action_reused``)."""
    known = await connection.fetchrow(sql.return_of_action, tenant, action)
    if known is None:
        return None
    if known["fingerprint"] != fingerprint(content):
        raise Conflict(
            "this action was something else before: give every command its own action id",
            code="operation.action_reused",
        )
    found: str = known["return_id"]
    return found


async def listed(connection: Connection, rows: Sequence[Any]) -> Sequence[Return]:
    """The returns that `rows` name, the newest first."""
    found = await connection.fetch(sql.bodies, [row["return_id"] for row in rows], None, None)
    return [_decode(row["body"]) for row in found]
