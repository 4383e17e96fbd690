"""Tryton 8.2 on PostgreSQL: a promise is ``stock.shipment.out.assign_try`` of a shipment that was made and set waiting.

Tryton is GPL-3 software: it runs in processes and an environment of its own and is spoken to over JSON-RPC. The demo
distributor of our sandbox is written into it, with the articles of this benchmark beside.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from benchmarks.beside.sides import PLENTY, Want, one_of, sku_of
from benchmarks.beside.wire import Line
from benchmarks.processes import ROOT, free_port, running
from gateway.canonical.capabilities import Call
from gateway.kernel.secrets import Secret
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.tryton import sandbox_build, sandbox_data
from system_apis.tryton.client import Client

DRIVER: Final = ROOT / ".crossdock" / "peers" / "tryton-postgres"
_CACHE: Final = ROOT / ".crossdock" / "cache" / "tryton"
_DATABASE: Final = "tryton"
_PATIENCE: Final = 600.0
_BATCH: Final = 100


def missing() -> str | None:
    """Why it cannot be measured."""
    return None if (DRIVER / "psycopg").exists() else f"not installed ({DRIVER} is missing): make bench-peers"


class Tryton:
    """Server processes on one database, each with its share of the clients."""

    name = "tryton"
    refusals: frozenset[str] = frozenset({"answered"})  # it tells no client whether anything was assigned
    busy: frozenset[str] = frozenset({"HTTP 503"})  # after its own five attempts to lock the moves of the articles

    def __init__(self, url: str, ports: Sequence[int], clients: int, books: Books, session: str) -> None:
        self.url = url
        self.about = f"Tryton 8.2 on PostgreSQL, {len(ports)} server processes; assign_try of waiting shipments"
        self._books = books
        self._session = session
        self._ids = itertools.count(1)
        self._lines = [Line(port) for _, port in zip(range(clients), itertools.cycle(ports), strict=False)]

    async def prepare(self, orders: Sequence[Want], *, race: bool = False) -> list[Any]:  # noqa: ARG002 - one step
        """Shipments, waiting."""
        made: list[Any] = []
        for start in range(0, len(orders), _BATCH):
            made += await self._books.shipments(orders[start : start + _BATCH])
        return made

    async def claim(self, lane: int, prepared: Any) -> str:
        """Assign, then nothing more: that it is assigned wholly is for the database to say."""
        content = {
            "id": next(self._ids),
            "method": "model.stock.shipment.out.assign_try",
            "params": [[prepared], self._books.context],
        }
        status, _, answer = await self._lines[lane].post(f"/{_DATABASE}/rpc/", content, Authorization=self._session)
        if status != 200 or not isinstance(answer, dict):
            return f"HTTP {status}"
        if (error := answer.get("error")) is not None:
            return str(error[0]).strip().splitlines()[0][:80]
        return "answered"

    def close(self) -> None:
        """Hang up."""
        for line in self._lines:
            line.close()


class Books:
    """Writes through the ordinary calls of Tryton's client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.context: dict[str, Any] = {}
        self._products: dict[str, int] = {}

    async def _call(self, method: str, *arguments: object) -> Any:
        call = Call(tenant="bench", correlation_id="beside", deadline=time.monotonic() + _PATIENCE)
        return await self._client.write(call, f"model.{method}", *arguments, context=self.context)

    async def _first(self, model: str, *domain: object) -> int:
        return int((await self._call(f"{model}.search", list(domain), 0, 1, None))[0])

    async def open(self, given: Any, password: str) -> None:
        """The demo distributor and the articles, with their stock in its first warehouse."""
        call = Call(tenant="bench", correlation_id="beside", deadline=time.monotonic() + _PATIENCE)
        await sandbox_data.fill(self._client, call, password=password, progress=lambda _: None)
        self.context = {"company": await self._first("company.company")}
        self._unit = await self._first("product.uom", ("name", "=", "Unit"))
        self._currency = await self._first("currency.currency")
        self._warehouse = await self._first("stock.location", ("code", "=", "WH-N"))
        [zones] = await self._call("stock.location.read", [self._warehouse], ["storage_location", "output_location"])
        self._storage, self._output = zones["storage_location"], zones["output_location"]
        self._customer_location = await self._first("stock.location", ("type", "=", "customer"))
        self._customer = await self._first("party.party", ("code", "=", "CUST1"))
        self._address = await self._first("party.address", ("party", "=", self._customer))
        category = await self._first("product.category", ("accounting", "=", True))
        skus = [*map(sku_of, range(given.items)), *map(one_of, range(given.rounds))]
        for start in range(0, len(skus), _BATCH):
            await self._articles(skus[start : start + _BATCH], category)

    async def _articles(self, skus: Sequence[str], category: int) -> None:
        await self._call(
            "product.template.create",
            [
                {
                    "name": sku, "code": sku, "type": "goods", "salable": True, "default_uom": self._unit,
                    "sale_uom": self._unit, "list_price": Decimal(10), "account_category": category,
                    "cost_price_method": "fixed", "products": [("create", [{"cost_price": Decimal(4)}])],
                }
                for sku in skus
            ],
        )  # fmt: skip
        rows = await self._call("product.product.search_read", [("code", "in", list(skus))], 0, None, None, ["code"])
        self._products |= {row["code"]: row["id"] for row in rows}
        lines = [
            {"product": self._products[sku], "quantity": 1.0 if sku.startswith("ONE-") else float(PLENTY)}
            for sku in skus
        ]
        [inventory] = await self._call(
            "stock.inventory.create",
            [{"location": self._storage, "company": self.context["company"], "lines": [("create", lines)]}],
        )
        await self._call("stock.inventory.confirm", [inventory])

    async def shipments(self, orders: Sequence[Want]) -> list[int]:
        """Made and set waiting, in one call each for all of them."""
        made = await self._call("stock.shipment.out.create", [self._shipment(want) for want in orders])
        await self._call("stock.shipment.out.wait", made)
        return [int(number) for number in made]

    def _shipment(self, want: Want) -> dict[str, Any]:
        company = self.context["company"]
        moves = [
            {
                "product": self._products[sku], "unit": self._unit, "quantity": float(amount),
                "from_location": self._output, "to_location": self._customer_location, "company": company,
                "unit_price": Decimal(10), "currency": self._currency,
            }
            for sku, amount in want
        ]  # fmt: skip
        return {
            "customer": self._customer, "delivery_address": self._address, "warehouse": self._warehouse,
            "warehouse_storage": self._storage, "warehouse_output": self._output, "company": company,
            "planned_date": date.today(), "outgoing_moves": [("create", moves)],  # noqa: DTZ011
        }  # fmt: skip


