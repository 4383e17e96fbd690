"""Configurations applied while real gateways serve: each is seen, nobody is refused, everybody acknowledges."""

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import httpx
import pytest

from gateway import configuring
from gateway.engines.ports import free_port
from gateway.engines.process import log_tail, spawn
from gateway.settings import load_settings

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from running_gateway import IMPATIENT, start_gateway

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
_UNLIMITED = "rate_limit = { failure_cost = 1, addresses = { rate = '1000000000/minute', burst = 1000000000 }"


@asynccontextmanager
async def gateways(folder, urls, database):
    """One gateway process with one worker, and one with two, on one record; yields the first and both addresses."""
    first = await start_gateway(folder, urls, database)
    port = free_port(set())
    settings = folder / "second.toml"
    text = first.settings_path.read_text(encoding="utf-8").replace(str(first.port), str(port))
    assert "workers = 1\n" in text
    settings.write_text(text.replace("workers = 1\n", "workers = 2\n"), encoding="utf-8")
    log = folder / "second.log"
    command = [sys.executable, "-m", "gateway.asgi", "gateway", "--settings", str(settings)]
    second = spawn(command, folder=folder, log=log, account=None, dies_by=signal.SIGTERM)
    try:
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert second.exit_status is None, log_tail(log)
                with suppress(httpx.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == httpx.codes.OK:
                        break
                await asyncio.sleep(0.1)
        yield first, (first.url, f"http://127.0.0.1:{port}")
    finally:
        await second.end([(signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)])
        await first.stop()


async def config(first, *words):
    """`crossdock config …`; its exit status, standard output and standard error."""
    command = [sys.executable, "-m", "gateway.cli", "config", *words, "--settings", str(first.settings_path)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def applied(first, path, note):
    """What `crossdock config apply` does, without a process of its own each time; its exit status and its answer."""
    settings = load_settings(first.settings_path)
    told = {"note": note, "seconds": 60, "as_json": True, "progress": lambda _: None}
    with redirect_stdout(StringIO()) as out:
        status = await asyncio.to_thread(configuring.apply, settings, path, **told)
    return status, json.loads(out.getvalue())


async def three_workers(first):
    """`/readyz` is answered by the first worker that is; this waits for the other one of the second gateway too."""
    async with asyncio.timeout(60):
        while len(json.loads((await config(first, "history", "--json"))[1])["workers"]) < 3:  # noqa: ASYNC110  # in other processes
            await asyncio.sleep(0.1)


def file_of(folder, number):
    """A configuration whose limit can be seen in an answer, far above what the load asks."""
    path = folder / f"{number}.toml"
    quota = 1_000_000 + number
    text = f"{_UNLIMITED}, plans = {{ standard = {{ default = {{ rate = '{quota}/minute', burst = 100000 }} }} }} }}\n"
    path.write_text(text, encoding="utf-8")
    return path, f"q={quota};w=60"


async def asking(client, stop, answers):
    while not stop.is_set():
        answer = await client.get("/storefront/v1/items?limit=1")
        answers.append((answer.status_code, answer.headers.get("ratelimit-policy", "")))
        await asyncio.sleep(0.02)


async def applied_under_load(folder, urls, database, count):
    async with AsyncExitStack() as stack:
        first, addresses = await stack.enter_async_context(gateways(folder, urls, database))
        await three_workers(first)
        key = {"X-Api-Key": first.first.api_key}
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, headers=key, limits=IMPATIENT, trust_env=False, timeout=30)
            )
            for url in (*addresses, *addresses)
        ]
        stop, answers = asyncio.Event(), []
        load = [asyncio.create_task(asking(client, stop, answers)) for client in clients]
        for number in range(1, count + 1):
            path, _ = file_of(folder, number)
            status, told = await applied(first, path, f"the {number}th")
            assert (status, told["version"], told["written"]) == (0, number, True)
            assert [worker["version"] for worker in told["holding"]] == [number] * 3
            for client in clients:  # whoever was told that all hold it sees it in the next answer, of every worker
                answer = await client.get("/storefront/v1/items?limit=1")
                assert file_of(folder, number)[1] in answer.headers["ratelimit-policy"]
        stop.set()
        await asyncio.gather(*load)
        assert {status for status, _ in answers} == {200}
        seen = {policy for _, policy in answers}
        assert all(any(file_of(folder, number)[1] in policy for policy in seen) for number in range(1, count + 1))
        ready = (await clients[0].get("/readyz")).json()
        assert ready["configuration"]["version"] == count
        assert ready["checks"]["configuration"] == "ok"
        return len(answers), first, await after(first, folder, count)


async def after(first, folder, count):
    """What the command says once `count` versions were applied."""
    status, out, _ = await config(first, "apply", str(file_of(folder, count)[0]), "--json")
    assert (status, json.loads(out)["written"]) == (0, False)
    (folder / "wrong.toml").write_text("[rate_limit.plans.standard.default]\nrate = '5/fortnight'\n", encoding="utf-8")
    status, out, err = await config(first, "apply", str(folder / "wrong.toml"))
    assert (status, out) == (2, "")
    assert "'5/fortnight' is not understood" in err
    status, out, _ = await config(first, "diff", str(file_of(folder, 1)[0]), "--json")
    [change] = json.loads(out)["changes"]
    assert (change["whom"], change["what"], change["effect"]) == ("plan standard", "limit of all calls", "tightens")
    status, out, err = await config(first, "rollback", "--json")
    assert (status, json.loads(out)["version"]) == (0, count + 1), err
    status, out, _ = await config(first, "history", "--json")
    told = json.loads(out)
    assert [each["version"] for each in told["versions"]][:2] == [count + 1, count]
    assert told["versions"][0]["restores"] == count - 1
    assert {each["version"] for each in told["workers"]} == {count + 1}
    status, out, _ = await config(first, "show")
    assert status == 0
    assert f'rate = "{1_000_000 + count - 1}/minute"' in out
    return told


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.xdist_group("two-gateways")
async def test_a_hundred_configurations_under_load_are_seen_by_all_and_refuse_nobody(tmp_path, urls, database):
    asked, *_ = await applied_under_load(tmp_path, urls, database, 100)
    assert asked > 1000
