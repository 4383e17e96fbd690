"""One verb for many entries: plan, run, progress, cancel.

A plan names its entries and their versions, so who runs it gets what was seen. Each entry is one transaction, with its
place in the bulk: a worker that dies leaves no entry half done, and whoever goes on does none twice. Above a size a
second person begins it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, Protocol

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import Verb
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotAllowed, NotFound, Unavailable
from gateway.kernel.ids import new_id
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.exceptions.models import Entry, Wanted

_sql: Final = queries_beside(__file__, "bulk_queries.sql")
_MOST: Final = 10_000
_LONGEST: Final = 500
_TURN: Final = 100
_NEVER: Final = float("inf")
BulkVerb = Literal["retry", "ignore"]


class Bulk(Struct, frozen=True, kw_only=True):
    """A bulk and how far it is: `waiting`, `done`, `skipped` (changed or over meanwhile) and `failed` make `size`."""

    bulk: str
    tenant: str
    verb: BulkVerb
    wanted: dict[str, Any]
    reason: str
    size: int
    state: Literal["planned", "running", "done", "cancelled"]
    planned_by: str
    planned_at: datetime
    begun_by: str | None
    begun_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None
    waiting: int
    done: int
    skipped: int
    failed: int


class DecidesOne(Protocol):
    """The exceptions, as far as a bulk asks them."""

    def listed(self, tenant: str, wanted: Wanted, *, limit: int) -> Awaitable[Sequence[Entry]]:
        """The most urgent first."""
        ...

    def retry_within(self, connection: Connection, caller: Caller, entry: str, *, version: int) -> Awaitable[object]:
        """In the caller's transaction; `Conflict` where the entry has another version."""
        ...

    def ignore_within(
        self, connection: Connection, caller: Caller, entry: str, *, reason: str, version: int
    ) -> Awaitable[object]:
        """In the caller's transaction; `Conflict` where the entry has another version."""
        ...