@asynccontextmanager
async def tryton(folder: Path, url: str, given: Any) -> AsyncIterator[Tryton]:
    """In the empty database `url`."""
    async with sandbox_build.locked(_CACHE, lambda _: None):
        python = await sandbox_build.environment(_CACHE, lambda _: None)
    passwords = sandbox_build.new_passwords()
    ports = [free_port() for _ in range(given.processes)]
    await asyncio.to_thread(_create, python, folder, url, passwords)
    async with AsyncExitStack() as stack:
        for port in ports:
            _serve(stack, python, folder, url, port)
        outbound = await stack.enter_async_context(Outbound())
        session = outbound.session("tryton", f"http://127.0.0.1:{ports[0]}", SystemLimits(timeout=_PATIENCE))
        books = Books(Client(session, database=_DATABASE, user="admin", password=Secret(passwords.admin)))
        await books.open(given, passwords.integration)
        clients = max(given.clients, given.buyers)
        side = Tryton(url, ports, clients, books, await _log_in(ports[0], passwords.admin))
        yield side
        side.close()


def _serve(stack: AsyncExitStack, python: Path, folder: Path, url: str, port: int) -> None:
    command = [str(python), "-m", "trytond.cli", "-c", str(_config(folder, url, port)), "-d", _DATABASE]
    log = folder / f"trytond-{port}.log"
    stack.enter_context(running(command, port=port, log=log, folder=folder, PYTHONPATH=str(DRIVER)))


def _config(folder: Path, url: str, port: int) -> Path:
    path = folder / f"trytond-{port}.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"[database]\nuri = {url.rpartition('/')[0]}/\n"
        f"[web]\nlisten = 127.0.0.1:{port}\nroot = {folder / 'no-web-client'}\n"
        "[session]\nmax_attempt = 1000\nmax_attempt_ip_network = 10000\n[attachment]\nfilestore = False\n",
        encoding="utf-8",
    )
    return path


def _create(python: Path, folder: Path, url: str, passwords: sandbox_build.Passwords) -> None:
    secret = folder / "tryton-admin"
    secret.touch(mode=0o600)
    secret.write_text(passwords.admin, encoding="utf-8")
    done = subprocess.run(
        [
            str(python), "-m", "trytond.cli.admin", "-c", str(_config(folder, url, 0)), "-d", _DATABASE,
            "--email", "admin@example.com", "-u", *sandbox_build.MODULES, "--activate-dependencies",
        ],
        env={**os.environ, "PYTHONPATH": str(DRIVER), "TRYTONPASSFILE": str(secret)}, cwd=folder, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"trytond-admin failed: {done.stderr[-2000:]}")


async def _log_in(port: int, password: str) -> str:
    line = Line(port)
    content = {"id": 0, "method": "common.db.login", "params": ["admin", {"password": password}, "en"]}
    _, _, answer = await line.post(f"/{_DATABASE}/rpc/", content)
    line.close()
    user, token, *_ = answer["result"]
    return "Session " + base64.b64encode(f"admin:{user}:{token}".encode()).decode()
