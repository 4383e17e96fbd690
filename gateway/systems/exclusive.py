"""One submission per order at a time, on all workers: the per-order lock of `semantics.md` 4.

The key is that of order_to_ship's workflows, so that a person at the system API and a workflow exclude each other.
The lock lives on a connection of its own: pooled ones hold no session state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg

from gateway.kernel.errors import Conflict, Unavailable
from gateway.store.postgres import CONNECTION_FAILED, Store
from gateway.store.queries import queries_beside

_sql = queries_beside(__file__)

Exclusive = Callable[[str], AbstractAsyncContextManager[None]]


def order_locks(store: Store) -> Exclusive:
    """``async with order_locks(store)(reference)``: raises `Conflict` (code ``order.busy``) when it is taken."""

    @asynccontextmanager
    async def hold(reference: str) -> AsyncIterator[None]:
        try:
            connection = await asyncpg.connect(store.url, timeout=5)
        except CONNECTION_FAILED as error:
            raise _unreachable() from error
        try:
            if not await _locked(connection, reference):
                raise Conflict(f"{reference} is being worked on: try again in a moment", code="order.busy")
            yield
        finally:
            await _close(connection)

    return hold


async def _locked(connection: asyncpg.Connection, reference: str) -> bool:
    try:
        return bool(await connection.fetchval(_sql.lock_order, reference))
    except CONNECTION_FAILED as error:
        raise _unreachable() from error


def _unreachable() -> Unavailable:
    return Unavailable("the record cannot be reached; try again", code="store.unavailable")


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=2)
    except CONNECTION_FAILED:
        connection.terminate()
