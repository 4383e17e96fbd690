"""A parcel carrier that runs: ``python -m system_apis.parcel_carrier.sandbox --folder X --seed depots.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `CarrierSandbox` starts, kills and
restarts it for the demo and the tests.
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
from system_apis.parcel_carrier.carrier.api import Api
from system_apis.parcel_carrier.carrier.books import Books
from system_apis.parcel_carrier.carrier.webhooks import Sender

_MODULE: Final = "system_apis.parcel_carrier.sandbox"


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
        super().__init__(_MODULE, folder, seed={"depots": depots}, arguments=arguments, port=port)

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {
            "base_url": self.url,
            "api_key": f"file:{secret_file(self.folder, 'api_key')}",
            "webhook_secret": f"file:{secret_file(self.folder, 'webhook_secret')}",
        }


def main() -> None:
    """Command line."""
    parser = command_line(_MODULE, __doc__, seed="the account's depots")
    parser.add_argument("--webhook-url", help="where webhooks go")
    parser.add_argument("--rate", type=float, default=25.0, help="calls a second that it grants; 0: no limit")
    parser.add_argument("--burst", type=int, default=50, help="calls at once that it grants")
    given = begun(parser)
    books, faults = Books(given.folder / "carrier.sqlite3"), FaultBox()
    fill(books.seed, given.seed)
    received, sent = Journal(given.folder / "received.jsonl"), Journal(given.folder / "webhooks.jsonl")
    sender = Sender(books, sent, faults, secret_file(given.folder, "webhook_secret").read_text())
    if given.webhook_url:
        sender.url = given.webhook_url
    bucket, key = Bucket(size=given.burst, rate=given.rate), secret_file(given.folder, "api_key").read_text()
    api = Api(books, received, faults, bucket, sender, key)
    serve(api.handle, port=given.port, closing=(received.close, sent.close, books.close), sender=sender)


if __name__ == "__main__":
    main()
