"""A storefront shop that runs: ``python -m system_apis.storefront_shop.sandbox --folder X --seed levels.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `ShopSandbox` starts, kills and
restarts it for the tests and benchmarks.
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

from gateway.sandboxes.bucket import Bucket
from gateway.sandboxes.child import SandboxProcess, end_with_parent, secret_file
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.http import HttpServer
from gateway.sandboxes.journal import Journal
from system_apis.storefront_shop.shop.api import Api
from system_apis.storefront_shop.shop.books import Books


class ShopSandbox(SandboxProcess):
    """The sandbox as a child process; its bucket leaks `rate` calls a second (0: no limit) and holds `burst`."""

    def __init__(
        self, folder: Path, *, levels: Mapping[str, int], rate: float = 2.0, burst: int = 40, port: int = 0
    ) -> None:
        arguments = ["--rate", str(rate), "--burst", str(burst)]
        super().__init__(
            "system_apis.storefront_shop.sandbox", folder, seed={"levels": levels}, arguments=arguments, port=port
        )

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {"base_url": self.url, "access_key": f"file:{secret_file(self.folder, 'access_key')}"}


async def serve(folder: Path, books: Books, *, port: int, bucket: Bucket) -> None:
    """Run until SIGTERM or SIGINT."""
    received = Journal(folder / "received.jsonl")
    api = Api(books, received, FaultBox(), bucket, secret_file(folder, "access_key").read_text())
    server = HttpServer(api.handle)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    taken = await server.start(port)
    print(json.dumps({"url": f"http://127.0.0.1:{taken}", "pid": os.getpid()}), flush=True)  # noqa: T201
    await stop.wait()
    api.shoppers.end()
    await server.stop()
    received.close()
    books.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m system_apis.storefront_shop.sandbox", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where its books and log are kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=Path, help='JSON: {"levels": {"SKU": 7}}, used when empty')
    parser.add_argument("--rate", type=float, default=2.0, help="calls a second that leak from the bucket; 0: no limit")
    parser.add_argument("--burst", type=int, default=40, help="calls that the bucket holds")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    given = parser.parse_args()
    if given.die_with_parent:
        end_with_parent()
    given.folder.mkdir(parents=True, exist_ok=True)
    books = Books(given.folder / "shop.sqlite3")
    if given.seed is not None:
        books.seed(json.loads(given.seed.read_text(encoding="utf-8")))
    asyncio.run(serve(given.folder, books, port=given.port, bucket=Bucket(size=given.burst, rate=given.rate)))


if __name__ == "__main__":
    main()
