"""Workers that are replaced, that die, that cannot start: under load, on the real server, and no client notices."""

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.engines.ports import free_port
from gateway.engines.process import log_tail, spawn
from gateway.kernel.errors import Misconfigured, Unavailable
from gateway.restarting import restart
from gateway.settings import (
    BackboneSettings,
    CacheSettings,
    MetricsSettings,
    SecretSettings,
    Settings,
    StoreSettings,
)

sys.path.insert(0, str(Path(__file__).parent))
from small_gateway import PART, PARTS, Connection, chunked, follow_events, get, post

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("granian")]
HERE = Path(__file__).parent


class Served:
    """The small gateway as a process, with its two ports."""

    def __init__(self, folder):
        self.port = free_port(set())
        self.metrics_port = free_port({self.port})
        self.refusing = folder / "refuses"
        self.log = folder / "log"
        self._folder = folder
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.metrics_port}", trust_env=False, timeout=30)

    @asynccontextmanager
    async def running(self, workers=2):
        words = [str(HERE / "small_gateway.py"), *map(str, (self.port, self.metrics_port, workers, self.refusing))]
        self.process = spawn(
            [sys.executable, *words], folder=self._folder, log=self.log, account=None, dies_by=signal.SIGTERM
        )
        try:
            await self.until(lambda status: [each["state"] for each in status["workers"]] == ["serving"] * workers)
            yield self
        finally:
            await self.process.end([(signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)])
            await self._client.aclose()

    async def status(self):
        return (await self._client.get("/workers")).json()

    async def until(self, fulfilled, seconds=120):
        """The first status that is as wanted."""
        async with asyncio.timeout(seconds):
            while True:
                assert self.process.exit_status is None, log_tail(self.log)
                try:
                    status = await self.status()
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
                    continue
                if fulfilled(status):
                    return status
                await asyncio.sleep(0.05)

    async def roll(self):
        """Replace all workers; returns what is told when it is over."""
        before = (await self.status())["roll"]["number"]
        self.process.identity.signal(signal.SIGHUP)
        return await self.until(
            lambda status: status["roll"]["number"] > before and status["roll"]["state"] != "rolling"
        )

    async def whole_figures(self):
        """Those of a scrape that every worker answered."""
        async with asyncio.timeout(60):
            while True:
                figures = await self.figures()
                if figures["crossdock_worker_answers", "1"] == figures["crossdock_worker_answers", "2"] == 1:
                    return figures

    async def figures(self):
        """Every series of a scrape, by name and label values."""
        text = (await self._client.get("/metrics")).text
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture(scope="module")
async def served(tmp_path_factory):
    """For tests that leave it with both workers serving."""
    async with Served(tmp_path_factory.mktemp("served")).running() as served:
        yield served


@pytest.fixture
async def doomed(tmp_path):
    """One that does not survive its test."""
    async with Served(tmp_path).running() as served:
        yield served


@asynccontextmanager
async def load(port, *, readers=6, writers=3):
    """Keep-alive clients that ask without pause inside the block; yields their failures and the clients."""
    failures, stop = [], asyncio.Event()
    clients = [Connection(port, failures) for _ in range(readers + writers)]

    async def ask(client, number):
        while not stop.is_set():
            if number < readers:
                await client.ask(get("/shop/v1/who"))
            else:
                assert await client.ask(post("/shop/v1/notes", {"n": number})) in (None, {"n": number})
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(ask(client, number)) for number, client in enumerate(clients)]
    try:
        yield failures, clients
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        for client in clients:
            client.hang_up()


