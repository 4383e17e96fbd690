"""A simulated S/4HANA that runs: ``python -m system_apis.sap_s4.sandbox --folder X --seed data.json``.

It is mock-sap (by others) in a process of its own with the additions of `simulator.py`: OData v2 on loopback behind a
password and CSRF tokens, books in SQLite under `--folder` that outlive ``kill -9``. One line of JSON (``{"url": …}``)
says when it is ready. Its own faults are at ``/_mock/faults``, or by `--error-rate` and `--latency-ms`.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.kernel.errors import CrossdockError
from gateway.sandboxes.child import SandboxProcess, secret_file
from gateway.sandboxes.serving import begun, command_line, ready
from system_apis.sap_s4 import simulator

USER: Final = "CROSSDOCK"
SALES_ORGANIZATION: Final = "1710"


class SapSandbox(SandboxProcess):
    """The sandbox as a child process. `look` and `control` reach mock-sap's ``/_mock``: ``requests``, ``faults``."""

    def __init__(
        self, folder: Path, *, seed: Mapping[str, Any], port: int = 0, error_rate: float = 0, latency_ms: int = 0
    ) -> None:
        arguments = ["--error-rate", str(error_rate), "--latency-ms", str(latency_ms)]
        super().__init__("system_apis.sap_s4.sandbox", folder, seed=seed, arguments=arguments, port=port)

    def settings(self) -> dict[str, Any]:
        """Settings of an instance that speaks to this sandbox."""
        return {
            "base_url": self.url,
            "user": USER,
            "password": f"file:{secret_file(self.folder, 'password')}",
            "client": "100",
            "sales_organization": SALES_ORGANIZATION,
            "settle_time_s": 2.0,
        }


def seed_of(
    items: Sequence[Mapping[str, Any]], customers: Sequence[Mapping[str, Any]], stock: Sequence[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Data for a new system.

    `items` have `code`, `name`, `unit` (SAP's) and `packs` (SAP's unit to base units), `customers` `code`, `name`,
    `terms` and `blocked`, `stock` `code`, `plant`, `quantity`, `unit` and SAP's `stock_type` and `batch`.
    """
    area = {"SalesOrganization": SALES_ORGANIZATION, "DistributionChannel": "10", "Division": "00"}
    return {
        "A_Product": [
            {
                "Product": each["code"],
                "ProductType": "FERT",
                "BaseUnit": each["unit"],
                "to_Description": [
                    {"Product": each["code"], "Language": "EN", "ProductDescription": each["name"][:40]}
                ],
            }
            for each in items
        ],
        "A_ProductUnitsOfMeasure": [
            {"Product": each["code"], "AlternativeUnit": unit, "QuantityNumerator": factor, "QuantityDenominator": "1"}
            for each in items
            for unit, factor in each.get("packs", {}).items()
        ],
        "A_BusinessPartner": [
            {
                "BusinessPartner": each["code"],
                "Customer": each["code"],
                "BusinessPartnerCategory": "2",
                "BusinessPartnerFullName": each["name"],
            }
            for each in customers
        ],
        "A_CustomerSalesArea": [
            {
                "Customer": each["code"],
                **area,
                "CustomerPaymentTerms": each.get("terms", "NT30"),
                "OrderIsBlockedForCustomer": "01" if each.get("blocked") else "",
            }
            for each in customers
        ],
        "A_MatlStkInAcctMod": [
            {
                "Material": each["code"],
                "Plant": each["plant"],
                "StorageLocation": "0001",
                "Batch": each.get("batch", ""),
                "InventoryStockType": each.get("stock_type", "01"),
                "MaterialBaseUnit": each["unit"],
                "MatlWrhsStkQtyInMatlBaseUnit": each["quantity"],
            }
            for each in stock
        ],
    }


def serve(folder: Path, seed: Path | None, *, port: int, error_rate: float, latency_ms: int) -> None:
    """Run until SIGTERM or SIGINT."""
    books = folder / "sap.sqlite3"
    new = not books.exists()
    sap = simulator.load()
    password = secret_file(folder, "password").read_text(encoding="utf-8")
    config = sap["server"].Config(
        port=port, db_path=str(books), basic_auth=f"{USER}:{password}", error_rate=error_rate, latency_ms=latency_ms,
        quiet=True, client="100", user=USER,
    )  # fmt: skip
    httpd = sap["server"].make_server(config)
    httpd.mock.conn.execute("PRAGMA synchronous=OFF")  # its books outlive the process, not the machine
    if new and seed is not None:
        simulator.fill(sap, httpd.mock.conn, seed)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=httpd.shutdown).start())
    ready(f"http://127.0.0.1:{httpd.server_address[1]}")
    httpd.serve_forever(poll_interval=0.05)
    httpd.server_close()


def main() -> int:
    """Command line."""
    parser = command_line("system_apis.sap_s4.sandbox", __doc__, seed="rows of SAP's entities")
    parser.add_argument("--error-rate", type=float, default=0.0, help="part of the requests that get a 500")
    parser.add_argument("--latency-ms", type=int, default=0, help="delay of every request")
    given = begun(parser)
    try:
        serve(given.folder, given.seed, port=given.port, error_rate=given.error_rate, latency_ms=given.latency_ms)
    except CrossdockError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
