"""A parcel carrier that runs: ``python -m system_apis.parcel_carrier.sandbox --folder X --seed depots.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `CarrierSandbox` starts, kills and
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

from gateway.sandboxes.bucket import Bucket
from gateway.sandboxes.child import SandboxProcess, end_with_parent, secret_file
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.http import HttpServer
from gateway.sandboxes.journal import Journal
from system_apis.parcel_carrier.carrier.api import Api
from system_apis.parcel_carrier.carrier.books import Books
from system_apis.parcel_carrier.carrier.webhooks import Sender

_LET_GO_S: Final = 0.05  # see gateway/outbound/pools.py: the HTTP client's thread outlives its close


class CarrierSandbox(SandboxProcess):
    """The sandbox as a child process; it grants `rate` calls a second (0: no limit) and `burst` at once."""

    def __init__(
        self,
        folder: Path,
        *,
        depots: Mapping[str, Mapping[str, str]],
        webhook_url: str | None = None,
        rate: float = 25.0,
        burst: int = 50,
        port: int = 0,
    ) -> None:
        arguments = ["--rate", str(rate), "--burst", str(burst)]
        arguments += ["--webhook-url", webhook_url] if webhook_url else []
        super().__init__(
            "system_apis.parcel_carrier.sandbox", folder, seed={"depots": depots}, arguments=arguments, port=port
        )

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {
            "base_url": self.url,
            "api_key": f"file:{secret_file(self.folder, 'api_key')}",
            "webhook_secret": f"file:{secret_file(self.folder, 'webhook_secret')}",
        }


async def serve(folder: Path, books: Books, *, port: int, bucket: Bucket, webhook_url: str | None) -> None:
    """Run until SIGTERM or SIGINT."""
    received, sent, faults = Journal(folder / "received.jsonl"), Journal(folder / "webhooks.jsonl"), FaultBox()
    sender = Sender(books, sent, faults, secret_file(folder, "webhook_secret").read_text())
    if webhook_url:
        sender.url = webhook_url
    api = Api(books, received, faults, bucket, sender, secret_file(folder, "api_key").read_text())
    server = HttpServer(api.handle)
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
    for thing in (received, sent, books):
        thing.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m system_apis.parcel_carrier.sandbox", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where its books and logs are kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--webhook-url", help="where webhooks go")
    parser.add_argument("--seed", type=Path, help="JSON with the account's depots")
    parser.add_argument("--rate", type=float, default=25.0, help="calls a second that it grants; 0: no limit")
    parser.add_argument("--burst", type=int, default=50, help="calls at once that it grants")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    given = parser.parse_args()
    if given.die_with_parent:
        end_with_parent()
    given.folder.mkdir(parents=True, exist_ok=True)
    books = Books(given.folder / "carrier.sqlite3")
    if given.seed is not None:
        books.seed(json.loads(given.seed.read_text(encoding="utf-8")))
    bucket = Bucket(size=given.burst, rate=given.rate)
    asyncio.run(serve(given.folder, books, port=given.port, bucket=bucket, webhook_url=given.webhook_url))


if __name__ == "__main__":
    main()
