"""A server that is told to stop ends its open streams first, on the real server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("granian")]
ROOT = Path(__file__).parents[3]
SERVE = """
import sys
from gateway.asgi import DrainingServer, _serve
_serve("test_draining:make_app", "127.0.0.1", int(sys.argv[1]), 1, DrainingServer)
"""


def make_app():
    """A door with a stream that never ends."""
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest  # noqa: PLC0415  # granian's worker finds it only now
    from litestar import get  # noqa: PLC0415
    from litestar.response import Stream  # noqa: PLC0415

    from gateway.asgi import drain_on_signal  # noqa: PLC0415
    from gateway.edge.doorway import Doorway  # noqa: PLC0415

    @get("/shop/v1/endless", opt={**conftest.SHOP, "streaming": True})
    async def endless() -> Stream:
        async def produce():
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0.05)

        return Stream(produce(), media_type="text/event-stream")

    front = Doorway(conftest.Door({}, routes=[endless]).front)
    drain_on_signal(front)
    return front


async def test_sigterm_ends_an_open_stream_and_the_server_exits(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    log = (tmp_path / "log").open("w")
    command = [sys.executable, "-c", SERVE, str(port)]
    process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)  # noqa: ASYNC220  # it does not wait
    try:
        reader, writer = await connected(process, port)
        writer.write(b"GET /shop/v1/endless HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.readuntil(b"data: 1")
            process.send_signal(signal.SIGTERM)
            await reader.read()  # until the server hangs up
            await asyncio.to_thread(process.wait, 5)
        writer.close()
    finally:
        process.kill()
        process.wait(5)
        log.close()


async def connected(process, port):
    async with asyncio.timeout(30):
        while process.poll() is None:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
    raise AssertionError("the server did not start")
