"""What happened long ago, summed: each figure comes to the same, and is no longer answered for an instant before.

A few stock lines are condensed in one transaction, under their locks, which whoever changes a figure holds. A death in
between leaves the rest as it was. Full snapshots and comparisons of that time go when all lines are through.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "history_queries.sql")
LINES: Final = 50
"""So many stock lines in one transaction."""


async def begin(store: Store, tenant: str, since: datetime) -> None:
    """Answer nothing of before `since` any more, and condense it by and by; nothing where that is done or under way."""
    await store.execute(_sql.begin, tenant, since)


async def condense_next(store: Store, tenant: str, lines: int = LINES, steps: int = 1) -> bool:
    """Condense the next lines in one transaction; False when nothing is left, or another process is at it.

    With `steps` so many transactions, each up to a later instant: for a line of which too much happened for one.
    """
    for step in range(1, steps):
        await _condense(store, tenant, lines, step / steps)
    return await _condense(store, tenant, lines, None)


async def _condense(store: Store, tenant: str, lines: int, part: float | None) -> bool:
    async with store.transaction() as connection:
        turn = await connection.fetchrow(_sql.lock_turn, tenant)
        if turn is None:
            return False
        since, after = turn["since"], (turn["after_item"], turn["after_location"], turn["after_owner"])
        rows = await connection.fetch(_sql.lock_next_lines, tenant, *after, lines)
        if not rows:
            if part is None:
                for forget in (_sql.forget_cuts, _sql.forget_drift, _sql.forget_snapshots):
                    await connection.execute(forget, tenant, since)
                await connection.execute(_sql.end_turn, tenant)
            return False
        keys = [list(column) for column in zip(*rows, strict=True)]
        if part is not None:
            first = await connection.fetchval(_sql.first_of, tenant, since, *keys)
            if first is None:
                return True
            since = first + (since - first) * part
        for statement in (_sql.put_aside, _sql.put_figures_aside):
            await connection.execute(statement, tenant, since, *keys)
        await connection.fetchrow(_sql.condense, tenant, since, *keys)
        if part is None:
            await connection.execute(_sql.note_progress, tenant, *(column[-1] for column in keys))
    return True
