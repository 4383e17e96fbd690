"""Calls by caller and version: what every authenticated request adds to."""

from __future__ import annotations

from typing import Final

from gateway.kernel.exchange import Exchange

Key = tuple[str, str, str, str]
"""Tenant, client, API, version."""


class Counted:
    """Calls since they were last written."""

    __slots__ = ("calls", "partner")

    def __init__(self, calls: int, partner: str | None) -> None:
        self.calls = calls
        self.partner: Final = partner


class Tally:
    """At most `largest` callers and versions; `uncounted` are calls that there was no room for."""

    __slots__ = ("_cells", "_largest", "uncounted")

    def __init__(self, largest: int) -> None:
        self._cells: dict[Key, Counted] = {}
        self._largest = largest
        self.uncounted = 0

    def count(self, exchange: Exchange) -> None:
        """Count the call of an authenticated client to a version; anything else is nobody's."""
        principal, route = exchange.principal, exchange.route
        if principal is None or route is None or not route.version:
            return
        key = (principal.tenant, principal.subject, route.api, route.version)
        cell = self._cells.get(key)
        if cell is not None:
            cell.calls += 1
        else:
            self.add(key, Counted(1, principal.partner))

    def add(self, key: Key, cell: Counted) -> None:
        """Count the calls of `cell`."""
        known = self._cells.get(key)
        if known is not None:
            known.calls += cell.calls
        elif len(self._cells) < self._largest:
            self._cells[key] = cell
        else:
            self.uncounted += cell.calls

    def take(self) -> dict[Key, Counted]:
        """What was counted; it counts from nothing again."""
        cells, self._cells = self._cells, {}
        return cells
