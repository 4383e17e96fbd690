"""Keeping the queue as the owners of troubles tell it. Run by one worker at a time; running twice changes nothing.

An owner commits a trouble in its own record, in its own transaction: nothing is lost between there and here, and
what begins or ends is seen at the next look. A decision holds the entry's row, and a look takes the rows before it asks
the owner, so neither sees half of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import TellsTroubles, Trouble
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from process_apis.exceptions import rules
from process_apis.exceptions.models import Entry
from process_apis.exceptions.options import ExceptionOptions
from process_apis.exceptions.records import entry_of, save, sql

PREFIX: Final = "xcp"
_MOST: Final = 5_000
_WATCH: Final = "worker"


class Sweep:
    """Looks at every owner in turn, each in a transaction of its own."""

    def __init__(self, store: Store, owners: Sequence[TellsTroubles], options: ExceptionOptions) -> None:
        self._store = store
        self._owners = owners
        self._patience = timedelta(seconds=options.retry_seconds)
        self._keep = options.keep_days

    async def look(self, tenant: str) -> int:
        """Bring the queue up to date; returns how many entries changed."""
        changed = 0
        for owner in self._owners:
            async with self._store.transaction() as connection:
                changed += await self._look_at(connection, tenant, owner)
        await self._store.execute(sql.forget, self._keep)
        return changed

    async def _look_at(self, connection: Connection, tenant: str, owner: TellsTroubles) -> int:
        active = [entry_of(row) for row in await connection.fetch(sql.lock_active, tenant, owner.kind)]
        told = await owner.troubles(connection, tenant, limit=_MOST)
        known = {entry.key: entry for entry in active}
        unknown = [trouble.key for trouble in told if trouble.key not in known]
        if unknown:
            rows = await connection.fetch(sql.lock_over, tenant, owner.kind, unknown)
            known |= {entry.key: entry for entry in map(entry_of, rows)}
        now = await connection.fetchval(sql.now)
        changed = 0
        for trouble in told:
            changed += await self._take(connection, tenant, owner.kind, known.get(trouble.key), trouble, now)
        if len(told) < _MOST:  # else those that are left out are not over
            still = {trouble.key for trouble in told}
            for entry in (each for each in active if each.key not in still):
                await save(connection, _next(rules.gone(entry, now)), "resolved", actor=entry.asked_by or _WATCH)
                changed += 1
        return changed

    async def _take(
        self, connection: Connection, tenant: str, kind: str, known: Entry | None, trouble: Trouble, now: datetime
    ) -> bool:
        if known is None:
            entry, step = rules.raised(new_id(PREFIX), tenant, kind, trouble), "raised"
        else:
            entry, again = rules.told_again(known, trouble, now, self._patience)
            if entry == known:
                return False
            if again is None:
                await save(connection, entry, None, actor=_WATCH)
                return True
            entry, step = _next(entry), again
        await save(connection, entry, step, actor=_WATCH, code=trouble.code, detail=trouble.detail)
        return True


def _next(entry: Entry) -> Entry:
    return replace(entry, version=entry.version + 1)
