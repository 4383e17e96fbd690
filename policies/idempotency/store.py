"""The record in PostgreSQL: reserved with a lease (on the database's clock) and a fence, then done or unknown."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.kernel.errors import Conflict, NotFound, Unavailable
from gateway.kernel.exchange import Reply
from gateway.kernel.keyring import KeyRing
from gateway.store.batches import Batches
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_PURPOSE: Final = "idempotency reply"
_KEPT_HEADERS: Final = frozenset(
    {
        b"content-type",
        b"content-language",
        b"content-location",
        b"etag",
        b"last-modified",
        b"link",
        b"location",
        b"preference-applied",
    }
)
_sql = queries_beside(__file__)


class Existing(Struct, frozen=True):
    """What is known of a key that is taken. `lease_left` seconds until its execution counts as lost."""

    fingerprint: bytes
    state: str
    fence: int
    lease_over: bool
    lease_left: float
    reply: Reply | None


class Unresolved(Struct, frozen=True):
    """A request that reached its handler and whose outcome nobody knows."""

    key: bytes
    tenant: str
    route: str
    created_at: datetime


class _Asked(Struct, frozen=True):
    key: bytes
    tenant: str
    route: str
    fingerprint: bytes
    fence: int
    retention: float


class _Answered(Struct, frozen=True):
    key: bytes
    fence: int
    status: int
    reply: bytes


class _Kept(Struct, array_like=True):
    headers: list[tuple[bytes, bytes]]
    body: bytes | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Kept).decode


class Reservation:
    """One execution's hold on its key. A handler finds it in ``exchange.notes["idempotency"]``."""

    __slots__ = ("_records", "completed", "fence", "key", "recalled")

    def __init__(self, records: Records, key: bytes) -> None:
        self._records = records
        self.key = key
        self.fence = secrets.randbits(63)
        self.completed = False
        self.recalled = False

    @property
    def lost(self) -> Conflict:
        """What an execution is told that another one has taken over from."""
        return _lost()

    def keep(self, writes: GathersWrites, reply: Reply) -> None:
        """As `complete_in`, together with what others write at the end of a transaction; then ask `is_kept`.

        The caller sets `completed` once the transaction is committed.
        """
        kept = self._records.sealed(self.key, reply)
        writes.row(_sql.complete_all, self.key, self.fence, reply.status, kept, returning="fence")

    def is_kept(self, results: Mapping[str, Sequence[Any]]) -> bool:
        """Whether `keep` took place, by the results of the writes; if not, the transaction must be undone."""
        return self.fence in results[_sql.complete_all]

    async def hold_in(self, connection: Connection) -> None:
        """Lock the record in the handler's own transaction, so that an execution that was given up cannot commit.

        Raises `Conflict` (code ``idempotency.lost``) when another execution has taken over.
        """
        if await connection.fetchval(_sql.hold, self.key, self.fence) is None:
            raise _lost()

    async def complete_in(self, connection: Connection, reply: Reply) -> None:
        """Store the answer in the handler's own transaction: effect and answer commit together, or neither does.

        The caller sends exactly `reply` afterwards. Raises `Conflict` (code ``idempotency.lost``), as above.
        """
        kept = self._records.sealed(self.key, reply)
        if await connection.fetchval(_sql.complete, self.key, self.fence, reply.status, kept) is None:
            raise _lost()
        self.completed = True


