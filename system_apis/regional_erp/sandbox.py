"""A Regional ERP that runs: ``python -m system_apis.regional_erp.sandbox --folder X --seed books.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `ErpSandbox` starts, kills and
restarts it for plays, benchmarks and tests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.sandboxes.child import SandboxProcess, end_with_parent, secret_file
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.http import HttpServer
from gateway.sandboxes.journal import Journal
from system_apis.regional_erp.erp.api import Api
from system_apis.regional_erp.erp.ledger import Ledger
from system_apis.regional_erp.erp.window import Window


class ErpSandbox(SandboxProcess):
    """The sandbox as a child process. It takes `calls_per_second` in any second (0: no limit); 429 beyond."""

    def __init__(self, folder: Path, *, seed: Mapping[str, Any], calls_per_second: int = 0, port: int = 0) -> None:
        arguments = ["--calls-per-second", str(calls_per_second)]
        super().__init__("system_apis.regional_erp.sandbox", folder, seed=seed, arguments=arguments, port=port)

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {"base_url": self.url, "token": f"file:{secret_file(self.folder, 'token')}"}


async def serve(folder: Path, ledger: Ledger, *, port: int, window: Window) -> None:
    """Run until SIGTERM or SIGINT."""
    received = Journal(folder / "received.jsonl")
    server = HttpServer(Api(ledger, received, FaultBox(), window, secret_file(folder, "token").read_text()).handle)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    taken = await server.start(port)
    print(json.dumps({"url": f"http://127.0.0.1:{taken}", "pid": os.getpid()}), flush=True)  # noqa: T201
    await stop.wait()
    await server.stop()
    received.close()
    ledger.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m system_apis.regional_erp.sandbox", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where its books and log are kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=Path, help="JSON with sites, articles, stock and customers, used when empty")
    parser.add_argument("--calls-per-second", type=int, default=0, help="what it takes in any second; 0: no limit")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    given = parser.parse_args()
    if given.die_with_parent:
        end_with_parent()
    given.folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(given.folder / "erp.sqlite3")
    if given.seed is not None:
        ledger.seed(json.loads(given.seed.read_text(encoding="utf-8")))
    asyncio.run(serve(given.folder, ledger, port=given.port, window=Window(given.calls_per_second)))


if __name__ == "__main__":
    main()