async def test_three_rolling_restarts_under_load_fail_no_request_and_lose_no_event(served):
    seen, ends, stop = [], [], asyncio.Event()
    before, rolls = await served.whole_figures(), (await served.status())["roll"]["number"]
    follower = asyncio.create_task(follow_events(served.port, seen, ends, stop))
    async with load(served.port) as (failures, clients):
        pids = {each["pid"] for each in (await served.status())["workers"]}
        for number in range(rolls + 1, rolls + 4):
            status = await served.roll()
            assert status["roll"] == {"number": number, "state": "done", "detail": ""}, log_tail(served.log)
            now = {each["pid"] for each in status["workers"]}
            assert not now & pids
            pids = now
    stop.set()
    await asyncio.wait_for(follower, 60)
    answered = sum(client.answered for client in clients)
    assert failures == []
    assert answered > 1000
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert "cut off" not in ends
    assert ends
    figures = await served.whole_figures()
    assert requests_in(figures) - requests_in(before) == answered
    assert figures["crossdock_worker_starts_total", "1"] == before["crossdock_worker_starts_total", "1"] + 3


def requests_in(figures):
    return sum(
        value
        for key, value in figures.items()
        if key[0] == "crossdock_http_requests_total" and key[1] in ("GET /shop/v1/who", "POST /shop/v1/notes")
    )


