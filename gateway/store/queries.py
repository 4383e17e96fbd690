"""SQL by name: a `queries.sql` holds statements, each under a line ``-- name: lock_lines``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gateway.kernel.errors import Misconfigured

_HEADER: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)


class Queries:
    """The statements of one file, as attributes: ``sql.lock_lines``."""

    def __init__(self, path: Path) -> None:
        parts = _HEADER.split(path.read_text(encoding="utf-8"))
        self._path = path
        self._statements = {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}
        if len(self._statements) != len(parts) // 2:
            raise Misconfigured(f"{path} names a query twice")

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self._path} has no query named {name}") from None


def queries_beside(module_file: str, name: str = "queries.sql") -> Queries:
    """The `queries.sql` beside a module, or another file of statements: ``sql = queries_beside(__file__)``."""
    return Queries(Path(module_file).with_name(name))
