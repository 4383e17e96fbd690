"""For which sources a caller may speak: what a system knows is told by that system, not by whoever may write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.kernel.context import Principal, Zone

SCOPE: Final = "source:"
"""A credential's scopes ``source:NAME`` name the sources that it may speak for; ``source:*`` stands for all."""
_ALL: Final = f"{SCOPE}*"


def foreign_sources(principal: Principal, sources: Iterable[str]) -> list[str]:
    """Those of `sources` that this credential was not granted, in their order.

    Operators need no grant, nor does a client whose id is the source's own name.
    """
    if _ALL in principal.scopes or Zone.SYSTEM in principal.zones:
        return []
    return sorted({each for each in sources if each != principal.subject and SCOPE + each not in principal.scopes})
