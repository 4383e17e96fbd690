"""What is parked, in the queue of exceptions: one trouble for each source and reason, however many reports wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.stock import MovementType, ReportedMovement
from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid
from gateway.store import log
from gateway.store.queries import queries_beside
from process_apis.availability.translating import fingerprint

_sql: Final = queries_beside(__file__, "trouble_queries.sql")
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_LOWERING: Final = (
    MovementType.PICK_CONFIRMED, MovementType.SHIPMENT_CONFIRMED, MovementType.TRANSFER_DISPATCHED,
)  # fmt: skip
_LATE: Final = "stock.too_late"
_ID: Final = ("source", "event_id", "line")


class ParkedTroubles:
    """`retry` lets in what can be mapped by now; an edit is a revision of one report; ignoring lets it be."""

    kind = "parked"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """By source and reason."""
        return [_trouble(row) for row in await connection.fetch(_sql.troubles, tenant, limit, list(_LOWERING))]

    async def payload(self, connection: Connection, tenant: str, key: str) -> Mapping[str, Any] | None:
        """The first report of those that wait for it."""
        text = await connection.fetchval(_sql.first_member, tenant, key)
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Have the worker try all that waits of this source again."""
        first = (await self._members(connection, caller.tenant, key, 1))[0]
        await self._again(connection, caller, first, alone=False)

    async def edit(
        self, connection: Connection, caller: Caller, key: str, payload: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Put another movement in place of the one that waits: the same event and line, in a later revision."""
        members = await self._members(connection, caller.tenant, key, 2)
        if len(members) > 1 or members[0]["kind"] != "movement":
            raise Conflict(
                "only one movement at a time is edited: mend the mapping, or ignore these and have them sent anew",
                code="exceptions.not_one",
            )
        first = members[0]
        before = msgspec.json.decode(first["payload"], type=ReportedMovement)
        after = _movement(payload)
        if any(getattr(before, name) != getattr(after, name) for name in _ID):
            raise Invalid("source, event_id and line say which report it is: leave them as they are",
                          code="exceptions.payload")  # fmt: skip
        after = replace(after, revision=max(after.revision, before.revision + 1))
        encoded = _encode(after).decode()
        await connection.execute(_sql.put_in_place, caller.tenant, first["id"], encoded, fingerprint(after))
        await self._again(connection, caller, first, alone=True)
        return msgspec.json.decode(first["payload"], type=dict[str, Any])

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """None of them is recorded."""
        await self._members(connection, caller.tenant, key, 1)
        await connection.execute(_sql.close, caller.tenant, key, f"ignored: {reason}")

    async def _members(self, connection: Connection, tenant: str, key: str, limit: int) -> Sequence[Any]:
        rows = await connection.fetch(_sql.members, tenant, key, limit)
        if not rows:
            raise Conflict("nothing of this waits any more: read the exception again", code="exceptions.over")
        return rows

    async def _again(self, connection: Connection, caller: Caller, row: Any, *, alone: bool) -> None:
        """The event by which the worker's mending tries once more, in this transaction."""
        aggregate = f"parked/{row['id']}"
        version = await connection.fetchval(_sql.last_version, caller.tenant, aggregate)
        event = Event(
            tenant=caller.tenant,
            type="stock.movement_parked",
            aggregate=aggregate,
            aggregate_version=version + 1,
            occurred_at=self._clock.now(),
            data={**{name: row[name] for name in (*_ID, "kind", "cause", "detail")}, "again": not alone},
            correlation_id=caller.correlation_id,
            causation_id=row["event_id"],
        )
        await log.append(connection, [event])


def _trouble(row: Any) -> Trouble:
    movement = row["kind"] == "movement"
    one = row["number"] == 1
    verbs = [
        *([Verb.RETRY] if row["mendable"] else []),
        *([Verb.EDIT] if movement and one else []),
        Verb.IGNORE,
    ]
    return Trouble(
        key=row["key"],
        error_class=TroubleClass.MAPPING if row["mendable"] else _final_class(row["cause"]),
        effect=Effect.OVERSELLS if row["lowers"] else Effect.HIDES_STOCK,
        fault_domain=row["source"],
        code=row["cause"],
        detail=row["detail"],
        about=f"{row['kind']}s of {row['source']}" if not one else f"{row['source']}/{row['event_id']}",
        count=row["number"],
        raised_at=row["raised_at"],
        last_at=row["last_at"],
        verbs=tuple(verbs),
    )


def _final_class(cause: str) -> TroubleClass:
    return TroubleClass.SEQUENCE if cause == _LATE else TroubleClass.VALIDATION


def _movement(payload: Mapping[str, Any]) -> ReportedMovement:
    unknown = sorted(set(payload) - set(ReportedMovement.__struct_fields__))
    if unknown:
        raise Invalid(f"a movement has no {', '.join(unknown)}", code="exceptions.payload")
    try:
        return msgspec.convert(payload, ReportedMovement, strict=True)
    except msgspec.ValidationError as error:
        raise Invalid(f"this is not a movement: {error}", code="exceptions.payload") from error
