"""Statements that do not need each other's results, sent to PostgreSQL as one: a round trip and a plan for all of them.

They run as data-modifying parts of one `WITH` (postgresql.org/docs/current/queries-with.html): all see the same
snapshot, none sees what another did, and nothing says which runs first. So what goes in here reads nothing that
another part writes, and waits for no lock that is not held already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Alike, Event
from gateway.store import audit, log
from gateway.store.audit import AuditEntry

_PARAMETER: Final = re.compile(r"\$(\d+)")
_Part = tuple[str, str, int]


class Together:
    """What a transaction writes at its end, gathered from whoever takes part in it; implements `GathersWrites`."""

    def __init__(self) -> None:
        self._whole: dict[str, tuple[str, Sequence[Any]]] = {}
        self._rows: dict[str, tuple[str, list[Sequence[Any]]]] = {}
        self._events: list[Event] = []
        self._alike: list[Alike] = []
        self._audited: list[AuditEntry] = []

    def add(self, sql: str, *args: Any, returning: str = "") -> None:
        """One statement, at most once. `returning` names a column of its result that `run` is to answer with."""
        if sql in self._whole:
            raise ValueError("a statement is added once: give it arrays")
        self._whole[sql] = (returning, args)

    def row(self, sql: str, *values: Any, returning: str = "") -> None:
        """One row of a statement whose parameters are arrays; the rows of one statement run as one."""
        self._rows.setdefault(sql, (returning, []))[1].append(values)

    def tell(self, events: Sequence[Event]) -> None:
        """Events, appended to the log in the order in which they were told."""
        self._events.extend(events)

    def tell_alike(self, events: Alike) -> None:
        """Events that share rows of the log, behind all others."""
        self._alike.append(events)

    def record(self, entries: Sequence[AuditEntry]) -> None:
        """Entries of the audit trail."""
        self._audited.extend(entries)

    def take(self, other: Together) -> None:
        """Everything of `other`, which must have no statement in common with this."""
        for sql, (returning, args) in other._whole.items():
            self.add(sql, *args, returning=returning)
        for sql, (returning, rows) in other._rows.items():
            for values in rows:
                self.row(sql, *values, returning=returning)
        self.tell(other._events)
        self._alike.extend(other._alike)
        self.record(other._audited)

    async def run(self, connection: Connection) -> Mapping[str, Sequence[Any]]:
        """Run everything; by statement, the values of its `returning` column, in no order."""
        parts: list[_Part] = []
        args: list[Any] = []
        for sql, returning, given in self._statements():
            parts.append((sql, returning, len(given)))
            args.extend(given)
        if not parts:
            return {}
        found = await connection.fetchrow(_folded(tuple(parts)), *args)
        return {sql: found[number] for number, (sql, returning, _) in enumerate(parts) if returning}

    def _statements(self) -> list[tuple[str, str, Sequence[Any]]]:
        found = [(sql, returning, args) for sql, (returning, args) in self._whole.items()]
        found += [
            (sql, returning, [list(column) for column in zip(*rows, strict=True)])
            for sql, (returning, rows) in self._rows.items()
        ]
        if self._audited:
            found.append((audit.RECORD_MANY, "", audit.columns_of(self._audited)))
        if self._events or self._alike:
            found.append((log.APPEND, "", log.columns_of(self._events, self._alike)))
        return found


@lru_cache(maxsize=256)
def _folded(parts: tuple[_Part, ...]) -> str:
    """One statement of `parts`, its parameters numbered through. The text is kept, so that it is prepared once."""
    if len(parts) == 1 and not parts[0][1]:
        return parts[0][0]
    first, named = 0, []
    for number, (sql, _, count) in enumerate(parts):
        named.append(f"p{number} as (\n{_renumbered(sql.strip().rstrip(';'), first)}\n)")
        first += count
    answers = [f"array(select {wanted} from p{n})" if wanted else "null" for n, (_, wanted, _) in enumerate(parts)]
    return f"with {', '.join(named)}\nselect {', '.join(answers)}"


def _renumbered(sql: str, by: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", sql)
