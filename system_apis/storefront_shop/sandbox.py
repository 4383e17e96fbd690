"""A storefront shop that runs: ``python -m system_apis.storefront_shop.sandbox --folder X --seed levels.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `ShopSandbox` starts, kills and
restarts it for the tests and benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.bucket import Bucket
from gateway.sandboxes.child import SandboxProcess, secret_file
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from gateway.sandboxes.serving import begun, command_line, fill, serve
from system_apis.storefront_shop.shop.api import Api
from system_apis.storefront_shop.shop.books import Books

_MODULE: Final = "system_apis.storefront_shop.sandbox"


class ShopSandbox(SandboxProcess):
    """The sandbox as a child process; its bucket leaks `rate` calls a second (0: no limit) and holds `burst`."""

    def __init__(
        self, folder: Path, *, levels: Mapping[str, int], rate: float = 2.0, burst: int = 40, port: int = 0
    ) -> None:
        arguments = ["--rate", str(rate), "--burst", str(burst)]
        super().__init__(_MODULE, folder, seed={"levels": levels}, arguments=arguments, port=port)

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {"base_url": self.url, "access_key": f"file:{secret_file(self.folder, 'access_key')}"}


def main() -> None:
    """Command line."""
    parser = command_line(_MODULE, __doc__, seed='{"levels": {"SKU": 7}}')
    parser.add_argument("--rate", type=float, default=2.0, help="calls a second that leak from the bucket; 0: no limit")
    parser.add_argument("--burst", type=int, default=40, help="calls that the bucket holds")
    given = begun(parser)
    books, received = Books(given.folder / "shop.sqlite3"), Journal(given.folder / "received.jsonl")
    fill(books.seed, given.seed)
    bucket, key = Bucket(size=given.burst, rate=given.rate), secret_file(given.folder, "access_key").read_text()
    api = Api(books, received, FaultBox(), bucket, key)
    serve(api.handle, port=given.port, closing=(api.shoppers.end, received.close, books.close))


if __name__ == "__main__":
    main()
