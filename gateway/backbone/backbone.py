"""The backbone of one process: relay, feeds and consumers under one roof."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence

from gateway.backbone.carrier import Carrier
from gateway.backbone.consumer import Runner, Subscription
from gateway.backbone.feed import Feed
from gateway.backbone.leases import Leases
from gateway.backbone.live import follow
from gateway.backbone.relay import Relay
from gateway.backbone.streams import Namespace
from gateway.backbone.tail import Tail
from gateway.canonical.events import Position, Recorded, Upcasts
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Misconfigured, Unavailable
from gateway.store.installation import check_installation
from gateway.store.log_reader import LogReader, Stretch
from gateway.store.postgres import Store


class Backbone:
    """Delivers the log to subscriptions and to live listeners. A dead NATS slows it down and never stops it.

    Several processes may run the same subscriptions: one of them runs each at a time, a survivor takes over.
    """

    def __init__(self, store: Store, nats_url: str, clock: Clock, *, upcasts: Upcasts | None = None) -> None:
        self._store = store
        self._clock = clock
        self._reader = LogReader(upcasts)
        self._carrier = Carrier(nats_url)
        self._leases = Leases(store.url)
        self._namespace: Namespace | None = None
        self._feeds: dict[str, Feed] = {}
        self._feed_tasks: list[asyncio.Task[None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._stop: asyncio.Event | None = None
        self._relaying: Relay | None = None

    @property
    def connected(self) -> bool:
        """Whether NATS is there now; without it events are delivered from the record, a little later."""
        return self._carrier.connected

    @property
    def runs(self) -> frozenset[str]:
        """What this process runs at present: ``relay`` and ``subscription/<name>``."""
        return self._leases.held

    @property
    def relayed(self) -> Mapping[str, Position]:
        """By stream, how far this process has published the log; empty while another one does."""
        return self._relaying.published if self._relaying is not None and "relay" in self.runs else {}

    async def run(self, subscriptions: Sequence[Subscription], stop: asyncio.Event, *, relay: bool = True) -> None:
        """Deliver until `stop` is set. `relay` False, without subscriptions, suffices for live listeners."""
        names = [subscription.name for subscription in subscriptions]
        if len(set(names)) != len(names):
            raise Misconfigured("two subscriptions have the same name")
        self._namespace = Namespace(await check_installation(self._store, None))
        self._stop = stop
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                running = [tasks.create_task(self._carrier.run())]
                if relay or subscriptions:
                    running.append(tasks.create_task(self._leases.run()))
                if relay:
                    streams = frozenset({"main", *(subscription.stream for subscription in subscriptions)})
                    running.append(tasks.create_task(self._relay(self._namespace, streams)))
                running += [tasks.create_task(self._consume(each)) for each in subscriptions]
                await stop.wait()
                for task in (*running, *self._feed_tasks):
                    task.cancel()
        finally:
            self._tasks = None
            self._feeds.clear()
            self._feed_tasks.clear()

    async def live(
        self, types: frozenset[str], *, after: Position | None = None, stream: str = "main"
    ) -> AsyncGenerator[Recorded, None]:
        """Events of `types` after a place, or from now on, until the backbone stops.

        The caller filters by tenant. Raises `Unavailable` when the backbone does not run or the record is down.
        """
        async with contextlib.aclosing(self.stretches(types, after=after, stream=stream)) as stretches:
            async for stretch in stretches:
                for recorded in stretch.events:
                    yield recorded

    async def stretches(
        self, types: frozenset[str], *, after: Position | None = None, stream: str = "main"
    ) -> AsyncGenerator[Stretch, None]:
        """As `live`, in stretches: for who has to know how far the log is read although nothing happened."""
        if self._tasks is None or self._stop is None:
            raise Unavailable("events cannot be followed now; try again", code="backbone.not_running")
        tail = Tail(self._store, self._reader, self._feed(stream), types)
        if after is None:
            async with self._store.connection() as connection:
                after = await self._reader.end(connection, stream=stream)
        async with contextlib.aclosing(follow(tail, after, self._stop)) as stretches:
            async for stretch in stretches:
                yield stretch

    async def _relay(self, namespace: Namespace, streams: frozenset[str]) -> None:
        relay = Relay(self._store, self._reader, self._carrier, namespace, self._clock, streams=streams)
        self._relaying = relay
        self._store.after_commit.append(relay.hint)
        try:
            await self._leases.while_held("relay", relay.run)
        finally:
            self._store.after_commit.remove(relay.hint)

    async def _consume(self, subscription: Subscription) -> None:
        tail = Tail(self._store, self._reader, self._feed(subscription.stream), subscription.types)
        runner = Runner(subscription, self._store, self._reader, tail, self._clock)
        await self._leases.while_held(f"subscription/{subscription.name}", runner.run)

    def _feed(self, stream: str) -> Feed:
        if stream not in self._feeds:
            assert self._tasks is not None  # noqa: S101 - callers run inside `run`
            assert self._namespace is not None  # noqa: S101
            feed = Feed(stream, self._carrier, self._namespace, self._clock)
            self._feeds[stream] = feed
            self._feed_tasks.append(self._tasks.create_task(feed.run()))
        return self._feeds[stream]
