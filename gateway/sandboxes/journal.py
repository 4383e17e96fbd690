"""Logs that outsiders may read: one JSON object per line, written before the answer leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Journal:
    """An append-only file of JSON lines, numbered through restarts. Memory holds nothing but the count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("a+b") as existing:
            existing.seek(0)
            self._count = sum(1 for _ in existing)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, **entry: Any) -> None:
        """Append one entry with its number and time."""
        self._count += 1
        entry = {"n": self._count, "at": datetime.now(UTC).isoformat(), **entry}
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def read(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Entries numbered above `after`."""
        entries: list[dict[str, Any]] = []
        with self._path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if number > after and len(entries) < limit:
                    entries.append(json.loads(line))
        return entries

    def close(self) -> None:
        """Close the file."""
        self._file.close()
