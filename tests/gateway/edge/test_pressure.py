"""Writing no faster than the client reads, on real connections."""

import asyncio
import socket
import sys

import pytest

from gateway.edge import pressure
from gateway.edge.pressure import Pressure
from gateway.kernel.errors import CrossdockError

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a client has not read"),
]
PART = b"x" * 65_536
PARTS = 400  # more than any kernel keeps for one connection


@pytest.fixture
def connection():
    """A client, and the server's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        served, _ = listening.accept()
    client.setblocking(False)
    served.setblocking(False)
    with client, served:
        yield client, served


async def write(served, waiting, written):
    """What granian does: it takes every part at once and writes it when it can."""
    loop = asyncio.get_running_loop()
    backlog = asyncio.Queue()

    async def drain():
        while True:
            await loop.sock_sendall(served, await backlog.get())
            backlog.task_done()

    draining = asyncio.create_task(drain())
    try:
        for _ in range(PARTS):
            backlog.put_nowait(PART)
            await waiting.passed(len(PART))
            written.append(len(PART))
        await backlog.join()
    finally:
        draining.cancel()


async def test_a_client_that_does_not_read_is_waited_for_and_gets_everything_when_it_does(connection):
    client, served = connection
    host, port = client.getsockname()
    written = []
    writing = asyncio.create_task(write(served, Pressure({"client": (host, str(port))}), written))
    before = -1
    while before != len(written):  # until it stands still
        before = len(written)
        await asyncio.sleep(1.0)
    assert len(written) < PARTS
    received, loop = 0, asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while received < PARTS * len(PART):
            received += len(await loop.sock_recv(client, 1 << 20))
        await writing
    assert len(written) == PARTS


async def test_a_client_that_never_reads_is_given_up(connection, monkeypatch):
    monkeypatch.setattr(pressure, "_STALLED_SECONDS", 0.2)
    client, served = connection
    with pytest.raises(CrossdockError) as caught:
        await write(served, Pressure({"client": client.getsockname()}), [])
    assert caught.value.code == "stream.stalled"


async def test_where_the_connection_is_not_found_nothing_is_waited_for():
    for scope in ({}, {"client": None}, {"client": ("192.0.2.1", 1)}):
        await Pressure(scope).passed(1 << 30)
