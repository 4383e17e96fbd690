"""Tasks: one thing asked of one system for one subject, as a process keeps it in a table of its own schema.

The table is ``<schema>.task`` (`process_apis/stock_operations/migrations` has one); its row lock is the lock of the
whole subject.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.task import Task, TaskState
from gateway.durable.enqueue import enqueue, still_active
from gateway.durable.shapes import CURRENT
from gateway.kernel.context import Caller
from gateway.kernel.errors import (
    Conflict,
    NotFound,
)
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from gateway.store.together import Together

_encode: Final = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode


class Tasks:
    """The tasks of one process: rows of ``<schema>.task`` of some `kinds`, whose turns are `workflow`, in `queue`.

    `space` is the first half of the keys of the locks that turns hold: a number no other process has. Everything but
    `sweep` and `unlock` is part of the caller's transaction.
    """

    def __init__(self, schema: str, *, kinds: Sequence[str], workflow: str, queue: str, space: int) -> None:
        self.kinds = tuple(kinds)
        self.workflow = workflow
        self.queue = queue
        self._sql: Final[Mapping[str, str]] = {
            name: text.format(table=f"{schema}.task", space=int(space)) for name, text in _SQL.items()
        }

    async def lock(self, connection: Connection, subject: str, tenant: str | None = None) -> tuple[str, datetime]:
        """The subject's row lock until the transaction ends: its kind, and the record's time; raises `NotFound`."""
        row = await connection.fetchrow(self._sql["lock"], subject, tenant)
        if row is None:
            raise NotFound(
                f"there is nothing under {subject[:40]!r}: look it up in the list", code="operation.not_found"
            )
        return row["kind"], row["now"]

    async def begin(
        self,
        connection: Connection,
        caller: Caller,
        *,
        kind: str,
        prefix: str,
        action: str,
        content: msgspec.Struct,
        system: str | None,
        state: TaskState,
    ) -> tuple[str, bool]:
        """The id under which this action of this caller goes, and whether it is new.

        Raises `Conflict` (``operation.action_reused``) where the action was another command.
        """
        named = f"{caller.principal.subject}/{action}"
        digest = hashlib.blake2b(_encode([kind, content]), digest_size=16).digest()
        subject = new_id(prefix)
        made = await connection.fetchval(
            self._sql["insert"], subject, caller.tenant, kind, named, digest, system, state, CURRENT.name
        )
        if made is not None:
            return subject, True
        known = await connection.fetchrow(self._sql["of_action"], caller.tenant, named)
        if known["fingerprint"] != digest:
            raise Conflict(
                f"action {action} was something else before: give every command its own action id",
                code="operation.action_reused",
            )
        return known["subject"], False

    async def add(self, connection: Connection, task: Task, action: str) -> bool:
        """Write a new task that no caller asked for by an action of theirs; whether it is new."""
        made = await connection.fetchval(
            self._sql["insert"], task.subject, task.tenant, task.kind, action, b"", task.system, task.state,
            CURRENT.name,
        )  # fmt: skip
        return made is not None

    async def are_open(self, store: Store, shape: str) -> bool:
        """Whether any subject of a shape may have turns yet: one that waits or was refused has none now."""
        found: bool = await store.fetchval(self._sql["open_of"], shape)
        return found

    async def wake(self, connection: Connection, task: Task, now: datetime, delay: float = 0.0) -> Task:
        """Enqueue one more turn in this transaction, `delay` seconds from now; returns the task, to be saved."""
        turn = task.turn + 1
        shape = await self.save(connection, replace(task, turn=turn), now)
        await self._enqueue(connection, task.subject, turn, shape, delay)
        return replace(task, turn=turn)

    async def rouse(self, connection: Connection, subject: str) -> None:
        """Enqueue one more turn, now, of a task that is not read: it may be of a release that has other words."""
        row = await connection.fetchrow(self._sql["rouse"], subject)
        if row is not None:
            await self._enqueue(connection, subject, row["turn"], row["shape"])

    async def _enqueue(self, connection: Connection, subject: str, turn: int, shape: str, delay: float = 0.0) -> None:
        writes = Together()
        enqueue(
            writes,
            workflow=self.workflow,
            workflow_id=f"{subject}:{turn}",
            args=[subject, turn],
            queue=self.queue,
            delay=delay,
            shape=shape,
        )
        await writes.run(connection)

    async def take_over(self, connection: Connection, subject: str) -> None:
        """A turn of this release works on the subject: the next ones are of its shape, whatever it was before."""
        await connection.execute(self._sql["take_over"], subject, CURRENT.name)

    async def save(self, connection: Connection, task: Task, due_at: datetime | None) -> str:
        """Write a task of a locked subject; `due_at` is when its next turn is to have begun, None: none is to come.

        Returns the shape of its turns.
        """
        shape: str = await connection.fetchval(
            self._sql["save"], task.subject, task.state, task.look, task.attempts, task.not_before, task.number,
            task.error_code, task.error_detail, task.turn, due_at,
        )  # fmt: skip
        return shape

    async def try_lock(self, connection: Connection, subject: str) -> bool:
        """Take the lock of the session that one turn of a subject holds."""
        taken: bool = await connection.fetchval(self._sql["try_lock"], subject)
        return taken

    async def unlock(self, connection: Connection, subject: str) -> None:
        """Give that lock back."""
        await connection.execute(self._sql["unlock"], subject)

    async def stranded(self, connection: Connection, overdue_after: float, limit: int) -> Sequence[str]:
        """Subjects that are due for longer than `overdue_after` seconds, and whose last turn has ended."""
        rows = await connection.fetch(self._sql["overdue"], overdue_after, limit)
        if not rows:
            return ()
        turns = {row["subject"]: f"{row['subject']}:{row['turn']}" for row in rows}
        active = await still_active(connection, list(turns.values()))
        return sorted(subject for subject, turn in turns.items() if turn not in active)


_SQL: Final = {
    "insert": """
insert into {table} (subject, tenant, kind, action, fingerprint, system, state, shape)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (tenant, action) do nothing
returning subject""",
    "of_action": "select subject, fingerprint from {table} where tenant = $1 and action = $2",
    "lock": """
select clock_timestamp() as now, kind from {table}
where subject = $1 and ($2::text is null or tenant = $2) for update""",
    "save": """
update {table} set
    state = $2, look = $3, attempts = $4, not_before = $5, number = $6, error_code = $7, error_detail = $8, turn = $9,
    due_at = $10
where subject = $1
returning shape""",
    "rouse": """
update {table} set turn = turn + 1, due_at = clock_timestamp()
where subject = $1
returning turn, shape""",
    "take_over": "update {table} set shape = $2 where subject = $1 and shape <> $2",
    "overdue": """
select subject, turn from {table}
where due_at < clock_timestamp() - make_interval(secs => $1)
order by due_at limit $2""",
    "open_of": "select exists (select from {table} where shape = $1 and state not in ('done', 'absent'))",
    "try_lock": "select pg_try_advisory_lock(hashtextextended($1, {space}))",
    "unlock": "select pg_advisory_unlock(hashtextextended($1, {space}))",
}
