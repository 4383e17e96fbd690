"""A Regional ERP that runs: ``python -m system_apis.regional_erp.sandbox --folder X --seed books.json``.

It is a process of its own that speaks the contract of README.md on loopback, keeps its books in `--folder` through
``kill -9``, and prints one line of JSON (``{"url": …, "pid": …}``) when it is ready. `ErpSandbox` starts, kills and
restarts it for plays, benchmarks and tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.child import SandboxProcess, secret_file
from gateway.sandboxes.faults import FaultBox
from gateway.sandboxes.journal import Journal
from gateway.sandboxes.serving import begun, command_line, fill, serve
from system_apis.regional_erp.erp.api import Api
from system_apis.regional_erp.erp.ledger import Ledger
from system_apis.regional_erp.erp.window import Window

_MODULE: Final = "system_apis.regional_erp.sandbox"


class ErpSandbox(SandboxProcess):
    """The sandbox as a child process. It takes `calls_per_second` in any second (0: no limit); 429 beyond."""

    def __init__(self, folder: Path, *, seed: Mapping[str, Any], calls_per_second: int = 0, port: int = 0) -> None:
        arguments = ["--calls-per-second", str(calls_per_second)]
        super().__init__(_MODULE, folder, seed=seed, arguments=arguments, port=port)

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {"base_url": self.url, "token": f"file:{secret_file(self.folder, 'token')}"}


def main() -> None:
    """Command line."""
    parser = command_line(_MODULE, __doc__, seed="sites, articles, stock and customers")
    parser.add_argument("--calls-per-second", type=int, default=0, help="what it takes in any second; 0: no limit")
    given = begun(parser)
    ledger, received = Ledger(given.folder / "erp.sqlite3"), Journal(given.folder / "received.jsonl")
    fill(ledger.seed, given.seed)
    token, window = secret_file(given.folder, "token").read_text(), Window(given.calls_per_second)
    api = Api(ledger, received, FaultBox(), window, token)
    serve(api.handle, port=given.port, closing=(received.close, ledger.close))


if __name__ == "__main__":
    main()
