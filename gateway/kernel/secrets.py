"""Secrets: where they come from, and never where they go.

A setting that holds a secret is written as ``env:NAME`` or ``file:/path``; a literal is refused. The value
shows as ``***`` in every repr, log line and traceback.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.kernel.errors import Misconfigured


class Secret:
    """A value that does not print. `reveal()` is the only way to it, and easy to search for."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


def resolve_secret(reference: str, *, setting: str) -> Secret:
    """The secret that `reference` (``env:NAME`` or ``file:PATH``) points at; `setting` names it in the error."""
    kind, _, where = reference.partition(":")
    if kind == "env":
        value = os.environ.get(where)
        if not value:
            raise Misconfigured(f"{setting} reads the environment variable {where}, which is not set: set it")
        return Secret(value)
    if kind == "file":
        try:
            return Secret(Path(where).read_text(encoding="utf-8").strip())
        except OSError as error:
            raise Misconfigured(f"{setting} reads {where}: {error.strerror}; create it with mode 0600") from error
    raise Misconfigured(f"{setting} must be written as env:NAME or file:/path, not as the secret itself")