async def test_a_download_goes_on_to_its_end_while_its_worker_is_replaced(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(get("/shop/v1/download"))
    await reader.readuntil(b"\r\n\r\n")
    ends = []
    rolling = asyncio.create_task(served.roll())
    received = b"".join([part async for part in chunked(reader, ends)])
    assert (received, ends) == (PART * PARTS, ["whole"])
    writer.close()
    assert (await rolling)["roll"]["state"] == "done"


async def test_a_worker_that_does_not_start_is_given_up_and_the_old_one_serves_on(served):
    before = (await served.status())["workers"]
    served.refusing.touch()
    try:
        async with load(served.port) as (failures, clients):
            status = await served.roll()
    finally:
        served.refusing.unlink()
    assert status["roll"]["state"] == "failed"
    assert "worker 1" in status["roll"]["detail"]
    assert [each["pid"] for each in status["workers"]] == [each["pid"] for each in before]
    assert failures == []
    assert all(client.answered for client in clients)


async def test_a_killed_worker_costs_its_own_requests_and_no_other_and_is_replaced(served):
    async with load(served.port) as (failures, clients):
        first, second = (await served.status())["workers"]
        counted = await served.whole_figures()
        os.kill(first["pid"], signal.SIGKILL)
        status = await served.until(
            lambda status: status["workers"][0]["pid"] != first["pid"] and status["workers"][0]["state"] == "serving"
        )
        assert status["workers"][1] == second
        asked = [client.answered for client in clients]
        async with asyncio.timeout(60):
            while any(client.answered <= before for client, before in zip(clients, asked, strict=True)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert len(failures) <= len(clients)  # at most one in flight on each connection to the dead one
    assert all("IncompleteReadError" in each or "ConnectionReset" in each for each in failures), failures
    figures = await served.whole_figures()
    for total in (("crossdock_worker_deaths_total",), ("crossdock_worker_starts_total", "1")):
        assert figures[total] == counted.get(total, 0) + 1
    for key, value in counted.items():  # no sum has fallen
        if key[0].endswith("_total"):
            assert figures[key] >= value


async def test_a_server_that_fails_stops_its_workers_and_says_so(doomed):
    served = doomed
    served.refusing.with_name(f"{served.refusing.name}-rolls").touch()
    served.process.identity.signal(signal.SIGHUP)
    async with asyncio.timeout(60):
        while served.process.exit_status is None:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)
    assert served.process.exit_status == 1
    assert "the server failed" in log_tail(served.log)


async def test_figures_are_those_of_all_workers_and_their_own_states(served):
    pids = set()
    async with asyncio.timeout(60):
        while len(pids) < 2:  # until both workers have been asked
            clients = [Connection(served.port, []) for _ in range(8)]
            answers = await asyncio.gather(*(client.ask(get("/shop/v1/who")) for client in clients))
            pids |= {answer["pid"] for answer in answers}
            for client in clients:
                client.hang_up()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(get("/shop/v1/events"))
    await reader.readuntil(b"data")
    async with asyncio.timeout(60):
        while (figures := await served.whole_figures())["crossdock_requests_in_flight",] != 1:
            pass  # a stream of the test before, whose client has hung up
    assert figures["crossdock_http_requests_total", "GET /shop/v1/who", "200"] >= 2
    assert figures["crossdock_streams_open",] == 1
    assert figures["crossdock_configuration_version", "1"] == figures["crossdock_configuration_version", "2"] == 7
    assert figures["crossdock_workers", "serving"] == 2
    assert figures["crossdock_worker_answers", "1"] == 1
    writer.close()


async def test_a_scrape_does_not_wait_for_a_worker_that_hangs(served):
    first = (await served.status())["workers"][0]["pid"]
    client = Connection(served.port, [])
    for _ in range(20):
        await client.ask(get("/shop/v1/who"))
    before = await served.whole_figures()
    os.kill(first, signal.SIGSTOP)
    try:
        async with asyncio.timeout(60):
            while (figures := await served.figures())["crossdock_worker_answers", "2"] != 1:
                pass  # held up as well
        assert figures["crossdock_worker_answers", "1"] == 0
        assert (
            figures["crossdock_http_requests_total", "GET /shop/v1/who", "200"]
            >= before["crossdock_http_requests_total", "GET /shop/v1/who", "200"]
        )
    finally:
        os.kill(first, signal.SIGCONT)
        client.hang_up()


async def test_told_to_stop_it_ends_streams_finishes_requests_and_leaves(doomed):
    served, ends = doomed, []
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(get("/shop/v1/events"))
    await reader.readuntil(b"\r\n\r\n")
    slow_reader, slow = await asyncio.open_connection("127.0.0.1", served.port)
    head, _, body = post("/shop/v1/notes", {"n": 1}).partition(b"\r\n\r\n")
    slow.write(head + b"\r\n\r\n")
    async with asyncio.timeout(60):
        while (await served.whole_figures())["crossdock_requests_in_flight",] != 2:
            pass
    served.process.identity.signal(signal.SIGTERM)
    assert [part async for part in chunked(reader, ends)]
    assert ends == ["whole"]
    slow.write(body)
    answer = await slow_reader.read()
    assert answer.startswith(b"HTTP/1.1 2")
    assert answer.endswith(b'{"n":1}')
    assert await served.process.ended(60)
    for each in (writer, slow):
        each.close()


async def test_the_command_restarts_every_worker_and_says_which(served, capsys):
    metrics = MetricsSettings(port=served.metrics_port)
    before = {each["worker"]: each["pid"] for each in (await served.status())["workers"]}
    assert await asyncio.to_thread(restart, settings_with(metrics), seconds=60, as_json=True, progress=print) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["restarted"]
    assert {each["worker"] for each in told["workers"] if each["pid"] != before[each["worker"]]} == {1, 2}
    served.refusing.touch()
    try:
        assert await asyncio.to_thread(restart, settings_with(metrics), seconds=60, as_json=False, progress=print) == 1
    finally:
        served.refusing.unlink()
    assert "the old one serves on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metrics", "error", "advice"),
    [
        (MetricsSettings(), Misconfigured, "metrics.port is not set"),
        (MetricsSettings(port=1), Unavailable, "no gateway"),
    ],
    ids=["no port", "nobody there"],
)
def test_the_command_says_what_to_do_where_it_finds_no_gateway(metrics, error, advice):
    with pytest.raises(error, match=advice):
        restart(settings_with(metrics), seconds=1, as_json=False, progress=print)


def settings_with(metrics):
    there = "env:NOWHERE"
    return Settings(
        tenant="acme",
        metrics=metrics,
        secrets=SecretSettings(keys={"1": there}),
        store=StoreSettings(url=there, installation=""),
        backbone=BackboneSettings(url=there),
        cache=CacheSettings(url=there),
    )


async def test_a_taken_port_is_told_in_words(served, tmp_path):
    words = [str(HERE / "small_gateway.py"), *map(str, (served.port, free_port({served.port}), 1, "-"))]
    second = spawn(
        [sys.executable, *words], folder=tmp_path, log=tmp_path / "second", account=None, dies_by=signal.SIGTERM
    )
    assert await second.ended(60)
    assert second.exit_status != 0
    assert f"cannot listen at 127.0.0.1 port {served.port}" in (tmp_path / "second").read_text()
