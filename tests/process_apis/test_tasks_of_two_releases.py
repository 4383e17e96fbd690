"""Tasks that work in turns, two releases at work side by side: the later one has another word for a state of them."""

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.app import component_migrations
from gateway.durable.schema import migrate_durable
from gateway.durable.workers import ask_to_drain, list_shapes, list_workers
from system_apis.regional_wms.sandbox import WmsSandbox
from tests.conftest import WMS_SEED
from tests.process_apis.tasks_release import KINDS, SCHEMA, opened
from tests.process_apis.two_releases import ROOT, later_release, printed_by, ran, until, worker

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]
_SCRIPT = Path(__file__).with_name("tasks_release.py")
_OTHER_WORD = ("gateway/canonical/task.py", 'PENDING = "pending"', 'PENDING = "due"')
_MIGRATIONS = component_migrations()


async def _prepared(url):
    """As the migrations of the later release would leave the record: its word for a state may stand there."""
    await migrate_durable(url)
    connection = await asyncpg.connect(url)
    await connection.execute(SCHEMA)
    for schema in KINDS:
        await connection.execute(f"alter table {schema}.task drop constraint task_state_check")
    await connection.close()


@pytest.fixture(scope="module")
async def running_wms(tmp_path_factory):
    sandbox = WmsSandbox(tmp_path_factory.mktemp("wms"), seed=WMS_SEED)
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


class Site:
    """One kind of tasks: `made` is the older release in this process, `begin` begins a task in it."""

    def __init__(self, made, kind, url, wms, deaths):
        self.made = made
        self.store = made.world.store
        self.begin = made.begin
        self._kind, self._url, self._wms, self._deaths = kind, url, wms, deaths

    def _told(self, deaths):
        return json.dumps({
            "kind": self._kind, "url": self._url, "wms_url": self._wms.url, "wms": self._wms.settings(),
            "deaths": str(deaths),
        })  # fmt: skip

    def one_dies(self):
        """A worker of the older release dies once the other system has done what it was asked for."""
        (self._deaths / f"{self.made.seam}-after").touch()

    def worker(self, release):
        deaths = self._deaths if release == ROOT else release
        return worker(_SCRIPT, release, "work", self._told(deaths))

    async def begun_by(self, release, *names):
        return await printed_by(_SCRIPT, release, "begin", self._told(release), *names)

    async def stranded(self, subject):
        """A turn failed and left no other."""
        await self.store.execute("delete from dbos.workflow_status where workflow_uuid like $1 || ':%'", subject)
        await self.store.execute(
            f"update {self._kind}.task set due_at = now() - interval '1 hour' where subject = $1", subject
        )

    async def until_done(self, *subjects, state="done"):
        async def check():
            rows = await self.store.fetch(
                f"select subject, state, shape, error_detail from {self._kind}.task where subject = any($1)", subjects
            )
            return {row["state"] for row in rows} == {state} or [tuple(row) for row in rows]

        await until(check, f"not all are {state}")

    async def once_each(self, *subjects):
        assert [await self.made.times(subject) for subject in subjects] == [1] * len(subjects)


@pytest.fixture(params=sorted(KINDS))
async def site(request, records, running_wms, tmp_path):
    kind = request.param
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    async with (
        records.lent(_MIGRATIONS, _prepared) as url,
        opened(kind, url, running_wms.url, running_wms.settings()) as made,
    ):
        yield Site(made, kind, url, running_wms, deaths)


@asynccontextmanager
async def _two_older(site):
    async with site.worker(ROOT) as first, site.worker(ROOT) as second:
        yield first, second


async def test_each_release_finishes_its_own_tasks_and_the_older_one_drains(site, tmp_path):
    later = later_release(tmp_path / "later", succeeds=(), other_word=_OTHER_WORD)
    old = [await site.begin(f"OLD-{number}") for number in range(4)]
    await site.stranded(old[3])
    new = await site.begun_by(later, "NEW-1", "NEW-2")
    site.one_dies()
    async with site.worker(later) as (_, newer), _two_older(site) as both:
        await site.until_done(*old, *new)
        assert sorted(process.returncode or 0 for process, _ in both) == [-signal.SIGKILL, 0]
        survivor, slot = next(each for each in both if each[0].returncode is None)
        async with site.store.transaction() as connection:
            lines = {f"slot-{line.worker.slot}": line for line in await list_workers(connection)}
            assert {name: line.worker.shape for name, line in lines.items()} == {newer: "2", slot: "1"}
            await ask_to_drain(connection, lines[slot].worker.slot)
        for subject in old:
            await site.made.finish(subject)
        assert await asyncio.wait_for(survivor.wait(), 300) == 0
        async with site.store.transaction() as connection:
            assert not any(line.is_left for line in await list_shapes(connection))
    await site.once_each(*old, *new)
    for subject in new:
        assert await ran(site.store, subject) == ({newer}, {"2"})
    for subject in old:
        slots, shapes = await ran(site.store, subject)
        assert newer not in slots
        assert shapes == {"1"}


async def test_a_declared_successor_finishes_what_the_last_older_worker_left(site, tmp_path):
    later = later_release(tmp_path / "later", succeeds=("1",), other_word=_OTHER_WORD)
    site.one_dies()
    async with site.worker(later) as (_, newer), site.worker(ROOT) as (doomed, older):
        subject = await site.begin("OLD-1")
        assert await asyncio.wait_for(doomed.wait(), 300) == -signal.SIGKILL, "it went to the older one"
        await site.until_done(subject)
    assert (await ran(site.store, subject))[0] >= {newer}
    assert older != newer
    await site.once_each(subject)
    rows = await site.store.fetch(f"select shape from {site.made.process._tasks.workflow.split('.')[0]}.task")
    assert [row["shape"] for row in rows] == ["2"], "its turns are the successor's from now on"
