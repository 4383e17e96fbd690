"""The worker's own port of figures, and what the record tells for it."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import gateway.store
from gateway.backbone.consumer import Subscription
from gateway.canonical.events import Event
from gateway.durable.schema import migrate_durable
from gateway.engines.ports import free_port
from gateway.kernel.errors import Misconfigured
from gateway.serving.backlog import Backlog
from gateway.serving.figures import show_figures
from gateway.settings import MetricsSettings
from gateway.store.log import append
from gateway.store.log_reader import LogReader
from gateway.store.migrations import find_migrations, migrate
from gateway.store.positions import move_position, start_consumer
from gateway.store.postgres import Store
from gateway.telemetry.counters import Family, Kind

pytestmark = pytest.mark.integration
ACCEPTED = Subscription(name="orders", types=frozenset({"order.accepted"}), handler=None)
REGIONAL = Subscription(name="region", types=frozenset({"order.accepted"}), handler=None, stream="north")


@pytest.fixture
async def store(database):
    await migrate(database, find_migrations([Path(gateway.store.__file__).parent / "migrations"]))
    await migrate_durable(database)
    store = Store(database, size=2)
    await store.open()
    yield store
    await store.close()


async def write(store, *types, stream="main"):
    events = [
        Event(
            tenant="acme",
            type=type_,
            aggregate=f"ord_{number}",
            aggregate_version=1,
            occurred_at=datetime.now(UTC),
            data={},
            correlation_id="cor_1",
            stream=stream,
        )
        for number, type_ in enumerate(types)
    ]
    async with store.transaction() as connection:
        await append(connection, events)


def told(families):
    return {(family.name, *labels): figure for family in families for labels, figure in family.series}


async def test_the_backlog_is_told_by_consumer_and_for_the_carrier_by_who_carries(store):
    positions = {}
    backlog = Backlog(store, [ACCEPTED, REGIONAL], lambda: positions)
    async with store.transaction() as connection:
        await start_consumer(connection, "orders")
    await write(store, "order.accepted", "order.cancelled", "order.accepted")
    await write(store, "order.accepted", stream="north")
    found = told(await backlog.families())
    assert found["crossdock_consumer_waiting_events", "orders"] == 2
    assert found["crossdock_consumer_waiting_events", "region"] == 1
    assert found["crossdock_consumer_waiting_seconds", "orders"] >= 0
    assert found["crossdock_record_answers",] == 1
    assert {name for name, *_ in found}.isdisjoint({"crossdock_outbox_waiting_events", "crossdock_dead_letters"})
    async with store.transaction() as connection:
        positions["main"] = end = await LogReader().end(connection)
        await move_position(connection, "orders", end)
    await write(store, "order.cancelled")
    found = told(await backlog.families())
    assert found["crossdock_consumer_waiting_events", "orders"] == 0
    assert found["crossdock_consumer_waiting_seconds", "orders"] == 0
    assert found["crossdock_outbox_waiting_events", "main"] == 1


async def test_letters_and_turns_are_told_by_state_and_an_absent_record_tells_only_that(store):
    await store.execute(
        "insert into store.dead_letter (consumer, event_id, log_epoch, transaction_id, tenant, aggregate, state, "
        "error_class, error_code, detail, fault_domain, attempts, history, resolved_at) "
        "select 'orders', n, 1, '5', 'acme', 'ord_1', case n when 1 then 'retrying' when 4 then 'resolved' else 'dead' "
        "end, 'mapping', 'x', 'y', 'wms', 1, '[]', case n when 4 then now() end from generate_series(1, 4) n"
    )
    await store.execute(
        "insert into dbos.workflow_status (workflow_uuid, status) "
        "values ('1', 'ENQUEUED'), ('2', 'ENQUEUED'), ('3', 'PENDING'), ('4', 'SUCCESS')"
    )
    found = told(await Backlog(store, [], dict).families())
    letters = {key[1:]: figure for key, figure in found.items() if key[0] == "crossdock_dead_letters"}
    assert letters == {("orders", "retrying"): 1, ("orders", "dead"): 2}
    assert (found["crossdock_turns", "waiting"], found["crossdock_turns", "running"]) == (2, 1)
    await store.close()
    assert told(await Backlog(store, [ACCEPTED], dict).families()) == {("crossdock_record_answers",): 0}


@asynccontextmanager
async def shown(port, families):
    stop = asyncio.Event()
    showing = asyncio.create_task(show_figures(("127.0.0.1", port), families, lambda: ["relay"], stop))
    try:
        yield showing
    finally:
        stop.set()
        await showing


async def asked(port, path):
    """Waited for: the port may still be somebody else's."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client, asyncio.timeout(60):
        while True:
            try:
                return await client.get(f"http://127.0.0.1:{port}{path}")
            except httpx.TransportError:
                await asyncio.sleep(0.1)


async def test_figures_stand_on_a_port_of_their_own_and_the_last_ones_stand_where_they_cannot_be_read():
    port, troubles = free_port(set()), []

    async def families():
        if troubles:
            raise troubles[0]
        return [Family("crossdock_test", "A figure.", Kind.GAUGE, ("of",), [(("a",), 7.0)])]

    async with shown(port, families):
        first = await asked(port, "/metrics")
        workers = json.loads((await asked(port, "/workers")).text)
        troubles.append(RuntimeError("cannot be read"))
        second = await asked(port, "/metrics")
    for answer in (first, second):
        (family,) = text_string_to_metric_families(answer.text)
        assert [(sample.labels, sample.value) for sample in family.samples] == [({"of": "a"}, 7.0)]
    assert workers["duties"] == ["relay"]


async def test_a_port_that_another_worker_still_has_is_waited_for_and_the_end_is_not(caplog):
    async def families():
        return []

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with shown(port, families) as showing:
            async with asyncio.timeout(60):
                while "no figures yet" not in caplog.text:  # noqa: ASYNC110 - the log sets no event
                    await asyncio.sleep(0.05)
            assert not showing.done()
        assert showing.done()


def test_both_ports_cannot_be_one():
    with pytest.raises(Misconfigured, match="worker_port"):
        MetricsSettings(port=9464, worker_port=9464)
