"""Records packed into blocks, and blocks in the record.

A block is msgpack, compressed with zlib: of a flood of alike refusals each one costs little more than the bits of its
own id.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.explain.record import Record
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

sql: Final = queries_beside(__file__)
MOST_RECORDS: Final = 2_000
_LEVEL: Final = 6
Reason = Literal["cap", "record"]


class Content(Struct, array_like=True, frozen=True):
    """What a block holds: the names of the chain's steps, and the records."""

    names: tuple[str, ...]
    records: list[Record]


class Block(Struct, frozen=True, kw_only=True):
    """One row: records, or the note that there are none, or both."""

    first_arrived: datetime
    last_arrived: datetime
    kept: int
    not_kept: int
    reason: Reason | None
    content: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Content).decode
Write = Callable[[Sequence[Block]], Awaitable[None]]


def pack(names: tuple[str, ...], records: Sequence[Record]) -> list[Block]:
    """Blocks of `records`."""
    parts = [records[at : at + MOST_RECORDS] for at in range(0, len(records), MOST_RECORDS)]
    return [_packed(names, part) for part in parts]


def _packed(names: tuple[str, ...], records: Sequence[Record]) -> Block:
    arrived = [record.arrived_ms for record in records]
    content = zlib.compress(_encode(Content(names, list(records))), _LEVEL)
    first, last = instant(min(arrived)), instant(max(arrived))
    return Block(first_arrived=first, last_arrived=last, kept=len(records), not_kept=0, reason=None, content=content)


def missing(first_ms: int, last_ms: int, count: int, reason: Reason) -> Block:
    """The note that of so many requests there is no record."""
    first, last = instant(first_ms), instant(last_ms)
    return Block(first_arrived=first, last_arrived=last, kept=0, not_kept=count, reason=reason, content=b"")


def unpack(content: bytes) -> Content:
    """What a block holds."""
    return _decode(zlib.decompress(content))


def instant(milliseconds: int) -> datetime:
    """Milliseconds since the epoch as an instant."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


async def add_blocks(connection: Connection, worker: str, blocks: Sequence[Block]) -> None:
    """Write `blocks` of one worker in one statement."""
    columns = [
        [getattr(block, name) for block in blocks]
        for name in ("first_arrived", "last_arrived", "kept", "not_kept", "reason", "content")
    ]
    await connection.execute(sql.add_blocks, worker, *columns)


async def drop_old(store: Store, hours: int) -> int:
    """Drop what is older than `hours`; returns the bytes that are kept."""
    async with store.connection() as connection:
        while await connection.execute(sql.drop_old, hours) == "DELETE 1000":
            pass
        kept: int = await connection.fetchval(sql.bytes_kept)
    return kept
