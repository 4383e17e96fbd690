"""A sandbox's books in SQLite: they survive ``kill -9``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final


class Refusal(Exception):
    """An answer of the vendor's: a status, a code and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


_META: Final = "create table if not exists meta (key text primary key, value text not null);"


class SqliteBooks:
    """A file with the tables of `schema`, which makes those that are missing, and a few remembered values."""

    def __init__(self, path: Path, schema: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(_META + schema)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self._db.execute("begin immediate")
        try:
            yield self._db
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def rows(self, query: str, *args: Any) -> list[sqlite3.Row]:
        """Rows of one statement."""
        return self._db.execute(query, args).fetchall()

    def remembered(self, key: str, default: str) -> str:
        """A remembered value."""
        found = self.rows("select value from meta where key = ?", key)
        return str(found[0]["value"]) if found else default

    def remember(self, key: str, value: str) -> None:
        """Keep a value, in place of an earlier one."""
        self._db.execute("insert or replace into meta values (?, ?)", (key, value))
