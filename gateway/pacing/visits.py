"""Who may work on a system now, and who waits for it in the record: first the most urgent, then the oldest.

A turn of a workflow that is about to call a paced system enters. It is called at once while there is room and nobody
comes before it; otherwise it has its place and ends, so that no worker is held by waiting. Whoever leaves makes room,
and a look every tenth of a second, by any worker, enqueues the turns of those who come next. Place, call and turn are
one transaction: a worker that dies loses none of them, and its visit goes on in the turn that is taken over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.pacing.options import ORDER, SystemPace, Work
from gateway.pacing.places import Backlog, Called, Visit, Waiting
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_MANY: Final = 100
_TWO: Final = 2
_REST_S: Final = (0.5, 5.0)


class Visits:
    """The places at all systems. `paces` may change at any time; `lost_after` seconds a silent visit is called anew."""

    def __init__(
        self, store: Store, paces: Mapping[str, SystemPace] | None = None, *, lost_after: float = 120.0
    ) -> None:
        self._store = store
        self._lost_after = lost_after
        self.paces: Mapping[str, SystemPace] = dict(paces or {})

    def holds(self, system: str) -> bool:
        """Whether work on `system` waits for its place."""
        return system in self.paces

    async def enter(self, connection: Connection, visit: Visit) -> bool:
        """Whether the subject may call the system now, in the caller's transaction; False: it has a place and waits."""
        pace = self.paces.get(visit.system)
        if pace is None:
            return True
        free: bool = await connection.fetchval(
            _sql.enter, visit.system, visit.subject, visit.work, list(pace.order), visit.since, pace.visits,
            visit.workflow, visit.queue, msgspec.json.encode(visit.args).decode(), visit.shape,
        )  # fmt: skip
        return free

    async def leave(self, connection: Connection, subject: str, *, but: str | None = None) -> None:
        """The subject is done with every system `but` one. No statement while nothing is paced."""
        if self.paces:
            await connection.execute(_sql.leave, subject, but)

    async def step_back(self, connection: Connection, system: str, subject: str, seconds: float) -> None:
        """The subject was called and had no room for its calls: it waits again, in the place that its age gives it.

        Nobody is called there for so long, half a second to five: more visits would only wait for each other.
        """
        least, most = _REST_S
        await connection.execute(_sql.step_back, system, subject, min(max(seconds, least), most))

    async def anybody(self) -> bool:
        """Whether somebody waits for a paced system, or was called and lost."""
        waits: bool = await self._store.fetchval(_sql.somebody_waits, list(self.paces), self._lost_after)
        return waits

    async def are_open(self, shape: str) -> bool:
        """Whether anybody has a place whose turn will be of this shape."""
        found: bool = await self._store.fetchval(_sql.shape_waits, shape)
        return found

    async def call_next(self, connection: Connection, system: str) -> Sequence[Called]:
        """Mark those as called whose turn it is; the caller enqueues their turns in the same transaction.

        None while another worker looks. At a system that is paced no more everybody is called, and has left.
        """
        if not await connection.fetchval(_sql.try_caller_lock, system):
            return ()
        pace = self.paces.get(system)
        if pace is None:
            rows = await connection.fetch(_sql.call_all, system)
        else:
            rows = await connection.fetch(
                _sql.call_next, system, list(pace.order), pace.visits, self._lost_after, _MANY
            )
        return [
            Called(
                workflow=row["workflow"],
                queue=row["queue"],
                workflow_id=f"{row['subject']}:visit:{row['at']}",
                args=msgspec.json.decode(row["args"], type=tuple[str | int, ...]),
                shape=row["shape"],
            )
            for row in rows
        ]

    async def left_over(self) -> Sequence[str]:
        """Systems that somebody waits for, whether they are paced or not."""
        return [row["system"] for row in await self._store.fetch(_sql.systems_waiting)]

    async def forget(self) -> None:
        """Delete what no figure looks at any more."""
        await self._store.execute(_sql.forget_visits)

    async def standing(self, subject: str) -> Waiting | None:
        """Where the subject waits; None where it does not."""
        row = await self._store.fetchrow(_sql.standing, subject, list(ORDER))
        pace = None if row is None else self.paces.get(row["system"])
        if pace is not None and pace.order != ORDER:
            row = await self._store.fetchrow(_sql.standing, subject, list(pace.order))
        if row is None:
            return None
        rate = drain_rate(row["ended"], row["seconds"])
        ahead: int = row["place"]
        return Waiting(
            system=row["system"],
            work=Work(row["work"]),
            place=ahead,
            expected_at=_expected(row["from_when"], ahead, rate),
            since=row["entered_at"],
        )

    async def backlogs(self) -> Sequence[Backlog]:
        """Every paced system, and every one that somebody waits for."""
        paces = dict(self.paces)
        windows = [pace.window_seconds for pace in paces.values()]
        rows = await self._store.fetch(_sql.backlog, list(paces), windows)
        return [_backlog(row, paces.get(row["system"])) for row in rows]


def _backlog(row: Any, pace: SystemPace | None) -> Backlog:
    rate = drain_rate(row["ended"], row["seconds"])
    by_work = msgspec.json.decode(row["by_work"], type=dict[Work, int])
    waiting: int = row["waiting"]
    return Backlog(
        system=row["system"],
        calls=0 if pace is None else pace.calls,
        window_seconds=0.0 if pace is None else pace.window_seconds,
        counted=row["counted"],
        visits=0 if pace is None else pace.visits,
        waiting=waiting,
        by_work={work: by_work[work] for work in (ORDER if pace is None else pace.order) if work in by_work},
        last_expected_at=_expected(row["from_when"], waiting, rate) if waiting else None,
        called=row["called"],
        oldest=row["oldest"],
        drain_per_second=rate,
        paused_until=row["paused_until"],
    )


def _expected(from_when: datetime, place: int, rate: float | None) -> datetime | None:
    """When `place` is reached, at `rate` visits a second from then on."""
    return None if rate is None else from_when + timedelta(seconds=place / rate)


def drain_rate(ended: int, seconds: float | None) -> float | None:
    """Visits a second, of `ended` since the first of them `seconds` ago; None for too few to tell."""
    if ended < _TWO or seconds is None or seconds <= 0:
        return None
    return ended / seconds
