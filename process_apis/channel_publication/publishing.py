"""Publishing one channel: reckon, look where it is not known what is shown, set what differs, note what became of it.

Everything that was sent is written down before it is sent, so whoever takes over after a crash looks before it writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway.canonical.capabilities import Call, ResolvesItems
from gateway.canonical.channel import Published, PublishedFigure, WantedFigure
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, OutcomeUnknown, Rejected
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.channel_publication.disagreeing import Disagreements
from process_apis.channel_publication.figures import Reckoning, figure_of
from process_apis.channel_publication.importing import Importer
from process_apis.channel_publication.models import (
    Cause,
    Disagreement,
    Figure,
    FigureState,
    PublishedChannel,
    Sale,
    Verdict,
)
from process_apis.channel_publication.rules import is_certain, judge, known_version, rank, shown_now, tier

_sql: Final = queries_beside(__file__)
_RECKONED: Final = 1_000
_LOOK_AT_LINE_S: Final = 0.2
_LOOK_AGAIN: Final = timedelta(milliseconds=500)
_REFUSED_AGAIN: Final = timedelta(seconds=60)
_RELIST: Final = timedelta(seconds=600)
_Sales = Mapping[str, Sequence[Sale]]


class Publisher:
    """Sets the figures of one channel. One runs at a time; a second one would do no harm, only work."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tenant: str,
        channel: PublishedChannel,
        *,
        items: ResolvesItems,
        importer: Importer,
        reckoning: Reckoning,
        disagreements: Disagreements,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant
        self._channel = channel
        self._items = items
        self._importer = importer
        self._reckoning = reckoning
        self._disagreements = disagreements
        self._key = (tenant, channel.name)
        self._in_line = True
        self._looked_at_line = float("-inf")

    async def reckon(self, call: Call) -> bool:
        """Give everything that changed its place, and forget what is shown as it should be; whether there was any.

        Where nothing waits in line and one call takes it all, what is certain needs no place: it is set at once.
        """
        rows = await self._store.fetch(_sql.to_reckon, *self._key, _RECKONED)
        if not rows:
            return False
        known = await self._items.by_id(self._tenant, [row["item"] for row in rows])
        kept = [row for row in rows if row["item"] in known and not self._left_alone(row)]
        await self._drop([(row["item"], row["revision"]) for row in rows if row not in kept])
        new = [row["item"] for row in kept if row["sku"] != known[row["item"]].sku]
        if new:
            await self._store.execute(_sql.know_figures, *self._key, new, [known[item].sku for item in new])
        fresh = set(new)
        figures = [
            Figure(item=row["item"], sku="", state=FigureState.UNSEEN, revision=row["revision"], since=row["since"])
            if row["item"] in fresh
            else figure_of(row)
            for row in kept
        ]
        items = [figure.item for figure in figures]
        at_once = not self._in_line and len(figures) <= self._channel.shows.figures_per_call
        if at_once:
            await self._importer.up_to(call)
        wanted, sales = await self._reckoning.wanted(items), await self._reckoning.sales(items)
        left = await self._unless_shown(figures, wanted, sales)
        if at_once:
            left = await self._set_at_once(call, left, {row["item"] for row in rows if row["waits"]}, wanted, sales)
        ranked = [
            (f.item, f.revision, tier(shown_now(f, sales.get(f.item, ())), wanted[f.item]), rank(f.since, f.sold))
            for f in left
            if f.since is not None and f.item in wanted
        ]
        if ranked:
            self._in_line = True
            await self._store.execute(_sql.rank_due, *self._key, *map(list, zip(*ranked, strict=True)))
        return True

    async def publish(self, call: Call) -> bool:
        """One call's worth of what is due, by its place, behind the channel's own orders; whether there was any."""
        now = self._clock.monotonic()
        if not self._in_line and now - self._looked_at_line < _LOOK_AT_LINE_S:
            return False
        self._looked_at_line = now
        settle = self._channel.options.settle
        rows = await self._store.fetch(_sql.take_due, *self._key, self._channel.shows.figures_per_call, settle)
        self._in_line = bool(rows)
        if not rows:
            return False
        figures = [figure_of(row) for row in rows]
        items = [figure.item for figure in figures]
        imported_at = await self._importer.up_to(call, [f.look.at for f in figures if f.look is not None])
        sales = await self._reckoning.sales(items)
        compares = self._channel.shows.compares
        unseen = [f for f in figures if f.look is None and not is_certain(f, sales.get(f.item, ()), compares=compares)]
        await self._look(call, unseen)
        await self._judge([f for f in figures if f.look is not None], sales, imported_at)
        certain = [f for f in figures if is_certain(f, sales.get(f.item, ()), compares=compares)]
        if certain:
            wanted = await self._reckoning.wanted([figure.item for figure in certain])
            differing = await self._unless_shown(certain, wanted, sales)
            await self._send(call, differing, wanted, sales)
        return True

    async def _set_at_once(
        self, call: Call, figures: Sequence[Figure], waiting: set[str], wanted: Mapping[str, int], sales: _Sales
    ) -> list[Figure]:
        """Set what is certain and not told to wait; returns the others."""
        compares = self._channel.shows.compares
        certain = [
            f
            for f in figures
            if f.item in wanted and f.item not in waiting and is_certain(f, sales.get(f.item, ()), compares=compares)
        ]
        await self._send(call, certain, wanted, sales)
        gone = {f.item for f in certain}
        return [f for f in figures if f.item not in gone]

    def _left_alone(self, row: Mapping[str, object]) -> bool:
        """What the channel did not sell a moment ago is not looked for again yet."""
        checked = row["checked_at"]
        if row["state"] != FigureState.UNLISTED or not isinstance(checked, datetime):
            return False
        return self._clock.now() - checked < _RELIST

    async def _unless_shown(self, figures: Sequence[Figure], wanted: Mapping[str, int], sales: _Sales) -> list[Figure]:
        compares = self._channel.shows.compares
        shown = [
            f
            for f in figures
            if f.item in wanted
            and is_certain(f, sales.get(f.item, ()), compares=compares)
            and shown_now(f, sales.get(f.item, ())) == wanted[f.item]
        ]
        await self._drop([(f.item, f.revision) for f in shown])
        if shown:
            await self._disagreements.resolve([f.item for f in shown])
        gone = {f.item for f in shown}
        return [f for f in figures if f.item not in gone]

    async def _look(self, call: Call, figures: Sequence[Figure]) -> None:
        """See what the channel shows. It is judged in the next round, when its orders were read after it."""
        if not figures:
            return
        at = self._clock.now()
        found = {f.sku: f for f in await self._channel.shows.read_figures(call, skus=[f.sku for f in figures])}
        seen = [(f.item, found[f.sku].quantity, found[f.sku].version or 0) for f in figures if f.sku in found]
        if seen:
            await self._store.execute(_sql.saw, *self._key, *map(list, zip(*seen, strict=True)), at)
        await self._vanished([f for f in figures if f.sku not in found])

    async def _vanished(self, figures: Sequence[Figure]) -> None:
        if not figures:
            return
        for figure in figures:
            if figure.state is FigureState.LISTED:
                await self._disagreements.tell(
                    Disagreement(item=figure.item, sku=figure.sku, cause=Cause.VANISHED, expected=figure.base)
                )
        await self._disagreements.still([f.item for f in figures if f.state is FigureState.UNLISTED])
        await self._store.execute(_sql.saw_none, *self._key, [figure.item for figure in figures])
        await self._drop([(figure.item, figure.revision) for figure in figures])

    async def _judge(self, figures: Sequence[Figure], sales: _Sales, imported_at: datetime) -> None:
        if not figures:
            return
        settle = self._channel.options.settle
        verdicts = {f.item: judge(f, sales.get(f.item, ()), imported_at=imported_at, settle=settle) for f in figures}
        for figure in figures:
            if verdicts[figure.item] is Verdict.DISAGREES and figure.look is not None:
                await self._disagreements.tell(
                    Disagreement(
                        item=figure.item,
                        sku=figure.sku,
                        cause=Cause.CHANGED_THERE,
                        expected=shown_now(figure, sales.get(figure.item, ())),
                        found=figure.look.quantity,
                    )
                )
        waiting = [f for f in figures if verdicts[f.item] is Verdict.WAIT]
        settled = [item for item, verdict in verdicts.items() if verdict is not Verdict.WAIT]
        if settled:
            await self._store.execute(_sql.settle_looks, *self._key, settled)
        new = [f.item for f in waiting if f.base_version is None]
        for items, pause in ((new, settle), ([f.item for f in waiting if f.item not in new], _LOOK_AGAIN)):
            if items:
                await self._store.execute(_sql.wait_due, *self._key, items, pause)

    async def _send(self, call: Call, figures: Sequence[Figure], wanted: Mapping[str, int], sales: _Sales) -> None:
        if not figures:
            return
        versions = {f.item: known_version(f, sales.get(f.item, ())) for f in figures}
        items = [f.item for f in figures]
        if self._channel.shows.compares:
            columns = (items, [wanted[item] for item in items], [versions[item] for item in items])
            await self._store.execute(_sql.mark_attempted, *self._key, *columns)
        new = [WantedFigure(sku=f.sku, quantity=wanted[f.item], version=versions[f.item]) for f in figures]
        at = self._clock.now()
        try:
            results = await self._channel.shows.publish_figures(call, figures=new)
        except OutcomeUnknown:
            raise  # what was attempted stands written: it is looked at when it has settled
        except Rejected as error:
            await self._store.execute(_sql.forget_attempted, *self._key, items)
            await self._refused(call, figures, wanted, sales, error)
            return
        except CrossdockError:
            await self._store.execute(_sql.forget_attempted, *self._key, items)
            raise
        await self._note(figures, wanted, versions, results, at)

    async def _refused(
        self,
        call: Call,
        figures: Sequence[Figure],
        wanted: Mapping[str, int],
        sales: _Sales,
        error: Rejected,
    ) -> None:
        """One figure that is refused must hold up no other: halve until it is alone."""
        if len(figures) > 1:
            middle = len(figures) // 2
            await self._send(call, figures[:middle], wanted, sales)
            await self._send(call, figures[middle:], wanted, sales)
            return
        [figure] = figures
        await self._disagreements.tell(
            Disagreement(item=figure.item, sku=figure.sku, cause=Cause.REFUSED, expected=wanted[figure.item]),
            why=error.detail,
        )
        await self._store.execute(_sql.wait_due, *self._key, [figure.item], _REFUSED_AGAIN)

    async def _note(
        self,
        figures: Sequence[Figure],
        wanted: Mapping[str, int],
        versions: Mapping[str, int | None],
        results: Sequence[PublishedFigure],
        at: datetime,
    ) -> None:
        by_sku = {result.sku: result for result in results}
        became = [(figure, by_sku[figure.sku]) for figure in figures]
        applied = [
            (f.item, wanted[f.item], versions[f.item] if result.version is None else result.version)
            for f, result in became
            if result.became in (Published.APPLIED, Published.TAKEN)
        ]
        if applied:
            fed = not self._channel.shows.compares
            await self._store.execute(_sql.mark_applied, *self._key, *map(list, zip(*applied, strict=True)), fed)
            gone = {item for item, _, _ in applied}
            await self._drop([(f.item, f.revision) for f in figures if f.item in gone])
            await self._store.execute(_sql.still_due, *self._key, sorted(gone))
            await self._disagreements.resolve(sorted(gone))
        changed = [(f.item, r.quantity, r.version) for f, r in became if r.became is Published.CHANGED]
        if changed:
            await self._store.execute(_sql.mark_changed, *self._key, *map(list, zip(*changed, strict=True)), at)
        await self._vanished([f for f, result in became if result.became is Published.UNKNOWN])

    async def _drop(self, due: Sequence[tuple[str, int]]) -> None:
        if due:
            await self._store.execute(_sql.drop_due, *self._key, [item for item, _ in due], [rev for _, rev in due])
