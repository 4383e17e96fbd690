"""Who may state what a source knows of master data."""

from __future__ import annotations

from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAllowed
from gateway.kernel.sources import SCOPE, foreign_sources


def may_state(principal: Principal, source: str) -> None:
    """Raise `NotAllowed` (``reference.source_foreign``) for a source that this credential was not granted."""
    if foreign_sources(principal, [source]):
        raise NotAllowed(
            f"this credential does not speak for {source[:60]!r}: have it granted the scope {SCOPE}{source[:60]}",
            code="reference.source_foreign",
        )
