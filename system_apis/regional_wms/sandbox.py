"""A Regional WMS that runs: ``python -m system_apis.regional_wms.sandbox --folder X --seed stock.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `WmsSandbox` starts, kills and
restarts it for the demo and the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.child import SandboxProcess, secret_file
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from gateway.sandboxes.serving import begun, command_line, fill, serve
from system_apis.regional_wms.warehouse.api import Api
from system_apis.regional_wms.warehouse.ledger import Ledger
from system_apis.regional_wms.warehouse.webhooks import Sender

_MODULE: Final = "system_apis.regional_wms.sandbox"


class WmsSandbox(SandboxProcess):
    """The sandbox as a child process."""

    def __init__(self, folder: Path, *, seed: Mapping[str, Any], webhook_url: str | None = None, port: int = 0) -> None:
        arguments = ["--webhook-url", webhook_url] if webhook_url else []
        super().__init__(_MODULE, folder, seed=seed, arguments=arguments, port=port)

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {
            "base_url": self.url,
            "api_key": f"file:{secret_file(self.folder, 'api_key')}",
            "webhook_secret": f"file:{secret_file(self.folder, 'webhook_secret')}",
        }


def main() -> None:
    """Command line."""
    parser = command_line(_MODULE, __doc__, seed="warehouses, items and stock")
    parser.add_argument("--webhook-url", help="where webhooks go")
    given = begun(parser)
    ledger, faults = Ledger(given.folder / "wms.sqlite3"), FaultBox()
    fill(ledger.seed, given.seed)
    received, sent = Journal(given.folder / "received.jsonl"), Journal(given.folder / "webhooks.jsonl")
    sender = Sender(ledger, sent, faults, secret_file(given.folder, "webhook_secret").read_text())
    if given.webhook_url:
        sender.url = given.webhook_url
    api = Api(ledger, received, sent, faults, sender, secret_file(given.folder, "api_key").read_text())
    serve(api.handle, port=given.port, closing=(received.close, sent.close, ledger.close), sender=sender)


if __name__ == "__main__":
    main()
