"""Holding a channel against what we know of it: a sample read back, and from time to time everything reckoned."""

from __future__ import annotations

from typing import Final

from gateway.canonical.capabilities import Call, ResolvesItems
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.channel_publication.disagreeing import Disagreements
from process_apis.channel_publication.figures import Reckoning, figure_of
from process_apis.channel_publication.models import Cause, Disagreement, Figure, PublishedChannel
from process_apis.channel_publication.rules import explained, fits

_sql: Final = queries_beside(__file__)
_SAMPLE: Final = 50
_PAGE: Final = 1_000


class Comparer:
    """Finds what differs and has it published; it sets nothing itself."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tenant: str,
        channel: PublishedChannel,
        *,
        items: ResolvesItems,
        reckoning: Reckoning,
        disagreements: Disagreements,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant
        self._channel = channel
        self._items = items
        self._reckoning = reckoning
        self._disagreements = disagreements
        self._key = (tenant, channel.name)

    async def sweep(self, rule_version: int) -> None:
        """Have everything reckoned: new items, changed rules, dates of effect, and whatever an event did not tell."""
        after: str | None = None
        while page := await self._items.list_items(self._tenant, after=after, limit=_PAGE):
            after = page[-1].item
            await self._store.execute(_sql.reckon_again, *self._key, [item.item for item in page if item.sellable])
        await self._store.execute(_sql.swept, *self._key, rule_version)

    async def read_back(self, call: Call) -> int:
        """Read back what was fed and has settled, then what was read longest ago; returns how many disagreed.

        The channel's orders must have been imported since the feed settled.
        """
        shows, settle = self._channel.shows, self._channel.options.settle
        rows = await self._store.fetch(
            _sql.to_read_back, *self._key, shows.figures_per_call, settle, min(_SAMPLE, shows.figures_per_call)
        )
        await self._store.execute(_sql.read_back, *self._key)
        if not rows:
            return 0
        figures = [figure_of(row) for row in rows]
        at = self._clock.now()
        found = {f.sku: f for f in await shows.read_figures(call, skus=[f.sku for f in figures])}
        sales = await self._reckoning.sales([f.item for f in figures])
        right: list[tuple[str, int, int]] = []
        wrong: list[tuple[Figure, int, int]] = []
        for figure in figures:
            seen = found.get(figure.sku)
            if seen is None:
                continue
            known, version = sales.get(figure.item, []), seen.version or 0
            if shows.compares:
                good = explained(figure.base or 0, figure.base_version or 0, version, known) == seen.quantity
            else:
                good = fits(figure.base or 0, known, seen.quantity)
            if good:
                right.append((figure.item, seen.quantity, version))
            else:
                wrong.append((figure, seen.quantity, version))
        if right:
            await self._store.execute(_sql.checked, *self._key, *map(list, zip(*right, strict=True)))
        gone = [figure for figure in figures if figure.sku not in found]
        for figure in gone:
            await self._disagreements.tell(
                Disagreement(item=figure.item, sku=figure.sku, cause=Cause.VANISHED, expected=figure.base)
            )
        if gone:
            await self._store.execute(_sql.saw_none, *self._key, [figure.item for figure in gone])
        await self._raise(wrong, at)
        again = [item for item, _, _ in right] if not shows.compares else []
        await self._store.execute(_sql.reckon_again, *self._key, [*again, *(figure.item for figure, _, _ in wrong)])
        return len(wrong) + len(gone)

    async def _raise(self, wrong: list[tuple[Figure, int, int]], at: object) -> None:
        """Where the vendor compares, a look that waits for its explanation; after a feed it is late enough to tell."""
        if not wrong:
            return
        columns = [[f.item for f, _, _ in wrong], [quantity for _, quantity, _ in wrong], [v for _, _, v in wrong]]
        if self._channel.shows.compares:
            await self._store.execute(_sql.saw, *self._key, *columns, at)
            return
        await self._store.execute(_sql.checked, *self._key, *columns)
        for figure, quantity, _ in wrong:
            await self._disagreements.tell(
                Disagreement(
                    item=figure.item,
                    sku=figure.sku,
                    cause=Cause.CHANGED_THERE,
                    expected=figure.base,
                    found=quantity,
                )
            )
