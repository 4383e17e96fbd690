"""The sandbox itself: one of its own, to be killed."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from gateway.engines.process import Identity
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured, Unavailable
from gateway.kernel.ids import new_id
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.tryton.adapter import Adapter
from system_apis.tryton.sandbox import TrytonSandbox
from tests.system_apis.tryton.scenarios import call, order

pytestmark = pytest.mark.integration


@pytest.fixture
async def own(tryton, tryton_cache, tmp_path):
    sandbox = TrytonSandbox(tryton_cache, tmp_path / "own")
    yield sandbox
    await sandbox.stop()


async def test_a_copy_starts_in_seconds_and_keeps_its_data_over_a_crash(own):
    started = time.monotonic()
    url = await own.start()
    assert time.monotonic() - started < 60
    async with Outbound() as outbound:
        session = outbound.session("own", url, SystemLimits(breaker_failures=1000, retries=0))
        adapter = Adapter("erp", own.settings(), session, SystemClock())
        reference = new_id("ord")
        before = await adapter.submit_order(call(), order=order(reference, ("SKU-0002", "1", "WH-N")))
        await own.kill()
        with pytest.raises(Unavailable):
            await adapter.check_health(call(5))
        assert await own.start() == url
        assert await adapter.find_order(call(), reference=reference) == before
    assert await own.restart() == url


def test_passwords_are_readable_by_the_owner_only(tryton):
    path = Path(tryton.settings().password.removeprefix("file:"))
    assert path.stat().st_mode & 0o077 == 0
    assert tryton.password.reveal() == path.read_text()
    assert tryton.password.reveal() not in repr(tryton.settings())
    assert "***" in repr(tryton.password)


async def test_a_taken_port_is_said_in_one_line(tryton, tryton_cache, tmp_path):
    port = int(tryton.url.rpartition(":")[2])
    second = TrytonSandbox(tryton_cache, tmp_path / "second", port=port)
    with pytest.raises(Misconfigured, match=str(port)):
        await second.start()


async def test_the_command_serves_until_it_is_told_to_stop_and_leaves_nothing_running(tryton, tryton_cache, tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "system_apis.tryton.sandbox",
        "--folder", str(tmp_path / "cli"), "--cache", str(tryton_cache),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 90)
        assert line.startswith(b"http://127.0.0.1:")
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_the_server_ends_with_a_parent_that_was_killed(tryton, tryton_cache, tmp_path):
    code = (
        "import asyncio, sys; from pathlib import Path; from system_apis.tryton.sandbox import TrytonSandbox\n"
        "async def main():\n"
        "    sandbox = TrytonSandbox(Path(sys.argv[1]), Path(sys.argv[2])); await sandbox.start()\n"
        "    print(sandbox.pid, flush=True); await asyncio.sleep(300)\n"
        "asyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tryton_cache), str(tmp_path / "orphan"), stdout=asyncio.subprocess.PIPE
    )
    server = Identity.of(int(await asyncio.wait_for(parent.stdout.readline(), 90)))
    parent.kill()
    await parent.wait()
    end = time.monotonic() + 60
    while server.alive and time.monotonic() < end:  # noqa: ASYNC110 - another process's end has no event
        await asyncio.sleep(0.05)
    assert not server.alive
