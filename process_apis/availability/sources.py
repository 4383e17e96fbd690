"""For which sources a caller may speak: what a warehouse saw is told by that warehouse, not by whoever may write."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.canonical.stock import OWN_SOURCE
from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAllowed
from gateway.kernel.sources import SCOPE, foreign_sources


def may_speak_for(principal: Principal, sources: Iterable[str]) -> None:
    """Raise `NotAllowed` (``stock.source_foreign``) for a source that this credential was not granted, or for us."""
    sources = list(sources)
    if OWN_SOURCE in sources:
        raise NotAllowed(
            f"{OWN_SOURCE!r} is what we record ourselves: name the system that saw it, or use the operation of "
            "/process/stock-operations that makes it happen",
            code="stock.source_foreign",
        )
    if foreign := foreign_sources(principal, sources):
        raise NotAllowed(
            f"this credential does not speak for {foreign[0]!r}: have it granted the scope {SCOPE}{foreign[0]}",
            code="stock.source_foreign",
        )
