"""A Regional WMS that runs: ``python -m system_apis.regional_wms.sandbox --folder X --seed stock.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `WmsSandbox` starts, kills and
restarts it for the demo and the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.child import SandboxProcess, end_with_parent, secret_file
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.http import HttpServer
from gateway.sandboxes.journal import Journal
from system_apis.regional_wms.warehouse.api import Api
from system_apis.regional_wms.warehouse.ledger import Ledger
from system_apis.regional_wms.warehouse.webhooks import Sender

_LET_GO_S: Final = 0.05  # see gateway/outbound/pools.py: the HTTP client's thread outlives its close


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


class WmsSandbox(SandboxProcess):
    """The sandbox as a child process."""

    def __init__(self, folder: Path, *, seed: Mapping[str, Any], webhook_url: str | None = None, port: int = 0) -> None:
        arguments = ["--webhook-url", webhook_url] if webhook_url else []
        super().__init__("system_apis.regional_wms.sandbox", folder, seed=seed, arguments=arguments, port=port)

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {
            "base_url": self.url,
            "api_key": f"file:{secret_file(self.folder, 'api_key')}",
            "webhook_secret": f"file:{secret_file(self.folder, 'webhook_secret')}",
        }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m system_apis.regional_wms.sandbox", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where its books and logs are kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--webhook-url", help="where webhooks go")
    parser.add_argument("--seed", type=Path, help="JSON with warehouses, items and stock, used when empty")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    given = parser.parse_args()
    if given.die_with_parent:
        end_with_parent()
    ledger = open_books(given.folder, given.seed)
    asyncio.run(serve(given.folder, ledger, port=given.port, webhook_url=given.webhook_url))


if __name__ == "__main__":
    main()
