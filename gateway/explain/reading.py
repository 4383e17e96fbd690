"""Why a request was answered as it was, and what it led to.

The id of a request tells the second in which it was named, and so which blocks to open. Where there is no record,
`Explanation.advice` says why, as far as that can be known, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.explain.blocks import instant, sql, unpack
from gateway.explain.record import HANDLER, READS, ROUTER, Record
from gateway.kernel.errors import NotFound
from gateway.kernel.exchange import OutboundCall
from gateway.kernel.ids import request_named_at

# An id is named up to a second after its request arrived, by a clock that may be corrected meanwhile.
_TOLERANCE_SECONDS: Final = 5.0
_SOON: Final = timedelta(seconds=5)
_AHEAD: Final = timedelta(minutes=1)
_REPLAYED: Final = "idempotent-replayed"


class Step(Struct, frozen=True, kw_only=True):
    """One policy's word (passed, answered, refused, failed, not asked), and its time if it was taken.

    With `at_most` the time is that until it refused, those asked before it included.
    """

    policy: str
    outcome: str
    microseconds: float | None = None
    at_most: bool = False
    detail: str = ""


class Consequence(Struct, frozen=True, kw_only=True):
    """An audit entry or an event under the request's correlation id."""

    at: datetime
    what: str
    about: str
    by: str = ""
    outcome: str = ""


class Explanation(Struct, frozen=True, kw_only=True):
    """What is known of one request; `record` is None where nothing is, and `advice` then says why."""

    request_id: str
    advice: str = ""
    record: Record | None = None
    arrived_at: datetime | None = None
    worker: str = ""
    answer: str = ""
    steps: Sequence[Step] = ()
    rest_microseconds: float | None = None
    outbound: Sequence[OutboundCall] = ()
    idempotency: str = ""
    original_request_id: str | None = None
    audit: Sequence[Consequence] = ()
    events: Sequence[Consequence] = ()
    orders: Sequence[str] = ()


class _Found(Struct, frozen=True):
    record: Record
    names: Sequence[str]
    worker: str


async def explain(connection: Connection, request_id: str, *, tenant: str, now: datetime, hours: int) -> Explanation:
    """The explanation of `request_id`. Raises `NotFound` (code ``explain.malformed``) for what is no request id."""
    wanted = request_id.strip().strip('"')
    named_at = request_named_at(wanted)
    if named_at is None:
        raise NotFound(
            "this is not the id of a request: it looks like req_ and 32 hexadecimal digits, in the X-Request-Id header "
            "of every answer and as request_id in every problem",
            code="explain.malformed",
        )
    rows = await connection.fetch(sql.blocks_at, named_at, _TOLERANCE_SECONDS)
    found = _find(rows, wanted)
    # Whoever asks for one tenant learns nothing of another one, not even that the request exists.
    if found is None or found.record.tenant not in ("", tenant):
        return Explanation(request_id=wanted, advice=_why_not(rows, named_at, now, hours))
    return await _explained(connection, found, tenant)


def _find(rows: Sequence[Mapping[str, Any]], wanted: str) -> _Found | None:
    for row in rows:
        if not row["kept"]:
            continue
        content = unpack(row["content"])
        for record in content.records:
            if record.request_id == wanted:
                return _Found(record, content.names, row["worker"])
    return None


def _why_not(rows: Sequence[Mapping[str, Any]], named_at: datetime, now: datetime, hours: int) -> str:
    if now - named_at > timedelta(hours=hours):
        return f"it is from {named_at:%Y-%m-%d %H:%M:%S} UTC, and records are kept for {hours} hours"
    if named_at - now > _AHEAD:
        return "its time has not come yet: it is not an id that these gateways gave out"
    for row in rows:
        if row["reason"] == "cap":
            return (
                f"not kept: the cap was reached at {row['first_arrived']:%Y-%m-%d %H:%M:%S} UTC, and worker "
                f"{row['worker']} left {row['not_kept']} requests out then: raise explain.most_bytes"
            )
        if row["reason"] == "record":
            return (
                f"not kept: the record could not be written at {row['first_arrived']:%Y-%m-%d %H:%M:%S} UTC, and "
                f"worker {row['worker']} had no room for {row['not_kept']} requests"
            )
    if now - named_at < _SOON:
        return "no record of it yet: records are written once a second, so ask again in a moment"
    return (
        "no record of it: of reads that go well each worker keeps one a second (the access log has all of them); else "
        "it was served by a worker that was killed within its last second, or by another installation"
    )


