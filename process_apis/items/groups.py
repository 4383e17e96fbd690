"""Which items are in which group, as a copy in this process that follows the record by the catalogue's version."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.item import GroupMembers
from gateway.kernel.clock import Clock
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_POLL_S: Final = 1.0


class ItemGroups:
    """Implements `ResolvesGroups`. Nothing is read for a tenant of whom nobody asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._copies: dict[str, _Copy] = {}

    async def members(self, tenant: str, connection: Connection) -> GroupMembers:
        """The items of each group, a second old at most; the same object as before while none came or went."""
        copy = self._copies.setdefault(tenant, _Copy())
        at = self._clock.monotonic()
        if at - copy.checked >= _POLL_S:
            await copy.compare(connection, tenant)
            copy.checked = at
        return copy.members


class _Copy:
    def __init__(self) -> None:
        self.checked = float("-inf")
        self.members = GroupMembers({})
        self._seen = -1
        self._groups: dict[str, str] = {}

    async def compare(self, connection: Connection, tenant: str) -> None:
        rows = await connection.fetch(_sql.groups_since, tenant, self._seen)
        moved = {row["item"]: row["item_group"] for row in rows}
        self._seen = max([self._seen, *(row["catalogue_version"] for row in rows)])
        if all(self._groups.get(item) == group for item, group in moved.items()):
            return
        self._groups.update({item: group for item, group in moved.items() if group is not None})
        for item in (item for item, group in moved.items() if group is None):
            self._groups.pop(item, None)
        members: dict[str, list[str]] = defaultdict(list)
        for item, group in self._groups.items():
            members[group].append(item)
        self.members = GroupMembers({group: tuple(items) for group, items in members.items()})
