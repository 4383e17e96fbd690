"""The real gateway, its chain and its engines: workers are replaced under load, and the figures tell all of it."""

import asyncio
import json
import secrets
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.engines.ports import free_port
from gateway.engines.process import log_tail, spawn
from gateway.restarting import restart
from gateway.settings import load_settings

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from running_gateway import start_gateway
from small_gateway import Connection, chunked

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group("granian")]


@asynccontextmanager
async def two_workers(folder, urls, database):
    """A gateway with two workers and a port of figures, in the place of the one that made record and partners.

    Its streams of events do not end by themselves.
    """
    first = await start_gateway(folder, urls, database, stream_seconds=3600)
    await first.stop()
    text = first.settings_path.read_text(encoding="utf-8").replace("workers = 1\n", "workers = 2\n")
    text += f"\n[metrics]\nport = {free_port({first.port})}\n"
    first.settings_path.write_text(text, encoding="utf-8")
    log = folder / "two.log"
    command = [sys.executable, "-m", "gateway.asgi", "gateway", "--settings", str(first.settings_path)]
    process = spawn(command, folder=folder, log=log, account=None, dies_by=signal.SIGTERM)
    settings = load_settings(first.settings_path)
    figures = f"http://127.0.0.1:{settings.metrics.port}"
    try:
        async with asyncio.timeout(120), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert process.exit_status is None, log_tail(log)
                with suppress(httpx.HTTPError):
                    workers = (await client.get(f"{figures}/workers")).json()["workers"]
                    if [each["state"] for each in workers] == ["serving", "serving"]:
                        break
                await asyncio.sleep(0.1)
        yield first, settings, figures
    finally:
        await process.end([(signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)])


async def test_three_rolling_restarts_of_the_real_gateway_fail_no_request(tmp_path, urls, database):
    async with two_workers(tmp_path, urls, database) as (first, settings, figures):
        failures, stop = [], asyncio.Event()
        clients = [Connection(first.port, failures) for _ in range(6)]
        path = "GET /storefront/v1/items?limit=1 HTTP/1.1\r\nHost: a"
        raw = f"{path}\r\nX-Api-Key: {first.first.api_key}\r\n\r\n".encode()

        async def ask(client):
            while not stop.is_set():
                await client.ask(raw)
                await asyncio.sleep(0.002)

        load = [asyncio.create_task(ask(client)) for client in clients]
        for _ in range(3):
            done = await asyncio.to_thread(restart, settings, seconds=120, as_json=False, progress=lambda _: None)
            assert done == 0, log_tail(tmp_path / "two.log")
        stop.set()
        await asyncio.gather(*load)
        answered = sum(client.answered for client in clients)
        assert failures == []
        assert answered > 1000
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{figures}/metrics")).text
        told = {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert told["crossdock_http_requests_total", "GET /storefront/v1/items", "200"] == answered
        assert told["crossdock_rate_limit_mode", "caller", "shared"] == 2
        assert told["crossdock_configuration_version", "1"] == told["crossdock_configuration_version", "2"] == 0
        assert {name for name, *_ in told} >= {"crossdock_streams_open", "crossdock_requests_in_flight"}
        for client in clients:
            client.hang_up()


class EventSource:
    """A partner's event source (HTML Living Standard, 9.2) that notices how each stream ended."""

    def __init__(self, gateway):
        self._gateway = gateway
        self.orders, self.ends = [], []
        self.last = ""

    async def listen(self):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.port)
            try:
                await self._connected(reader, writer)
            finally:
                writer.close()

    async def _connected(self, reader, writer):
        last = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        key = f"X-Api-Key: {self._gateway.first.api_key}\r\n"
        writer.write(f"GET /storefront/v2/events HTTP/1.1\r\nHost: a\r\n{key}{last}\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        async for part in chunked(reader, self.ends):
            self._take(part.decode())

    def _take(self, text):
        """Each part is whole events: so they are sent."""
        for event in text.removesuffix("\n\n").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
            self.last = fields.get("id", self.last)
            if fields.get("event") == "order.updated":
                self.orders.append(json.loads(fields["data"])["data"]["external_number"])


class Buyer:
    """Places one order after the other and keeps the numbers of those that were accepted."""

    def __init__(self, gateway):
        self.failures, self.placed = [], []
        self._key = gateway.first.api_key
        self._connection = Connection(gateway.port, self.failures)

    async def buy(self, stop):
        while not stop.is_set():
            number = f"R-{secrets.token_hex(6)}"
            address = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}
            lines = [{"sku": "SKU-0001", "quantity": {"amount": "1"}}]
            body = json.dumps({"external_number": number, "delivery": {"ship_to": address}, "lines": lines})
            head = (
                f"POST /storefront/v2/orders HTTP/1.1\r\nHost: a\r\nX-Api-Key: {self._key}\r\n"
                f'Idempotency-Key: "{number}"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}'
            )
            if await self._connection.ask(f"{head}\r\n\r\n{body}".encode()) is not None:
                self.placed.append(number)
            await asyncio.sleep(0.02)
        self._connection.hang_up()


async def until(fulfilled, listening):
    """Wait; no event source may give up meanwhile."""
    async with asyncio.timeout(60):
        while True:
            for task in listening:
                assert not task.done(), task.exception()
            if fulfilled():
                return
            await asyncio.sleep(0.05)


async def test_partners_streams_of_events_go_through_three_rolls_under_load_and_miss_nothing(tmp_path, urls, database):
    async with two_workers(tmp_path, urls, database) as (first, settings, _):
        sources, buyer, stop = [EventSource(first) for _ in range(3)], Buyer(first), asyncio.Event()
        listening = [asyncio.create_task(source.listen()) for source in sources]
        try:
            await until(lambda: all(source.last for source in sources), listening)
            buying = asyncio.create_task(buyer.buy(stop))
            for _ in range(3):
                done = await asyncio.to_thread(restart, settings, seconds=120, as_json=False, progress=lambda _: None)
                assert done == 0, log_tail(tmp_path / "two.log")
            stop.set()
            await buying
            await until(lambda: all(len(each.orders) >= len(buyer.placed) for each in sources), listening)
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
        assert buyer.failures == []
        assert buyer.placed
        for source in sources:
            assert source.orders == buyer.placed
            assert len(source.ends) >= 3  # each roll ended the stream
            assert set(source.ends) == {"whole"}