async def _explained(connection: Connection, found: _Found, tenant: str) -> Explanation:
    record = found.record
    arrived_at = instant(record.arrived_ms)
    ended_at = arrived_at + timedelta(microseconds=record.took_us)
    correlation = record.correlation_id or record.request_id
    audit = await connection.fetch(sql.audit_of, tenant, correlation, arrived_at, ended_at)
    events = await connection.fetch(sql.events_of, tenant, correlation)
    original = await _original(connection, record, tenant)
    mine = [row for row in audit if row["request_id"] in (None, record.request_id)]
    steps = steps_of(record, found.names)
    timed = sum(step.microseconds or 0.0 for step in steps)
    return Explanation(
        request_id=record.request_id,
        record=record,
        arrived_at=arrived_at,
        worker=found.worker,
        answer=answer_of(record),
        steps=steps,
        rest_microseconds=max(0.0, record.took_us - timed) if record.decisions is not None else None,
        outbound=[OutboundCall(*each) for each in record.outbound],
        idempotency=_idempotency_of(record),
        original_request_id=original,
        audit=[
            Consequence(at=row["at"], what=row["action"], about=row["subject"], by=row["actor"], outcome=row["outcome"])
            for row in mine
        ],
        events=[Consequence(at=row["recorded_at"], what=row["type"], about=row["aggregate"]) for row in events],
        orders=sorted({row["aggregate"] for row in events if row["aggregate"].startswith("ord_")}),
    )


def answer_of(record: Record) -> str:
    """One sentence: what came of it, and who decided that."""
    if record.refused_by == HANDLER:
        return f"{record.status}: the operation itself answered {record.code}"
    if record.refused_by == ROUTER:
        return f"{record.status}: refused by the router with {record.code}"
    if record.refused_by:
        return f"{record.status}: refused by {record.refused_by} with {record.code}"
    if _REPLAYED in record.told:
        return f"{record.status}: idempotency gave the answer of the first request again"
    if record.status == 499:  # noqa: PLR2004
        return "no answer: the client left before there was one"
    return f"{record.status}: every policy let it pass, and the operation answered"


def steps_of(record: Record, names: Sequence[str]) -> list[Step]:
    """Every policy in its order, with its word; without its time where only the refusal was kept."""
    if record.decisions is not None:
        asked = [
            Step(policy=policy, outcome=outcome, microseconds=tenths / 10, detail=detail)
            for policy, outcome, tenths, detail in record.decisions
        ]
    else:
        asked = [
            Step(
                policy=name,
                outcome="refused",
                microseconds=float(record.refused_us) if record.refused_us else None,
                at_most=bool(record.refused_us),
                detail=record.code,
            )
            if name == record.refused_by
            else Step(policy=name, outcome="passed")
            for name in names[: record.entered]
        ]
    return [*asked, *(Step(policy=name, outcome="not asked") for name in names[len(asked) :])]


def _idempotency_of(record: Record) -> str:
    if record.method in READS:
        return ""
    if _REPLAYED in record.told:
        return "replayed"
    if record.code.startswith("idempotency"):
        return record.code.partition(".")[2]
    return "executed under its key" if record.idempotency else "no key"


async def _original(connection: Connection, record: Record, tenant: str) -> str | None:
    """Of a replay, or of a key that was used before: the request that came first, while both records last."""
    if not record.idempotency:
        return None
    row = await connection.fetchrow(sql.idempotency_of, record.idempotency, tenant)
    if row is None:
        return None
    for block in await connection.fetch(sql.blocks_at, row["created_at"], _TOLERANCE_SECONDS):
        if not block["kept"]:
            continue
        for other in unpack(block["content"]).records:
            if other.idempotency == record.idempotency and _executed(other):
                return None if other.request_id == record.request_id else other.request_id
    return None


def _executed(record: Record) -> bool:
    return _REPLAYED not in record.told and not record.code.startswith("idempotency")