class Records:
    """The table. Every method raises `Unavailable` when the record is down."""

    def __init__(self, store: Store, ring: KeyRing, *, lease: float, largest_reply: int) -> None:
        self._store = store
        self._ring = ring
        self._lease = lease
        self._largest_reply = largest_reply
        self._reserving: Batches[_Asked, bool] = Batches(self._reserve_all)
        self._completing: Batches[_Answered, bool] = Batches(self._complete_all)

    async def reserve(
        self, held: Reservation, fingerprint: bytes, *, tenant: str, route: str, retention: int
    ) -> Existing | None:
        """Take a free key (None), or tell what is there."""
        for _ in range(3):
            if await self._reserving.ask(_Asked(held.key, tenant, route, fingerprint, held.fence, float(retention))):
                return None
            row = await self._store.fetchrow(_sql.read, held.key)
            if row is not None:
                return self._existing(held.key, row)
        raise Unavailable("this key was freed and taken again meanwhile: try again", code="idempotency.contended")

    async def complete(self, held: Reservation, reply: Reply) -> bool:
        """Store the answer; False when this execution has lost its hold."""
        kept = self.sealed(held.key, reply)
        if held.recalled:
            return bool(await self._store.fetchval(_sql.resolve_done, held.key, held.fence, reply.status, kept))
        return await self._completing.ask(_Answered(held.key, held.fence, reply.status, kept))

    async def free(self, held: Reservation) -> None:
        """Nothing was done: the key may be used again."""
        await self._store.execute(_sql.free, held.key, held.fence)

    async def doubt(self, held: Reservation) -> None:
        """Nobody knows what was done."""
        await self._store.execute(_sql.doubt, held.key, held.fence)

    async def take_over(self, held: Reservation, before: Existing) -> bool:
        """Become the one who finds out about a lost execution; False when somebody else did."""
        return bool(await self._store.fetchval(_sql.take_over, held.key, before.fence, held.fence, self._lease))

    async def execute_again(self, held: Reservation) -> bool:
        """The lost execution did nothing: reserve its key for this one."""
        return bool(await self._store.fetchval(_sql.resolve_undone, held.key, held.fence, self._lease))

    async def purge(self, batch: int) -> tuple[int, int]:
        """Remove what has expired and mark what was lost; returns how many of each."""
        gone = await self._store.fetch(_sql.purge, batch)
        lost = await self._store.fetch(_sql.doubt_overdue, batch)
        return len(gone), len(lost)

    async def _reserve_all(self, asked: Sequence[_Asked]) -> Sequence[bool]:
        # One statement cannot meet a key twice: of twins in one batch the second finds it taken, as if it came later.
        first = {each.key: each for each in reversed(asked)}
        columns = zip(*(msgspec.structs.astuple(each) for each in first.values()), strict=True)
        rows = await self._store.fetch(_sql.reserve, *map(list, columns), self._lease)
        fences = {row["fence"] for row in rows}
        return [each.fence in fences for each in asked]

    async def _complete_all(self, answered: Sequence[_Answered]) -> Sequence[bool]:
        columns = zip(*(msgspec.structs.astuple(each) for each in answered), strict=True)
        rows = await self._store.fetch(_sql.complete_all, *map(list, columns))
        fences = {row["fence"] for row in rows}
        return [each.fence in fences for each in answered]

    def sealed(self, key: bytes, reply: Reply) -> bytes:
        """A reply as it is stored: allowed headers only, and no body above the limit."""
        headers = [(name, value) for name, value in reply.headers if name in _KEPT_HEADERS]
        body = reply.body if len(reply.body) <= self._largest_reply else None
        return self._ring.seal(_PURPOSE, _encode(_Kept(headers, body)), bound_to=key)

    def _existing(self, key: bytes, row: Any) -> Existing:
        reply = self._unsealed(key, row) if row["state"] == "done" else None
        return Existing(row["fingerprint"], row["state"], row["fence"], row["lease_over"], row["lease_left"], reply)

    def _unsealed(self, key: bytes, row: Any) -> Reply:
        kept = _decode(self._ring.unseal(_PURPOSE, row["reply"], bound_to=key))
        if kept.body is None:
            location = dict(kept.headers).get(b"location", b"").decode("latin-1")
            raise Conflict(
                f"this was done before (status {row['status']}), and its answer was too large to be kept: "
                f"read {location or 'what it made'}",
                code="idempotency.answer_not_kept",
            )
        return Reply(row["status"], kept.headers, kept.body)


async def unresolved(connection: Connection, *, limit: int = 100) -> list[Unresolved]:
    """Requests of unknown outcome, oldest first, for operations."""
    rows = await connection.fetch(_sql.unknown, limit)
    return [Unresolved(row["key"], row["tenant"], row["route"], row["created_at"]) for row in rows]


async def free_unresolved(connection: Connection, key: bytes) -> None:
    """A person has made sure that nothing was done, or undone it: the key may be used again. Raises `NotFound`."""
    if await connection.fetchval(_sql.free_unknown, key) is None:
        raise NotFound("there is no request of unknown outcome under this key", code="idempotency.not_found")


def _lost() -> Conflict:
    return Conflict(
        "this execution took too long and another one has taken over: look what it did", code="idempotency.lost"
    )
