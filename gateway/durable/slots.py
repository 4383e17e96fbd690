"""Numbered worker slots, held by a PostgreSQL advisory lock (`semantics.md` 6).

A worker's slot names it to DBOS (`executor_id`): two workers with one name would both run the same workflows. The
lock lives as long as its connection; a worker that loses the connection has lost its name and must end at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from gateway.kernel.errors import Unavailable
from gateway.store.postgres import CONNECTION_FAILED

SLOT_CLASS: Final = 0x736C6F74  # "slot": the first half of the two-part lock key, the number is the second
_PREFIX: Final = "slot-"
_SETTINGS: Final = {
    "application_name": "crossdock-slot",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
}
LOST_SLOT_EXIT: Final = 70

Fits = Callable[[asyncpg.Connection, int], Awaitable[bool]]


def executor_of(number: int) -> str:
    """The name under which slot `number` claims work."""
    return f"{_PREFIX}{number}"


def number_of(executor: str) -> int | None:
    """The slot behind an executor's name, None for a name that is not ours."""
    digits = executor.removeprefix(_PREFIX)
    return int(digits) if executor.startswith(_PREFIX) and digits.isdigit() else None


def end_process(reason: str) -> None:
    """Die without cleaning up: whatever this process still does, it does under a name it no longer owns."""
    sys.stderr.write(f"crossdock worker ends: {reason}\n")
    sys.stderr.flush()
    os._exit(LOST_SLOT_EXIT)


class Slot:
    """One claimed slot. `on_lost` is called once when its connection dies; by default the process ends."""

    def __init__(self, connection: asyncpg.Connection, number: int, on_lost: Callable[[str], None]) -> None:
        self.number = number
        self._connection = connection
        self._on_lost = on_lost
        self._turn = asyncio.Lock()
        self._released = False
        connection.add_termination_listener(self._terminated)

    @property
    def executor_id(self) -> str:
        """The slot's name to DBOS."""
        return executor_of(self.number)

    def _terminated(self, _: object) -> None:
        self._lose("the connection that holds its slot was closed")

    def _lose(self, reason: str) -> None:
        if not self._released:
            self._released = True
            self._on_lost(f"{reason} ({self.executor_id})")

    async def beat(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - a bound on one statement
        """Prove that the connection lives; a silent one counts as lost after `timeout` seconds."""
        try:
            async with self._turn:
                await self._connection.fetchval("select 1", timeout=timeout)
        except CONNECTION_FAILED:
            self._lose("the connection that holds its slot does not answer")

    async def fetch(self, statement: str, *args: object) -> list[asyncpg.Record]:
        """Rows, over the connection that holds the slot."""
        async with self._turn:
            rows: list[asyncpg.Record] = await self._connection.fetch(statement, *args)
            return rows

    async def query(self, statement: str, *args: object) -> frozenset[int]:
        """The slots whose executors a statement names in its first column; other names are left out."""
        rows = await self.fetch(statement, *args)
        return frozenset(number for row in rows if (number := number_of(row[0])) is not None)

    async def hold(self, number: int) -> bool:
        """Take another slot's lock beside our own; False when somebody has it."""
        async with self._turn:
            held: bool = await self._connection.fetchval("select pg_try_advisory_lock($1, $2)", SLOT_CLASS, number)
            return held

    async def let_go(self, number: int) -> None:
        """Give back a lock taken by `hold`."""
        async with self._turn:
            await self._connection.fetchval("select pg_advisory_unlock($1, $2)", SLOT_CLASS, number)

    async def release(self) -> None:
        """Give up the slot in good order."""
        self._released = True
        with contextlib.suppress(*CONNECTION_FAILED):
            await self._connection.close(timeout=5)


async def claim_slot(
    url: str,
    *,
    highest: int = 256,
    on_lost: Callable[[str], None] = end_process,
    fits: Fits | None = None,
) -> Slot:
    """Claim the lowest free slot that `fits`, which is asked while the slot is held.

    Raises `Unavailable` when all `highest` are taken or PostgreSQL is away.
    """
    try:
        connection = await asyncpg.connect(url, server_settings=_SETTINGS, timeout=10)
        try:
            number = await _lowest_free(connection, highest, fits)
            if number is not None:
                return Slot(connection, number, on_lost)
            await connection.close()
        except BaseException:
            connection.terminate()
            raise
    except CONNECTION_FAILED as e:
        raise Unavailable("PostgreSQL does not answer, so no worker slot can be claimed; try again") from e
    raise Unavailable(f"all {highest} worker slots are taken: stop a worker or raise the limit")


async def _lowest_free(connection: asyncpg.Connection, highest: int, fits: Fits | None) -> int | None:
    """The number of the slot that `connection` holds from now on; None when there is none."""
    for number in range(1, highest + 1):
        if await connection.fetchval("select pg_try_advisory_lock($1, $2)", SLOT_CLASS, number):
            if fits is None or await fits(connection, number):
                return number
            await connection.fetchval("select pg_advisory_unlock($1, $2)", SLOT_CLASS, number)
    return None
