"""For which sources a caller may speak: what a warehouse saw is told by that warehouse, not by whoever may write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.kernel.context import Principal, Zone
from gateway.kernel.errors import NotAllowed

SCOPE: Final = "source:"
"""A credential's scopes ``source:NAME`` name the sources that it may speak for; ``source:*`` stands for all."""
_ALL: Final = f"{SCOPE}*"


def may_speak_for(principal: Principal, sources: Iterable[str]) -> None:
    """Raise `NotAllowed` (``stock.source_foreign``) for a source that this credential was not granted.

    Operators need no grant, nor does a client whose id is the source's own name.
    """
    if _ALL in principal.scopes or Zone.SYSTEM in principal.zones:
        return
    foreign = sorted({each for each in sources if each != principal.subject and SCOPE + each not in principal.scopes})
    if foreign:
        raise NotAllowed(
            f"this credential does not speak for {foreign[0]!r}: have it granted the scope {SCOPE}{foreign[0]}",
            code="stock.source_foreign",
        )
