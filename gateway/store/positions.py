"""How far each consumer has come. A position moves in the transaction of the work it stands for."""

from __future__ import annotations

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Position
from gateway.kernel.errors import NotFound
from gateway.store.log_reader import BEGINNING, LogReader, sql


class Held(Struct, frozen=True):
    """A consumer's row, locked until the transaction ends. `has_letters`: it has dead letters that are not resolved."""

    position: Position
    has_letters: bool


async def start_consumer(connection: Connection, name: str, at: Position = BEGINNING) -> None:
    """Enter a consumer that is new; an old one stays where it is."""
    await connection.execute(sql.start_consumer, name, at.epoch, at.transaction, at.event)


async def read_position(connection: Connection, name: str, reader: LogReader, *, stream: str = "main") -> Position:
    """Where `name` stands. A position ahead of the record (after a restore) is rewound and kept so.

    It is rewound to the last event that was recorded before the position last moved: what came later is new.
    """
    row = await connection.fetchrow(sql.read_position, name)
    if row is None:
        raise NotFound(f"there is no consumer {name}", code="log.consumer_not_found")
    position = Position(row["log_epoch"], row["transaction_id"], row["event_id"])
    end = await reader.end(connection, stream=stream)
    if position <= end or position == BEGINNING:
        return position
    if await reader.is_recorded(connection, position, stream=stream):
        return position
    before = await connection.fetchrow(sql.last_recorded_before, stream, row["moved_at"])
    rewound = BEGINNING if before is None else Position(before["log_epoch"], before["transaction_id"], before["id"])
    await move_position(connection, name, rewound)
    return rewound


async def lock_position(connection: Connection, name: str) -> Held:
    """Lock the consumer's row until the transaction ends: whoever else runs as `name` waits, then sees our move."""
    row = await connection.fetchrow(sql.lock_position, name)
    if row is None:
        raise NotFound(f"there is no consumer {name}", code="log.consumer_not_found")
    return Held(Position(row["log_epoch"], row["transaction_id"], row["event_id"]), row["has_letters"])


async def move_position(connection: Connection, name: str, to: Position) -> None:
    """Move `name`; takes effect with the caller's transaction."""
    await connection.execute(sql.move_position, name, to.epoch, to.transaction, to.event)
