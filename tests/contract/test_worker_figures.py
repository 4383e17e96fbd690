"""A real worker beside a real gateway: its figures tell of work done and left, and of a carrier that is away.

A worker that loses the record ends (`gateway/durable/slots.py`), and with it its port.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from running_gateway import RunningGateway

from gateway.engines import Engines, EngineUrls
from gateway.engines.ports import free_port
from gateway.engines.process import log_tail, spawn
from gateway.settings import load_settings

from .conftest import running_on

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group("contract")]
PATIENCE_SECONDS = 90.0
Figures = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
async def working(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gateway, and a worker with a port of figures."""
    folder = tmp_path_factory.mktemp("worker")
    more = f"\n[metrics]\nworker_port = {free_port(set())}\n"
    async with running_on("test_of_a_worker", urls, tmp_path_factory.mktemp("beside"), more=more) as running:
        command = [sys.executable, "-m", "gateway.worker", "worker", "--settings", str(running.settings_path)]
        worker = spawn(command, folder=folder, log=folder / "worker.log", account=None, dies_by=signal.SIGTERM)
        try:
            yield running
            assert worker.exit_status is None, log_tail(folder / "worker.log")
        finally:
            await worker.end([(signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0)])


async def figures(gateway: RunningGateway) -> Figures:
    port = load_settings(gateway.settings_path).metrics.worker_port
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def until(gateway: RunningGateway, holds: Callable[[Figures], bool]) -> Figures:
    end, found = time.monotonic() + PATIENCE_SECONDS, Figures()
    while True:
        with suppress(httpx.HTTPError):
            found = await figures(gateway)
            if holds(found):
                return found
        assert time.monotonic() < end, f"it did not come to that in time: {found}"
        await asyncio.sleep(0.2)


def caught_up(found: Figures) -> bool:
    waiting = [figure for (name, *_), figure in found.items() if name == "crossdock_consumer_waiting_events"]
    return len(waiting) > 2 and not any(waiting) and found.get(("crossdock_outbox_waiting_events", "main")) == 0


async def test_a_worker_tells_what_it_has_done_and_what_is_left(working: RunningGateway):
    before = await until(working, caught_up)
    assert before["crossdock_record_answers",] == before["crossdock_carrier_connected",] == 1
    assert before["crossdock_worker_duties", "relay"] == 1
    address = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}
    order = {
        "external_number": f"PO-{uuid4()}",
        "ship_to": address,
        "lines": [{"sku": "SKU-0001", "quantity": "1"}],
    }
    async with working.client() as partner:
        placed = await partner.post("/storefront/v1/orders", json=order, headers={"Idempotency-Key": str(uuid4())})
    assert placed.status_code == 201, placed.text
    turns = sum(figure for key, figure in before.items() if key[0] == "crossdock_turns_total")

    def has_worked(found: Figures) -> bool:
        ran = sum(figure for key, figure in found.items() if key[:2] == ("crossdock_turns_total", "done"))
        return ran > turns and caught_up(found)

    await until(working, has_worked)


async def test_a_carrier_that_is_away_shows_and_is_there_again(working: RunningGateway, engines: Engines):
    await until(working, caught_up)
    await engines.kill("nats")
    try:
        await until(working, lambda found: found["crossdock_carrier_connected",] == 0)
    finally:
        await engines.restart("nats")
    await until(working, lambda found: found["crossdock_carrier_connected",] == 1 and caught_up(found))
