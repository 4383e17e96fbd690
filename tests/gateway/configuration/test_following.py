import asyncio

import asyncpg
import pytest

from gateway.configuration.applying import await_acknowledged
from gateway.configuration.snapshots import newest, read
from gateway.configuration.tree import Configuration
from gateway.configuration.workers import LIVES_SECONDS, living
from gateway.kernel.errors import Conflict, NotFound, Unavailable
from gateway.store.postgres import Store

from .conftest import CLOCK, OWN_PID, Process, apply, configuration, put_by_hand

pytestmark = pytest.mark.integration
SECONDS = 30


async def eventually(condition):
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110  # what it asks is in another task or process
            await asyncio.sleep(0.02)


async def workers(store):
    async with store.connection() as connection:
        return await living(connection)


async def everybody(store, version):
    return await await_acknowledged(store, CLOCK, version, seconds=SECONDS, progress=lambda _: None)


async def test_versions_rise_by_one_and_keep_their_content(store):
    assert await apply(store, configuration("1/second"), replaces=0) == 1
    assert await apply(store, configuration("2/second"), replaces=1) == 2
    async with store.connection() as connection:
        assert [each.version for each in await newest(connection, 10)] == [2, 1]
        first = await read(connection, 1)
        assert first.configuration == configuration("1/second")
        assert first.actor == "ada"
        with pytest.raises(NotFound):
            await read(connection, 3)
    audited = await store.fetch("select action, subject from store.audit order by id")
    assert [tuple(row) for row in audited] == [("configuration.applied", f"configuration/{n}") for n in (1, 2)]


async def test_of_two_who_replace_the_same_version_one_is_refused(store):
    await apply(store, configuration("1/second"), replaces=0)
    tried = [apply(store, configuration(f"{n}/second"), replaces=1) for n in range(2, 6)]
    ended = await asyncio.gather(*tried, return_exceptions=True)
    assert [each for each in ended if each == 2] == [2]
    assert sum(isinstance(each, Conflict) for each in ended) == 3
    assert await store.fetchval("select count(*) from configuration.snapshot") == 2


async def test_every_process_takes_every_version_and_says_so(store):
    processes = [Process(store), Process(store, role="worker")]
    async with processes[0].follower.following(), processes[1].follower.following():
        assert processes[0].follower.held.version == 0
        for version in range(1, 6):
            await apply(store, configuration(f"{version}/second"), replaces=version - 1)
            state = await everybody(store, version)
            assert state.everybody
            assert {(each.role, each.pid, each.version) for each in state.holding} == {
                ("gateway", OWN_PID, version),
                ("worker", OWN_PID, version),
            }
        assert processes[0].taken == [configuration(f"{version}/second") for version in range(1, 6)]
    assert await workers(store) == []


async def test_a_version_that_cannot_be_built_is_refused_reported_and_the_last_good_one_stays(store):
    bad = configuration("2/second")
    able, unable = Process(store), Process(store, refuses=[bad])
    async with able.follower.following(), unable.follower.following():
        await apply(store, configuration("1/second"), replaces=0)
        await everybody(store, 1)
        await apply(store, bad, replaces=1)
        state = await everybody(store, 2)
        assert [each.version for each in state.holding] == [2]
        assert [(each.version, each.refused_version, each.refusal) for each in state.refused] == [
            (1, 2, "ValueError('not here')")
        ]
        assert not state.everybody
        assert unable.taken == [configuration("1/second")]
        await unable.follower.require()
        await apply(store, configuration("3/second"), replaces=2)
        assert (await everybody(store, 3)).everybody
        assert unable.follower.held.refusal is None


async def test_who_starts_on_a_version_it_cannot_build_holds_the_newest_that_it_can(store):
    await apply(store, configuration("1/second"), replaces=0)
    await apply(store, configuration("2/second"), replaces=1)
    await put_by_hand(store, 3, '{"rate_limit": {"from_the_future": true}}')
    late = Process(store, refuses=[configuration("2/second")])
    async with late.follower.following():
        held = late.follower.held
        assert (held.version, held.refused) == (1, 3)
        assert "does not understand" in held.refusal
        assert late.taken == [configuration("1/second")]


async def test_a_process_that_died_is_waited_for_no_longer_than_it_counts_as_living(store):
    held = Process(store, every=3600)  # it took its first version and was never heard of again
    async with held.follower.following():
        await apply(store, configuration("1/second"), replaces=0)
        told = []
        short = await await_acknowledged(store, CLOCK, 1, seconds=0.5, progress=told.append)
        assert [each.called for each in short.missing] == [(await workers(store))[0].called]
        assert "waiting for gateway" in told[0]
        await store.execute(
            "update configuration.worker set seen_at = seen_at - make_interval(secs => $1)", LIVES_SECONDS
        )
        state = await everybody(store, 1)
        assert (state.holding, state.missing) == ((), ())


async def test_the_last_good_version_outlives_an_outage_of_the_record(engines, store):
    await apply(store, configuration("1/second"), replaces=0)
    process = Process(store)
    async with process.follower.following():
        await engines.kill("postgres")
        with pytest.raises(Unavailable):
            await process.follower.follow()
        assert process.follower.held.version == 1
        assert process.taken == [configuration("1/second")]
        await engines.restart("postgres")
        fresh = Store(store.url, size=1)
        await fresh.open()
        await apply(fresh, configuration("2/second"), replaces=1)
        assert (await everybody(fresh, 2)).everybody
        await fresh.close()


async def test_a_record_restored_to_before_the_first_version_brings_back_what_the_settings_say(store):
    process = Process(store)
    async with process.follower.following():
        await apply(store, configuration("1/second"), replaces=0)
        await everybody(store, 1)
        await store.execute("truncate configuration.snapshot")

        async def back():
            return process.follower.held.version == 0

        await eventually(back)
        assert process.taken[-1] == Configuration()


async def test_without_its_tables_a_process_starts_and_is_not_ready_until_they_are_there(database):
    from gateway.store.migrations import migrate  # noqa: PLC0415

    from .conftest import MIGRATIONS  # noqa: PLC0415

    bare = Store(database, size=1)
    process = Process(bare)
    async with process.follower.following():
        with pytest.raises(Unavailable) as told:
            await process.follower.require()
        assert told.value.code == "configuration.missing"
        await migrate(database, MIGRATIONS)

        async def settled():
            try:
                await process.follower.require()
            except Unavailable:
                return False
            return True

        await eventually(settled)


async def test_the_heartbeat_is_not_written_ahead(record_url, store):
    async with Process(store).follower.following():
        connection = await asyncpg.connect(record_url)
        kept = await connection.fetchval(
            "select relpersistence::text from pg_class where oid = 'configuration.worker'::regclass"
        )
        await connection.close()
    assert kept == "u"
