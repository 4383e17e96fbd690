"""A distributor in one process: the record, real sandboxes, and everything of the product that a workflow passes.

The gateway's objects are those of `Core`. What a worker does now and then, `rest` does in turn until nothing is left
to do: turns that are due, polls, consumers, housekeeping. So the seams of a story come in the same order each time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import asyncpg
from msgspec import Struct

from gateway import app
from gateway.app import Core
from gateway.backbone.consumer import Runner
from gateway.canonical.capabilities import Call, ReadsItems, ReadsPurchases
from gateway.durable.calling import Calling
from gateway.kernel.errors import Conflict, CrossdockError
from gateway.settings import load_settings
from gateway.store.log_reader import LogReader
from gateway.store.postgres import Store
from gateway.systems.poller import Poller
from tests.workflows.seams import KilledError, watch_calls

_CHECKER = Path(__file__).parents[1] / "concurrency" / "checker.py"
SETTLE = 0.05
_ROUNDS = 400
_DUE = """
select s.workflow_uuid, s.name, i.inputs, s.delay_until_epoch_ms, extract(epoch from clock_timestamp()) * 1000 as now
from dbos.workflow_status s join dbos.workflow_input i using (workflow_uuid)
where status in ('ENQUEUED', 'DELAYED') order by coalesce(s.delay_until_epoch_ms, 0), s.created_at, s.workflow_uuid
limit 1
"""
_PAUSED = """
select extract(epoch from min(greatest(until, visits_until)) - clock_timestamp())::float8 as seconds
from pacing.pause p where greatest(until, visits_until) > clock_timestamp()
  and exists (select from pacing.place where system = p.system and called_at is null)
"""
_DONE = "update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = $1"


class Article(NamedTuple):
    """`code` is the warehouses'."""

    number: int
    item: str
    sku: str
    code: str


class RecordTail:
    """What a consumer reads on from: the record alone, without waiting."""

    def __init__(self, store, reader, subscription):
        self._store, self._reader, self._subscription = store, reader, subscription

    async def after(self, position, limit):
        async with self._store.connection() as connection:
            return await self._reader.read_after(
                connection, position, stream=self._subscription.stream, types=self._subscription.types, limit=limit
            )


