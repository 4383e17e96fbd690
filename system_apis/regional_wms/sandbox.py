"""A Regional WMS that runs: ``python -m system_apis.regional_wms.sandbox --folder X --seed stock.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `WmsSandbox` starts, kills and
restarts it for the demo and the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from system_apis.regional_wms.warehouse.api import Api
from system_apis.regional_wms.warehouse.faults import FaultBox
from system_apis.regional_wms.warehouse.http import HttpServer
from system_apis.regional_wms.warehouse.journal import Journal
from system_apis.regional_wms.warehouse.ledger import Ledger
from system_apis.regional_wms.warehouse.webhooks import Sender

_ROOT: Final = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG: Final = 1
_START_S: Final = 20.0
_LET_GO_S: Final = 0.05  # see gateway/outbound/pools.py: the HTTP client's thread outlives its close


def secret_file(folder: Path, name: str) -> Path:
    """The file of one secret of the sandbox, made with mode 0600 when it is missing."""
    path = folder / name
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path


def open_books(folder: Path, seed: Path | None) -> Ledger:
    """The books in `folder`, filled from `seed` when they are new."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "wms.sqlite3")
    if seed is not None:
        ledger.seed(json.loads(seed.read_text(encoding="utf-8")))
    return ledger


async def serve(folder: Path, ledger: Ledger, *, port: int, webhook_url: str | None) -> None:
    """Run until SIGTERM or SIGINT, on books that `open_books` opened."""
    received, sent, faults = Journal(folder / "received.jsonl"), Journal(folder / "webhooks.jsonl"), FaultBox()
    sender = Sender(ledger, sent, faults, secret_file(folder, "webhook_secret").read_text())
    if webhook_url:
        sender.url = webhook_url
    server = HttpServer(Api(ledger, received, sent, faults, sender, secret_file(folder, "api_key").read_text()).handle)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    taken = await server.start(port)
    sending = asyncio.create_task(sender.run())
    print(json.dumps({"url": f"http://127.0.0.1:{taken}", "pid": os.getpid()}), flush=True)  # noqa: T201
    await stop.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await server.stop()
    await asyncio.sleep(_LET_GO_S)
    for thing in (received, sent, ledger):
        thing.close()


class ControlRefused(Exception):
    """The sandbox refused a control command; the message says why."""


class WmsSandbox:
    """The sandbox as a child process. `seed` is written to the folder and used when the books are empty."""

    def __init__(self, folder: Path, *, seed: Mapping[str, Any], webhook_url: str | None = None, port: int = 0) -> None:
        self.folder = folder
        self._seed = seed
        self._webhook_url = webhook_url
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> str:
        """Start and wait until it answers; returns its base URL, the same after a restart."""
        self.folder.mkdir(parents=True, exist_ok=True)
        seed = self.folder / "seed.json"
        seed.write_text(json.dumps(self._seed), encoding="utf-8")
        command = [sys.executable, "-m", "system_apis.regional_wms.sandbox", "--die-with-parent"]
        command += ["--port", str(self._port), "--folder", str(self.folder), "--seed", str(seed)]
        if self._webhook_url:
            command += ["--webhook-url", self._webhook_url]
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        )
        if self._process.stdout is None:
            raise RuntimeError("the sandbox has no standard output")
        async with asyncio.timeout(_START_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the WMS sandbox did not start: see the lines above; folder {self.folder}")
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])
        return self.url

    async def stop(self) -> None:
        """End it cleanly."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> str:
        """Kill it and start it again on the same port with the same books."""
        await self.kill()
        return await self.start()

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._process = None

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {
            "base_url": self.url,
            "api_key": f"file:{secret_file(self.folder, 'api_key')}",
            "webhook_secret": f"file:{secret_file(self.folder, 'webhook_secret')}",
        }

    async def control(self, name: str, /, **body: Any) -> dict[str, Any]:
        """Do something in the warehouse, for example ``control("ship", client_reference=…)``."""
        return await asyncio.to_thread(self._ask, name, json.dumps(body).encode())

    async def look(self, name: str) -> dict[str, Any]:
        """Read a control resource: ``requests``, ``webhooks``, ``orders``, ``stock``, ``faults``."""
        return await asyncio.to_thread(self._ask, name, None)

    def _ask(self, name: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/_control/{name}", data=body)  # noqa: S310 - our own child
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=20) as answer:
                result: dict[str, Any] = json.loads(answer.read())
                return result
        except urllib.error.HTTPError as error:
            with error:
                raise ControlRefused(f"{name}: {error.code} {error.read().decode()}") from None


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m system_apis.regional_wms.sandbox", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where its books and logs are kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--webhook-url", help="where webhooks go")
    parser.add_argument("--seed", type=Path, help="JSON with warehouses, items and stock, used when empty")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    given = parser.parse_args()
    if given.die_with_parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    ledger = open_books(given.folder, given.seed)
    asyncio.run(serve(given.folder, ledger, port=given.port, webhook_url=given.webhook_url))


if __name__ == "__main__":
    main()
