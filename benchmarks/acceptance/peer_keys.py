"""The peer's idempotency keys in PostgreSQL: reserved in a commit of their own, answered in the order's transaction.

The semantics are the gateway's: a twin in flight is told 409, another body under the same key 422, a repeated request
the first answer; an execution whose lease is over may be taken over, and whoever lost its key loses its order.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.canonical.capabilities import GathersWrites
from gateway.kernel.errors import Conflict
from gateway.kernel.exchange import Reply
from gateway.store.postgres import Store

TABLE: Final = """
create schema peer;
create table peer.idempotency_key (
    partner text not null,
    key text not null,
    fingerprint bytea not null,
    fence bigint not null,
    lease_until timestamptz not null,
    status integer,
    location text,
    body bytea,
    primary key (partner, key)
);
"""
_LEASE_SECONDS: Final = 60.0
_RESERVE: Final = """
insert into peer.idempotency_key as k (partner, key, fingerprint, fence, lease_until)
values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
on conflict (partner, key) do update set fence = excluded.fence, lease_until = excluded.lease_until
where k.status is null and k.lease_until < clock_timestamp() and k.fingerprint = excluded.fingerprint
returning fence
"""
_READ: Final = "select fingerprint, status, location, body from peer.idempotency_key where partner = $1 and key = $2"
_FREE: Final = "delete from peer.idempotency_key where partner = $1 and key = $2 and fence = $3 and status is null"
_KEEP: Final = """
update peer.idempotency_key k set status = a.status, location = a.location, body = a.body
from unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::text[], $6::bytea[])
     as a (partner, key, fence, status, location, body)
where (k.partner, k.key, k.fence) = (a.partner, a.key, a.fence) and k.status is null returning k.fence
"""


def fingerprint_of(path: str, content_type: str, body: bytes) -> bytes:
    """What makes two requests the same."""
    return hashlib.sha256(b"\n".join([path.encode(), content_type.encode(), body])).digest()


class Taken(Exception):
    """The key is another request's: what to answer, and whether that is the first request's own answer."""

    def __init__(self, status: int, detail: str, reply: Reply | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.reply = reply


class Reservation:
    """One execution's hold on its key; implements `KeepsAnswer`."""

    def __init__(self, partner: str, key: str) -> None:
        self._partner = partner
        self._key = key
        self._fence = secrets.randbits(63)
        self.completed = False

    @property
    def lost(self) -> Conflict:
        """Another execution has taken over."""
        return Conflict("another request with this key has taken over: ask again", code="idempotency.lost")

    def keep(self, writes: GathersWrites, reply: Reply) -> None:
        """The answer, together with what the order's transaction writes last."""
        writes.row(_KEEP, *self._row(reply), returning="fence")

    def is_kept(self, results: Mapping[str, Sequence[Any]]) -> bool:
        """Whether `keep` took place."""
        return self._fence in results[_KEEP]

    async def reserve(self, store: Store, fingerprint: bytes) -> None:
        """Take the key; raises `Taken`."""
        took = await store.fetchval(_RESERVE, self._partner, self._key, fingerprint, self._fence, _LEASE_SECONDS)
        if took is not None:
            return
        row = await store.fetchrow(_READ, self._partner, self._key)
        if row is None or (row["status"] is None and row["fingerprint"] == fingerprint):
            raise Taken(409, "the first request with this key is still being served: ask again in a moment")
        if row["fingerprint"] != fingerprint:
            raise Taken(422, "this key was used for another request: take a fresh key")
        location = [(b"location", row["location"].encode())] if row["location"] else []
        raise Taken(row["status"], "replayed", Reply(row["status"], location, row["body"]))

    async def complete(self, store: Store, reply: Reply) -> None:
        """Keep an answer that no new order was made for."""
        if not self.completed:
            await store.fetchval(_KEEP, *([value] for value in self._row(reply)))

    async def free(self, store: Store) -> None:
        """Nothing was done: the key may be used again."""
        await store.execute(_FREE, self._partner, self._key, self._fence)

    def _row(self, reply: Reply) -> tuple[Any, ...]:
        location = next((value.decode() for name, value in reply.headers if name == b"location"), None)
        return self._partner, self._key, self._fence, reply.status, location, reply.body
