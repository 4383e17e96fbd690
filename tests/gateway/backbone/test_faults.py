"""Every consumer sees every event exactly once, in order, whatever dies in the middle (`faults.md`)."""

import asyncio
import contextlib
import random
import signal
import sys
from pathlib import Path

import pytest

from gateway.store.log import append

from .conftest import carried, keeper, order, running, until, until_seen, write

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
WORKER = """
import asyncio, sys
from gateway.backbone.backbone import Backbone
from gateway.backbone.consumer import Subscription
from gateway.kernel.clock import SystemClock
from gateway.store.postgres import Store

async def handle(connection, recorded):
    await connection.execute(
        "insert into seen (consumer, event_id, aggregate, version) values ('c', $1, $2, 1)",
        recorded.position.event, recorded.event.aggregate)
    print("handled", flush=True)
    await asyncio.sleep(0.01)

async def main():
    store = Store(sys.argv[1], size=4)
    await store.open()
    subscription = Subscription(name="c", types=frozenset({"order.accepted"}), handler=handle, batch=5)
    await Backbone(store, sys.argv[2], SystemClock()).run([subscription], asyncio.Event())

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def worker(database, nats_url):
    """A process of its own that runs consumer `c`; killed at the end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, database, nats_url, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process._transport.close()
        await process.wait()


async def handled(process, times):
    async with asyncio.timeout(60):
        for _ in range(times):
            await process.stdout.readline()


async def trickle(store, count, pause=0.005):
    """Write `count` orders in as many transactions, and tell their names."""
    for number in range(count):
        await write(store, order(f"o{number}"))
        await asyncio.sleep(pause)
    return [f"o{number}" for number in range(count)]


async def test_nats_killed_in_mid_stream_and_started_again(store, nats_url, engines):
    async with running(store, nats_url, keeper("c"), keeper("d")) as backbone:
        writing = asyncio.create_task(trickle(store, 200))
        await until(lambda: store.fetchval("select count(*) > 20 from seen where consumer = 'c'"))
        await engines.kill("nats")
        await until(lambda: store.fetchval("select count(*) > 80 from seen where consumer = 'c'"))
        await engines.restart("nats")
        expected = await writing
        await until_seen(store, expected, "c")
        await until_seen(store, expected, "d")
        await until(lambda: asyncio.sleep(0, backbone.connected))
        await write(store, order("last"))
        await until_seen(store, [*expected, "last"], "c")


async def test_jetstream_wiped_in_mid_stream(store, nats_url, engines):
    async with running(store, nats_url, keeper("c")) as backbone:
        writing = asyncio.create_task(trickle(store, 200))
        await until(lambda: store.fetchval("select count(*) > 20 from seen"))
        await engines.wipe("nats")
        expected = await writing
        await until_seen(store, expected)
        await carried(backbone)
        await write(store, order("last"))
        await until_seen(store, [*expected, "last"])


async def test_the_stream_deleted_under_a_running_server(store, nats_url):
    async with running(store, nats_url, keeper("c")) as backbone:
        await carried(backbone)
        await write(store, order("first"))
        line = await backbone._carrier.line()
        await line.jetstream.delete_stream(backbone._namespace.stream("main"))
        expected = ["first", *await trickle(store, 50)]
        await until_seen(store, expected)


async def test_a_consumer_killed_between_its_handler_and_the_commit_loses_and_doubles_nothing(
    store, record_url, nats_url
):
    expected = await trickle(store, 60, 0)
    for _ in range(3):
        async with worker(record_url, nats_url) as process:
            await handled(process, 4)
            process.send_signal(signal.SIGKILL)
    async with worker(record_url, nats_url):
        await until_seen(store, expected, within=60)


async def test_of_two_workers_the_survivor_takes_over(store, record_url, nats_url):
    async with worker(record_url, nats_url) as first:
        await write(store, order("a"))
        await handled(first, 1)
        async with worker(record_url, nats_url) as second:
            writing = asyncio.create_task(trickle(store, 60, 0.01))
            await handled(first, 10)
            first.send_signal(signal.SIGKILL)
            names = ["a", *await writing, *(f"p{number}" for number in range(20))]
            await write(store, *(order(f"p{number}") for number in range(20)))
            await handled(second, 10)
            await until_seen(store, names, within=60)


async def test_a_frozen_worker_that_wakes_up_after_its_lease_was_taken_does_no_harm(store, record_url, nats_url):
    async with worker(record_url, nats_url) as first:
        await write(store, order("a"))
        await handled(first, 1)
        first.send_signal(signal.SIGSTOP)
        await store.execute(  # what the server would do after ten seconds
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and (application_name = 'crossdock-leases' or state like 'idle in transaction%')"
        )
        async with worker(record_url, nats_url) as second:
            names = await trickle(store, 20, 0)
            await handled(second, 10)
            first.send_signal(signal.SIGCONT)
            names += [f"p{number}" for number in range(20)]
            await write(store, *(order(f"p{number}") for number in range(20)))
            await until_seen(store, ["a", *names], within=60)


async def test_postgresql_killed_in_mid_stream(store, nats_url, engines):
    async with running(store, nats_url, keeper("c")):
        expected = await trickle(store, 30)
        await engines.kill("postgres")
        await asyncio.sleep(0.3)
        await engines.restart("postgres")
        await until(lambda: _answers(store))
        await write(store, order("after"))
        await until_seen(store, [*expected, "after"], within=60)


async def _answers(store):
    with contextlib.suppress(Exception):
        return await store.fetchval("select true")


async def test_ten_thousand_events_from_slow_and_fast_writers_reach_every_consumer_once(store, nats_url):
    chance = random.Random(7)
    names = [f"o{number}" for number in range(10_000)]

    async def batch(chunk):
        async with store.transaction() as connection:
            await append(connection, [order(name) for name in chunk[:25]])
            await asyncio.sleep(chance.random() ** 8 * 0.2)
            await append(connection, [order(name) for name in chunk[25:]])

    async with running(store, nats_url, keeper("c"), keeper("d", batch=500)):
        chunks = [names[at : at + 50] for at in range(0, 10_000, 50)]
        for at in range(0, len(chunks), 8):
            await asyncio.gather(*map(batch, chunks[at : at + 8]))

        async def everything():
            return await store.fetchval("select count(*) = 20000 from seen")

        await until(everything, within=60, every=0.1)
    in_order = "select aggregate from store.event order by transaction_id, id"
    expected = [row["aggregate"] for row in await store.fetch(in_order)]
    await until_seen(store, expected, "c")
    await until_seen(store, expected, "d")
    assert sorted(expected) == sorted(names)
