"""An engine is killed under load: what callers, balancers and the port of figures are told, until all is well again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from running_gateway import RunningGateway

from gateway.engines import Engines, EngineUrls
from gateway.engines.ports import free_port
from gateway.settings import load_settings

from .conftest import running_on

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group("contract")]

# By what each limit declares for the time without the store.
PATHS = {
    "open": "/storefront/v1/items?limit=1",
    "local_share": "/storefront/v1/availability-queries",
    "closed": "/storefront/v1/orders",
}
# So wide that nobody is ever refused for having asked too often.
LIMITS = ", ".join(
    f'"{route}" = {{ rate = "10000000/hour", {limit} }}'
    for route, limit in {
        "GET /storefront/v1/items": 'burst = 1000000, when_store_down = "open"',
        "POST /storefront/v1/availability-queries": 'burst = 1000000, when_store_down = "local_share"',
        "GET /storefront/v1/orders": 'mode = "exact", when_store_down = "closed"',
    }.items()
)
MODE_FIELD = "crossdock-ratelimit-mode"
PATIENCE_SECONDS = 60.0
Figures = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
async def told(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """Two worker processes, a limit of each sort, and a port of figures."""
    metrics = f"\n[metrics]\nport = {free_port(set())}\n"
    folder = tmp_path_factory.mktemp("figures")
    async with running_on("test_of_figures", urls, folder, workers=2, operations=LIMITS, more=metrics) as running:
        yield running


async def ask(client: httpx.AsyncClient, declared: str) -> httpx.Response:
    if declared == "local_share":
        return await client.post(PATHS[declared], json={"skus": ["SKU-0001"]})
    return await client.get(PATHS[declared])


async def figures(gateway: RunningGateway) -> Figures:
    port = load_settings(gateway.settings_path).metrics.port
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert time.monotonic() < end, "it did not come to that in time"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def under_load(gateway: RunningGateway) -> AsyncIterator[dict[str, list[httpx.Response]]]:
    """Two clients for each sort of limit; inside the block, what they are answered."""
    seen: dict[str, list[httpx.Response]] = {declared: [] for declared in PATHS}
    stop = asyncio.Event()

    async def load(declared: str) -> None:
        async with gateway.client() as client:
            while not stop.is_set():
                seen[declared].append(await ask(client, declared))
                await asyncio.sleep(0.02)

    running = [asyncio.create_task(load(declared)) for declared in PATHS for _ in range(2)]
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.gather(*running)


async def test_valkey_killed_under_load_shows_in_header_and_figures_as_declared_and_passes(
    told: RunningGateway, engines: Engines
):
    async def has_lost_it() -> bool:
        found = await figures(told)
        counted = all(
            found.get(("crossdock_rate_limit_decisions_total", "caller", f"store_down_{declared}"), 0) > 0
            for declared in PATHS
        )
        return counted and found["crossdock_rate_limit_mode", "caller", "store_down"] >= 1

    async def has_it_back() -> bool:
        found = await figures(told)
        modes = [found["crossdock_rate_limit_mode", "caller", mode] for mode in ("shared", "store_down")]
        return modes == [2, 0]

    async with under_load(told) as seen:
        await until(has_it_back)
        await engines.kill("valkey")
        try:
            await until(has_lost_it)
            async with told.client("") as anybody:

                async def still_serves() -> bool:
                    return (await anybody.get("/readyz")).status_code == 200

                await until(still_serves)
            for answers in seen.values():
                answers.clear()

            async def everybody_was_answered() -> bool:
                return all(len(answers) >= 10 for answers in seen.values())

            await until(everybody_was_answered)
            without = {declared: list(answers) for declared, answers in seen.items()}
        finally:
            await engines.restart("valkey")
        await until(has_it_back)
        for answers in seen.values():
            answers.clear()

        async def all_is_well() -> bool:
            last = [answers[-5:] for answers in seen.values()]
            return all(
                len(answers) == 5
                and {answer.status_code for answer in answers} == {200}
                and not any(MODE_FIELD in answer.headers for answer in answers)
                for answers in last
            )

        await until(all_is_well)
    assert {answer.status_code for answer in without["open"]} == {200}
    assert {answer.headers[MODE_FIELD] for answer in without["open"]} == {"open"}
    assert {answer.status_code for answer in without["local_share"]} == {200}
    assert {answer.headers[MODE_FIELD] for answer in without["local_share"]} == {"local_share"}
    assert {answer.status_code for answer in without["closed"]} == {503}
    assert {answer.json()["code"] for answer in without["closed"]} == {"rate_limit.store_down"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in without["closed"])


async def test_without_the_record_the_gateway_is_alive_and_not_ready_and_is_ready_again_with_it(
    told: RunningGateway, engines: Engines
):
    async with told.client("") as anybody:

        async def readiness() -> httpx.Response | None:
            with suppress(httpx.HTTPError):
                return await anybody.get("/readyz")
            return None

        async def is_ready() -> bool:
            answer = await readiness()
            return answer is not None and answer.status_code == 200

        async def is_unready() -> bool:
            answer = await readiness()
            return answer is not None and answer.status_code == 503

        await until(is_ready)
        await engines.kill("postgres")
        try:
            await until(is_unready)
            unready = await anybody.get("/readyz")
            alive = await anybody.get("/livez")
        finally:
            await engines.restart("postgres")
        assert (unready.status_code, unready.json()["status"], alive.status_code) == (503, "not ready", 200)
        assert unready.json()["checks"]["record"] != "ok"
        assert unready.headers["retry-after"] == "1"
        await until(is_ready)
    async with told.client() as partner:

        async def is_served() -> bool:  # a worker believes credentials again once it has read who lost theirs
            return (await ask(partner, "open")).status_code == 200

        await until(is_served)
