"""This process's copy of items, so that the hot path asks the record for nothing it has seen.

The copy of a tenant is compared with the record's catalogue version at most once a second; what changed since is
dropped from it. While the record is away the copy is trusted for `_TRUST_S` and no longer.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.canonical.item import Item
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.items.models import item_of_row

_sql: Final = queries_beside(__file__)
_POLL_S: Final = 1.0
_TRUST_S: Final = 30.0
_LIMIT: Final = 200_000
_CHANGES: Final = 5_000


class KnownItems:
    """One tenant's copy. `items` is by id; `skus` and `codes`, those of each source, lead to ids.

    `dropped` counts how often anything was let go of: whoever looks something up in several steps, and finds that it
    went up meanwhile, looks again, or takes what was dropped for something that does not exist.
    """

    def __init__(self, store: Store, tenant: str, clock: Clock) -> None:
        self.items: dict[str, Item] = {}
        self.skus: dict[str, str] = {}
        self.codes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.dropped = 0
        self._store = store
        self._tenant = tenant
        self._clock = clock
        self._version = -1
        self._checked = float("-inf")
        self._checking = asyncio.Lock()
        self._forgotten = 0

    @property
    def fresh(self) -> bool:
        """Whether the last comparison is recent enough to go without another."""
        return self._clock.monotonic() - self._checked < _POLL_S

    async def compare(self) -> None:
        """Drop what changed in the record; one comparison at a time serves everybody who waits."""
        async with self._checking:
            if self.fresh:
                return
            now, forgotten = self._clock.monotonic(), self._forgotten
            try:
                version = await self._store.fetchval(_sql.catalogue_version, self._tenant) or 0
                if version != self._version:
                    await self._drop_changed(version)
            except Unavailable:
                if now - self._checked > _TRUST_S:
                    raise
                return
            if forgotten == self._forgotten:  # else this look may have come before the change
                self._checked = now

    def forget_freshness(self) -> None:
        """Compare before the next answer: something changed."""
        self._forgotten += 1
        self._checked = min(self._checked, self._clock.monotonic() - _POLL_S)

    def by_source(self, source: str, codes: Iterable[str]) -> dict[str, Item]:
        """The items of those codes of `source` that are known here."""
        ids, items = self.codes[source], self.items
        return {code: items[ids[code]] for code in codes if code in ids and ids[code] in items}

    async def load(self, items: Sequence[str]) -> None:
        """Read those items that are missing here."""
        missing = [item for item in items if item not in self.items]
        while missing:
            version = self._version
            rows = await self._store.fetch(_sql.items_by_id, self._tenant, missing)
            if version == self._version:  # else a comparison ran meanwhile, and these rows may be older than it
                self._keep(rows)
                return

    async def load_skus(self, skus: Sequence[str]) -> None:
        """Read the items of those SKUs."""
        while True:
            version = self._version
            rows = await self._store.fetch(_sql.whole_items_by_sku, self._tenant, skus)
            if version == self._version:  # as in `load`
                self._keep(rows)
                return

    async def load_codes(self, source: str, codes: Sequence[str]) -> None:
        """Read which items those codes of `source` mean, and those items."""
        if unknown := sorted(set(codes) - self.codes[source].keys()):
            await self._load_codes(source, unknown)
        ids = self.codes[source]
        await self.load([ids[code] for code in codes if code in ids])

    async def _load_codes(self, source: str, codes: Sequence[str]) -> None:
        while True:
            version = self._version
            rows = await self._store.fetch(_sql.items_by_source, self._tenant, source, codes)
            if version == self._version:
                self.codes[source].update({row["code"]: row["item"] for row in rows})
                return

    def _keep(self, rows: Sequence[Any]) -> None:
        if self.items and (len(self.items) + len(rows) > _LIMIT or sum(map(len, self.codes.values())) > 2 * _LIMIT):
            self._clear()
        for item in map(item_of_row, rows):
            self.items[item.item] = item
            self.skus[item.sku] = item.item

    async def _drop_changed(self, version: int) -> None:
        changed: Sequence[str] = ()
        if self._version >= 0 and self.items:
            rows = await self._store.fetch(_sql.changed_since, self._tenant, self._version, _CHANGES)
            changed = [row["item"] for row in rows]
        if len(changed) >= _CHANGES:
            self._clear()
        for item in changed:
            if (known := self.items.pop(item, None)) is not None:
                self.skus.pop(known.sku, None)
        if changed:
            self.dropped += 1
            dropped = set(changed)
            for source, codes in self.codes.items():
                self.codes[source] = {code: item for code, item in codes.items() if item not in dropped}
        self._version = version

    def _clear(self) -> None:
        self.dropped += 1
        self.items.clear()
        self.skus.clear()
        self.codes.clear()