class Site:
    """`seams` watches it; a process that dies there is followed by another one."""

    def __init__(self, settings, seams, sandboxes, *, first=0):
        """Its articles are numbered from `first`."""
        self._settings = load_settings(settings)
        self.seams = seams
        self.sandboxes = sandboxes
        self._articles = itertools.count(first)
        self._paces = {}
        self._aside = None
        self.deaths = 0
        self.core = None

    async def open(self):
        """A process that has read nothing yet."""
        self.core = core = Core(self._settings)
        core.windows.paces = core.visits.paces = self._paces
        watch_calls(core.outbound, self.seams)
        self._opened = core.opened()
        await self._opened.__aenter__()
        self._sessions = Store(core.store.url, size=4)
        await self._sessions.open()
        self._subscriptions, self._heard = self.core.subscriptions(), {}
        self._runs = {
            workflow.name: workflow.run
            for process in vars(core).values()
            if hasattr(process, "workflows")
            for workflow in process.workflows(self._sessions)
        }
        self._poller = Poller(
            core.store, core.directory, core.availability, core.clock, tenant=self._settings.tenant,
            snapshot_every=1e9, demand=core.availability, milestones=core.orders.milestones,
        )  # fmt: skip
        self._polled = [system.name for system in core.directory.systems if self._poller._polled(system.name)]

    async def close(self):
        """End in order."""
        await self._sessions.close()
        if self._aside is not None:
            await self._aside.close()
            self._aside = None
        await self._opened.__aexit__(None, None, None)

    async def reborn(self):
        """What died leaves its connections to PostgreSQL; its lease of a poll runs out."""
        self.deaths += 1
        for store in (self.core.store, self._sessions):
            if store._pool is not None:
                store._pool.terminate()
        with suppress(Exception):
            await self.close()
        self.seams.reborn()
        await self.open()
        await self.sql("update systems.poll set leased_until = '-infinity'")

    async def know_items(self):
        """Read the items of every system that has some."""
        for name, reader in self.core.directory.find(ReadsItems):
            await self.core.items.sync(self._call(), name, reader)
        known = await self.core.items.list_items(self._settings.tenant, after=None, limit=10_000)
        self._known = {item.sku: item.item for item in known}

    def article(self):
        """One that nobody has touched yet."""
        number = next(self._articles)
        return Article(number, self._known[f"SKU-{number:04d}"], f"SKU-{number:04d}", f"W-{number:06d}")

    def pace(self, **paces):
        """From now on these systems are paced so, and no others."""
        self._paces.clear()
        self._paces.update(paces)

    async def work(self, system, name, **body):
        """People in a warehouse."""
        await self.sandboxes[system].control(name, **body)

    async def cut_off(self, system):
        """The last that it told: epoch and sequence."""
        stock = await self.sandboxes[system].look("stock")
        return stock["epoch"], stock["sequence_cutoff"]

    async def sql(self, query, *args):
        """Rows, read past all seams."""
        return await (await self._beside()).fetch(query, *args)

    async def _beside(self):
        """A connection without seams."""
        if self._aside is None:
            self._aside = await asyncpg.connect(self.core.store.url)
        return self._aside

    async def tasks(self):
        """How many of each kind the record has, in whatever schema: ``schema.kind``."""
        schemas = await self.sql("select table_schema as name from information_schema.tables where table_name = 'task'")
        return Counter(
            {
                f"{schema['name']}.{row['kind']}": row["count"]
                for schema in schemas
                for row in await self.sql(f"select kind, count(*) from {schema['name']}.task group by kind")
            }
        )

    async def do(self, act):
        """What somebody asks of us, again where nothing came back; None where the answer then is that it is done."""
        again = False
        for _ in range(20):
            try:
                return await self._mortal(lambda: act(self.core))
            except KilledError:
                await self.reborn()
            except Conflict:
                if not again:
                    raise
                return None
            except CrossdockError as error:
                if error.code not in ("store.unavailable", "store.commit_unknown", "store.contended"):
                    raise
            again = True
        raise TimeoutError("asked twenty times")

    async def rest(self):
        """Until nothing is left to do and nothing is on its way."""
        for _ in range(_ROUNDS):
            try:
                moved = await self._mortal(self._round)
            except KilledError:
                await self.reborn()
                continue
            if not moved and not self.seams.held:
                return
            if not moved:
                await self.seams.let_arrive()
        raise TimeoutError(f"never came to rest: {await self._unrest()}")

    async def is_lawful(self):
        """What the checker of `tests/concurrency`, a script that imports nothing of ours, finds in the whole record."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_CHECKER), self.core.store.url, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        found = json.loads(output)["wrong"]
        assert not found, found

    async def _unrest(self):
        return [dict(row) for row in await self.sql(_DUE)]

    def _call(self):
        return Call(tenant=self._settings.tenant, correlation_id="site", deadline=self.core.clock.monotonic() + 60)

    async def _mortal(self, act):
        """`act`, unless this process dies of it."""
        doing, died = asyncio.ensure_future(act()), asyncio.ensure_future(self.seams.died.wait())
        await asyncio.wait({doing, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if self.seams.died.is_set():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
            raise KilledError
        return await doing

    async def _round(self):
        calling = Calling(self.core.store, self.core.visits)
        await self._tried(calling.tidy, counts=False)
        moved = await self._tried(self._turn)
        for name in self._polled:
            moved = await self._tried(lambda name=name: self._poller.poll(name)) or moved
        for name in self._settings.procurement.sources:
            moved = await self._tried(lambda name=name: self._read_purchases(name)) or moved
        for subscription in await self._behind():
            moved = await self._tried(lambda subscription=subscription: self._hear(subscription)) or moved
        if self._paces:
            moved = await self._tried(calling.look) or moved
            moved = await self._paused() or moved
        for sweep in (self.core.availability.expire, self.core.availability.shortages.relieve):
            await self._tried(sweep, counts=False)
        return moved

    async def _tried(self, act, *, counts=True):
        """Whether it did something, or failed and has to be tried again."""
        done = []
        with self.seams.part(done):
            try:
                done.append(bool(await act()))
            except CrossdockError:
                done.append(True)
        return counts and any(done)

    async def _read_purchases(self, name):
        reader = self.core.directory.instance(name, ReadsPurchases)
        return await self.core.procurement.read(self._call(), name, reader)

    async def _paused(self):
        """Whether somebody waits for a system that is left alone for a while: until then."""
        [pause] = await self.sql(_PAUSED)
        if pause["seconds"] is not None:
            await asyncio.sleep(pause["seconds"])
        return pause["seconds"] is not None

    async def _turn(self):
        """The next turn that is due, or will be."""
        rows = await self.sql(_DUE)
        if not rows:
            return False
        [row] = rows
        if row["delay_until_epoch_ms"]:
            await asyncio.sleep(max(0.0, (row["delay_until_epoch_ms"] - float(row["now"])) / 1000))
        try:
            await self._runs[row["name"]](*json.loads(row["inputs"])["positionalArgs"])
        except CrossdockError:
            return True  # as DBOS has it: begun again
        await self.sql(_DONE, row["workflow_uuid"])
        return True

    async def _behind(self):
        """Subscriptions with something to hear, or to try again."""
        [letters] = await self.sql("select count(*) from store.dead_letter where resolved_at is null")
        ends = {stream: await self._end(stream) for stream in {each.stream for each in self._subscriptions}}
        return [
            each for each in self._subscriptions if letters["count"] or self._heard.get(each.name) != ends[each.stream]
        ]

    async def _end(self, stream):
        return await LogReader().end(await self._beside(), stream=stream)

    async def _hear(self, subscription):
        end, reader = await self._end(subscription.stream), LogReader()
        tail = RecordTail(self.core.store, reader, subscription)
        runner = Runner(subscription, self.core.store, reader, tail, self.core.clock)
        await runner._load()
        heard = 0
        while (stretch := await tail.after(runner._cursor, subscription.batch)).events:
            await runner._deliver(stretch)
            heard += len(stretch.events)
        await runner._retry_due()
        self._heard[subscription.name] = end
        return heard


def hurried(monkeypatch):
    """Have every `Core` made from here on wait for hundredths of a second where an operator has seconds."""
    for name, options in list(vars(app).items()):
        paced = isinstance(options, type) and issubclass(options, Struct) and "pace" in options.__struct_fields__
        if paced:
            pace = type(options().pace)(first_retry=0.01, longest_retry=0.1, settle=SETTLE, alert_after=3)
            monkeypatch.setattr(app, name, partial(_hurried, options, pace))


def _hurried(options, pace, **given):
    return options(**{"pace": pace, **given})
