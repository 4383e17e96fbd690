"""Channel publication as one object: what `gateway/app.py` makes, the worker runs, and operators read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.backbone.leases import Leases
from gateway.canonical.capabilities import (
    AnswersAvailability,
    Call,
    ClaimsStock,
    ResolvesItems,
    TakesChannelOrders,
    TellsProgress,
)
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotFound, Throttled, Unavailable
from gateway.kernel.ids import new_id
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from gateway.telemetry.counters import Family, Kind
from process_apis.channel_publication.comparing import Comparer
from process_apis.channel_publication.disagreeing import Disagreements
from process_apis.channel_publication.feeding import Feed, FeedFile, FeedOptions
from process_apis.channel_publication.figures import Reckoning
from process_apis.channel_publication.importing import Importer
from process_apis.channel_publication.models import ChannelRules, PublishedChannel
from process_apis.channel_publication.publishing import Publisher
from process_apis.channel_publication.telling import Teller

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger(__name__)
_CALL_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 0.25
_LOOK_ROUND_SECONDS: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_GAUGES: Final = (
    ("waiting", "crossdock_publication_waiting", "Figures that a channel is to be told."),
    ("lag_seconds", "crossdock_publication_lag_seconds", "The age of the oldest change a channel was not told of."),
    ("disagreements", "crossdock_publication_disagreements", "Figures that a channel shows otherwise, unexplained."),
    ("oversold", "crossdock_publication_oversold", "Units that a channel sold and stock could not give."),
)


class ChannelPublication:
    """Publishes every channel of `channels`, each by one worker at a time, and tells it of its orders' `progress`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        tenant: str,
        channels: Sequence[PublishedChannel],
        items: ResolvesItems,
        availability: AnswersAvailability,
        claims: ClaimsStock,
        rules: ChannelRules,
        feeds: Sequence[FeedOptions] = (),
        orders: TakesChannelOrders | None = None,
        progress: TellsProgress | None = None,
    ) -> None:
        self._store = store
        self._tenant = tenant
        self.channels = tuple(channels)
        self.feeds = {
            options.channel: Feed(store, clock, tenant, options, items=items, availability=availability)
            for options in feeds
        }
        self._lanes = [
            Lane(
                store,
                clock,
                tenant,
                channel,
                items=items,
                availability=availability,
                claims=claims,
                rules=rules,
                orders=orders,
                progress=progress,
            )
            for channel in channels
        ]

    @property
    def names(self) -> list[str]:
        """The channels, by name."""
        return [channel.name for channel in self.channels]

    @property
    def told(self) -> dict[str, str]:
        """The channels that are told how their orders go on, with the instance behind each."""
        return {channel.name: channel.system for channel in self.channels if channel.updates is not None}

    @property
    def shown_by(self) -> dict[str, str]:
        """The instance that shows each channel."""
        return {channel.name: channel.system for channel in self.channels}

    @property
    def followed(self) -> list[str]:
        """What changes are marked for: published channels and feeds."""
        return [*self.names, *(feed.options.key for feed in self.feeds.values())]

    def hint(self) -> None:
        """Something is due: look at once. What other workers mark, and what is due by time, is looked for anyway."""
        for lane in self._lanes:
            lane.news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`. Whoever holds a channel's lease works on it; a survivor takes it over at once."""
        if not self._lanes and not self.feeds:
            await stop.wait()
            return
        leases = Leases(self._store.url)
        tasks = [asyncio.create_task(leases.run())]
        tasks += [
            asyncio.create_task(leases.while_held(f"publication/{self._tenant}/{lane.name}", lane.run))
            for lane in self._lanes
        ]
        tasks += [
            asyncio.create_task(leases.while_held(f"publication/{self._tenant}/{feed.options.key}", _feeding(feed)))
            for feed in self.feeds.values()
        ]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def step(self, channel: str) -> bool:
        """One round of one channel, for whoever holds no lease because nobody else runs; whether there was work."""
        lane = next(lane for lane in self._lanes if lane.name == channel)
        await lane.open()
        return await lane.step()

    async def write_feed(self, channel: str, *, full: bool) -> FeedFile | None:
        """Write a channel's feed file now; None when nothing changed since the last."""
        if channel not in self.feeds:
            raise NotFound(
                f"the channel {channel[:60]!r} has no feed: give its [[channels]] entry one", code="feed.not_found"
            )
        return await self.feeds[channel].write(full=full)

    async def read_back(self, channel: str) -> int:
        """Read a sample of one channel back now; returns how many figures wanted explaining."""
        return await next(lane for lane in self._lanes if lane.name == channel).read_back()

    async def standing(self, tenant: str) -> list[dict[str, Any]]:
        """How far each channel is."""
        rows = {row["channel"]: dict(row) for row in await self._store.fetch(_sql.standing, tenant, self.names)}
        return [{**rows[c.name], "system": c.system} for c in self.channels if c.name in rows]

    async def figures(self, tenant: str, channel: str, *, after: str | None, limit: int) -> list[dict[str, Any]]:
        """What a channel shows, by item."""
        self._must_know(channel)
        return [dict(row) for row in await self._store.fetch(_sql.figures, tenant, channel, after, limit)]

    async def disagreements(
        self, tenant: str, channel: str | None, *, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """What channels showed otherwise, latest first."""
        return [dict(row) for row in await self._store.fetch(_sql.disagreements, tenant, channel, before, limit)]

    async def compare_all(self, tenant: str, channel: str, *, actor: str, correlation_id: str) -> None:
        """Have every figure of a channel reckoned again, and published where it differs."""
        self._must_know(channel)
        async with self._store.transaction() as connection:
            if await connection.fetchval(_sql.ask_sweep, tenant, channel) is None:
                raise _unknown(channel)
            await record_audit(
                connection,
                tenant=tenant,
                actor=actor,
                action="publication.compare",
                subject=f"channel/{channel}",
                outcome="done",
                correlation_id=correlation_id,
            )

    async def families(self) -> list[Family]:
        """Figures for Prometheus; none while the record is away."""
        try:
            rows = await self.standing(self._tenant)
        except Unavailable:
            return []
        return [
            Family(name, text, Kind.GAUGE, ("channel",), [((row["channel"],), float(row[key] or 0)) for row in rows])
            for key, name, text in _GAUGES
        ]

    def _must_know(self, channel: str) -> None:
        if channel not in self.names:
            raise _unknown(channel)


class Lane:
    """One channel at work."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tenant: str,
        channel: PublishedChannel,
        *,
        items: ResolvesItems,
        availability: AnswersAvailability,
        claims: ClaimsStock,
        rules: ChannelRules,
        orders: TakesChannelOrders | None = None,
        progress: TellsProgress | None = None,
    ) -> None:
        self.name = channel.name
        self._store = store
        self._clock = clock
        self._channel = channel
        self._rules = rules
        self._key = (tenant, channel.name)
        reckoning = Reckoning(store, tenant, channel, items=items, availability=availability)
        disagreements = Disagreements(store, clock, tenant, channel.name)
        self._importer = Importer(store, clock, tenant, channel, items=items, claims=claims, taker=orders)
        self._publisher = Publisher(
            store,
            clock,
            tenant,
            channel,
            items=items,
            importer=self._importer,
            reckoning=reckoning,
            disagreements=disagreements,
        )
        self._comparer = Comparer(
            store, clock, tenant, channel, items=items, reckoning=reckoning, disagreements=disagreements
        )
        self._teller = (
            None
            if channel.updates is None or progress is None
            else Teller(store, tenant, channel.name, updates=channel.updates, progress=progress)
        )
        self._rounds_at = float("-inf")
        self.news = asyncio.Event()

    async def open(self) -> None:
        """Make its row."""
        await self._store.execute(_sql.open_channel, *self._key)

    async def run(self) -> None:
        """Work until cancelled; a vendor that is down is asked again, at growing intervals."""
        failures = 0
        while True:
            try:
                await self.open()
                while True:
                    busy = await self.step()
                    failures = 0
                    if not busy:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self.news.wait(), _IDLE_SECONDS)
                        self.news.clear()
            except CrossdockError as error:
                failures += 1
                _log.warning("%s is not published: %s (%s)", self.name, error.detail, error.code)
                with contextlib.suppress(CrossdockError):
                    await self._store.execute(_sql.failed, *self._key, f"{error.code}: {error.detail}"[:500])
                await asyncio.sleep(_pause(error, failures))

    async def step(self) -> bool:
        """What is due by time, what changed, one call's worth of figures, and of one order; whether there was work."""
        await self._regular()
        reckoned = await self._publisher.reckon(self._call())
        published = await self._publisher.publish(self._call())
        told = self._teller is not None and await self._teller.tell(self._call())
        return reckoned or published or told

    async def read_back(self) -> int:
        """Import, then read a sample back."""
        await self._importer.import_orders(self._call())
        return await self._comparer.read_back(self._call())

    async def _regular(self) -> None:
        if self._clock.monotonic() - self._rounds_at < _LOOK_ROUND_SECONDS:
            return
        self._rounds_at = self._clock.monotonic()
        row = await self._store.fetchrow(_sql.channel, *self._key)
        if row is None:
            return
        options, now = self._channel.options, self._clock.now()
        rule_version = await self._rules(*self._key)
        swept = row["swept_at"]
        if (
            swept is None
            or (now - swept).total_seconds() > options.sweep_seconds
            or row["rule_version"] != rule_version
        ):
            await self._comparer.sweep(rule_version)
        if self._importer.age > options.import_seconds:
            await self._importer.import_orders(self._call())
        checked = row["read_back_at"]
        if checked is None or (now - checked).total_seconds() > options.read_back_seconds:
            await self.read_back()

    def _call(self) -> Call:
        tenant, _ = self._key
        deadline = self._clock.monotonic() + _CALL_SECONDS
        return Call(tenant=tenant, correlation_id=new_id("pub"), deadline=deadline)


def _feeding(feed: Feed) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        while True:
            try:
                await feed.write_due()
            except CrossdockError as error:
                _log.warning("no feed of %s: %s (%s)", feed.options.channel, error.detail, error.code)
            await asyncio.sleep(_LOOK_ROUND_SECONDS)

    return work


def _pause(error: CrossdockError, failures: int) -> float:
    wait = error.retry_after if isinstance(error, Throttled | Unavailable) else 0.0
    return min(_LONGEST_PAUSE, max(wait, 0.25 * 2.0 ** min(failures, 10)))


def _unknown(channel: str) -> NotFound:
    return NotFound(
        f"the channel {channel[:60]!r} is not published: name one whose [[channels]] entry has a publication",
        code="publication.channel_not_found",
    )