class Bulks:
    """Bulks of one record; `alone` is the largest that one person may begin."""

    def __init__(self, store: Store, decides: DecidesOne, alone: int) -> None:
        self._store = store
        self._decides = decides
        self._alone = alone

    async def plan(self, caller: Caller, verb: BulkVerb, wanted: Wanted, *, reason: str) -> Bulk:
        """Name every entry that fits and takes the verb; nothing is done yet. `Invalid` where there is none."""
        reason = reason.strip()
        if not reason or len(reason) > _LONGEST or not reason.isprintable():
            raise Invalid("say why, in one line", code="exceptions.text")
        found = await self._decides.listed(caller.tenant, wanted, limit=_MOST)
        fitting = [entry for entry in found if Verb(verb) in entry.verbs]
        if not fitting:
            raise Invalid(f"nothing that fits takes {verb}: widen the filter", code="exceptions.bulk_empty")
        bulk = new_id("blk")
        async with self._store.transaction() as connection:
            encoded = msgspec.json.encode(_given(wanted)).decode()
            actor = caller.principal.subject
            await connection.execute(_sql.insert_bulk, bulk, caller.tenant, verb, encoded, reason, len(fitting), actor)
            columns = [[each.entry for each in fitting], [each.version for each in fitting]]
            await connection.execute(_sql.insert_members, bulk, *columns)
            await _audit(connection, caller, "bulk_planned", bulk, {"verb": verb, "size": len(fitting), "why": reason})
        return await self.get(caller.tenant, bulk)

    async def begin(self, caller: Caller, bulk: str, *, approving: bool = False) -> Bulk:
        """Have a worker run it. Above `alone` only by approval (``exceptions.second_person``), not by its planner."""
        async with self._store.transaction() as connection:
            row = await self._lock(connection, caller.tenant, bulk)
            if row["state"] != "planned":
                raise Conflict(f"this bulk is {row['state']} already", code="exceptions.bulk_begun")
            if row["size"] > self._alone and (not approving or row["planned_by"] == caller.principal.subject):
                raise NotAllowed(
                    f"{row['size']} entries are more than one person decides ({self._alone}): ask another one who may "
                    "approve to begin it",
                    code="exceptions.second_person",
                )
            await connection.execute(_sql.begin_bulk, bulk, caller.principal.subject)
            await _audit(connection, caller, "bulk_begun", bulk, {"size": row["size"]})
        return await self.get(caller.tenant, bulk)

    async def cancel(self, caller: Caller, bulk: str) -> Bulk:
        """Do no more of it; what was done stays done."""
        async with self._store.transaction() as connection:
            row = await self._lock(connection, caller.tenant, bulk)
            if row["state"] not in ("planned", "running"):
                raise Conflict(f"this bulk is {row['state']} already", code="exceptions.bulk_over")
            await connection.execute(_sql.end_bulk, bulk, "cancelled", caller.principal.subject)
            await _audit(connection, caller, "bulk_cancelled", bulk, {})
        return await self.get(caller.tenant, bulk)

    async def get(self, tenant: str, bulk: str) -> Bulk:
        """One bulk with its progress; raises `NotFound`."""
        row = await self._store.fetchrow(_sql.get_bulk, tenant, bulk)
        if row is None:
            raise _unknown(bulk)
        return _bulk_of(row)

    async def listed(self, tenant: str, *, before: str | None = None, limit: int = 50) -> Sequence[Bulk]:
        """The newest first."""
        return [_bulk_of(row) for row in await self._store.fetch(_sql.list_bulks, tenant, before, limit)]

    async def troubled(self, bulk: Bulk) -> Sequence[Any]:
        """What of it was skipped or failed, and why, up to a hundred."""
        return await self._store.fetch(_sql.troubled_members, bulk.bulk)

    # --- for the worker -----------------------------------------------------------------------------------------------

    async def run(self, tenant: str) -> int:
        """A turn of every bulk that runs: up to a hundred entries of each; returns how many were settled."""
        settled = 0
        for row in await self._store.fetch(_sql.running, tenant):
            for _ in range(_TURN):
                if not await self._settle_next(tenant, row):
                    break
                settled += 1
        return settled

    async def _settle_next(self, tenant: str, bulk: Any) -> bool:
        entry = None
        try:
            async with self._store.transaction() as connection:
                if not await connection.fetchval(_sql.still_running, bulk["bulk"]):
                    return False
                row = await connection.fetchrow(_sql.next_member, bulk["bulk"])
                if row is not None:
                    entry = row["entry"]
                    await self._do(connection, tenant, bulk, row)
                    await connection.execute(_sql.settle_member, bulk["bulk"], entry, "done", None, None)
            if row is None:
                # Not while it is held: two who hold it and want to change it would wait for each other.
                await self._store.execute(_sql.end_bulk, bulk["bulk"], "done", "worker")
                return False
        except Unavailable:
            raise
        except CrossdockError as error:
            state = "skipped" if isinstance(error, Conflict | NotFound) else "failed"
            await self._store.execute(_sql.settle_member, bulk["bulk"], entry, state, error.code, error.detail[:500])
        return True

    async def _do(self, connection: Connection, tenant: str, bulk: Any, member: Any) -> None:
        caller = _as(bulk["begun_by"], tenant, bulk["bulk"])
        entry, version = member["entry"], member["version"]
        if bulk["verb"] == "retry":
            await self._decides.retry_within(connection, caller, entry, version=version)
        else:
            await self._decides.ignore_within(connection, caller, entry, reason=bulk["reason"], version=version)

    async def _lock(self, connection: Connection, tenant: str, bulk: str) -> Any:
        row = await connection.fetchrow(_sql.lock_bulk, tenant, bulk)
        if row is None:
            raise _unknown(bulk)
        return row


def _unknown(bulk: str) -> NotFound:
    return NotFound(f"there is no bulk {bulk[:40]!r}: look it up in the list", code="exceptions.bulk_not_found")


def _as(actor: str, tenant: str, bulk: str) -> Caller:
    """Whoever began the bulk, as the verbs see a caller."""
    principal = Principal(
        tenant=tenant, subject=actor, credential=bulk, zones=frozenset({Zone.PROCESS}), scopes=frozenset()
    )
    return Caller(principal=principal, request_id=bulk, correlation_id=bulk, deadline=_NEVER)


def _given(wanted: Wanted) -> dict[str, Any]:
    fields = ((name, getattr(wanted, name)) for name in wanted.__struct_fields__)
    return {name: value for name, value in fields if value is not None}


def _bulk_of(row: Any) -> Bulk:
    return msgspec.convert({**dict(row), "wanted": msgspec.json.decode(row["wanted"])}, Bulk)


async def _audit(connection: Connection, caller: Caller, action: str, bulk: str, detail: dict[str, Any]) -> None:
    await record_act(
        connection,
        caller,
        f"exceptions.{action}",
        f"bulk/{bulk}",
        detail=detail,
    )
