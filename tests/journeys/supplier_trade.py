"""A purchase from its approval in the real Tryton to Tryton's books, on what `crossdock up --demo` starts.

The buyer works in Tryton, and in Crossdock by the process API; the supplier is a partner with a token and an address of
its own, and speaks by its door alone; the warehouse receives. `checker_purchase.py` judges what came of it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from gateway.app import administer
from gateway.identity.clients import add_client
from gateway.identity.grants import ClientKind
from gateway.identity.partners import add_partner
from gateway.kernel.secrets import resolve_secret
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from gateway.plays.demo import TENANT, Demo
from gateway.plays.partner_client import Credentials, PartnerClient
from gateway.plays.stack import Stack
from gateway.settings import load_settings
from tests.system_apis.tryton.buying import Buyer

ERP: Final = "erp_na"
WAREHOUSE: Final = "WH-N"
PROCUREMENT: Final = {"procurement": {"sources": [ERP], "booked": [ERP]}}
"""What the stack's settings need."""
LINES: Final = (("SKU-0138", "cs12", "8", "50"), ("SKU-0141", "u", "20", "4"))
PIECES: Final = {"SKU-0138": ("36", "60"), "SKU-0141": ("20",)}
"""What comes in of each article, in the parts in which the warehouse books it."""
_DEARER: Final = "4.40"
_DEARER_STILL: Final = "4.60"
_SCOPES: Final = ("purchase-orders:read", "purchase-orders:write")
_CHECKER: Final = Path(__file__).with_name("checker_purchase.py")
_PATIENCE_SECONDS: Final = 240.0


class Supplier(Struct, kw_only=True):
    """One that we buy from: the partner that speaks for it, with its address."""

    code: str
    partner: str
    client: PartnerClient
    log: Path
    webhook_log: Path
    secret: Path
    receiver: asyncio.subprocess.Process

    def heard(self) -> list[dict[str, Any]]:
        """What it was told by webhook, in the order in which it arrived."""
        if not self.webhook_log.exists():
            return []
        entries = self.webhook_log.read_text(encoding="utf-8").splitlines()
        return [json.loads(base64.b64decode(json.loads(entry)["body"])) for entry in entries]


class Trade:
    """One purchase on a started stack, past every party; `plan` says where the checker finds what it left."""

    def __init__(self, stack: Stack, demo: Demo, folder: Path) -> None:
        self._stack = stack
        self._demo = demo
        self._folder = folder
        self._settings = load_settings(stack.settings_path)
        self._suppliers: list[Supplier] = []
        self.plan: dict[str, Any] = {}

    async def run(self) -> list[dict[str, Any]]:
        """Trade, and what the checker finds of it."""
        supplier, other = await self._supplier("SUP2"), await self._supplier("SUP3")
        office = await self._office()
        try:
            await self._onboard(supplier)
            await self._make_known(other)
            await self._buy()
            order = await self._hears(supplier, "ordered")
            await self._trade(supplier, office, order)
            await other.client.call("look", "GET", f"/supplier/v1/purchase-orders/{order['id']}")
            await other.client.call("list", "GET", "/supplier/v1/purchase-orders")
            self.plan |= _evidence(supplier, other, order["id"])
            return await self.check()
        finally:
            for client in (office, supplier.client, other.client):
                await client.__aexit__()

    async def close(self) -> None:
        """End what was started beside the stack."""
        for each in self._suppliers:
            if each.receiver.returncode is None:
                each.receiver.terminate()
            await each.receiver.wait()

    async def check(self, plan: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """What the checker finds; of another plan than what happened it must find the lie."""
        return [json.loads(line) for line in await self._ask("check", plan or self.plan)]

    # --- who takes part -------------------------------------------------------------------------------------------

    async def _supplier(self, code: str) -> Supplier:
        """A partner with the scopes of a supplier, and somebody who listens at its address."""
        place = self._folder / code
        place.mkdir(parents=True)
        secret, webhook_log = place / "webhook-secret", place / "webhooks.jsonl"
        receiver = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.plays.receiver", "--log", str(webhook_log), "--secret-file", str(secret),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert receiver.stdout is not None
        port = int(await receiver.stdout.readline())
        made = await administer(
            self._settings,
            partial(
                add_partner, tenant=TENANT, name=f"Supplier {code}", channel="web", plan="standard", accounts=[code],
                scopes=_SCOPES, webhook_url=f"http://127.0.0.1:{port}/webhooks",
            ),
        )  # fmt: skip
        secret.write_text(made.webhook_secret or "", encoding="utf-8")
        credentials = Credentials(client_id=made.client_id, client_secret=made.client_secret, api_key=made.api_key)
        log = place / "client.jsonl"
        client = PartnerClient(self._stack.gateway_url, credentials, log=log)
        found = Supplier(
            code=code, partner=made.partner_id, client=client, log=log, webhook_log=webhook_log, secret=secret,
            receiver=receiver,
        )  # fmt: skip
        self._suppliers.append(found)
        return found

    async def _office(self) -> PartnerClient:
        """The buyers' own application, at the process API."""
        given = {"kind": ClientKind.APPLICATION, "scopes": ("purchases:read", "purchases:decide")}
        made = await administer(self._settings, partial(add_client, tenant=TENANT, name="purchasing", **given))
        credentials = Credentials(client_id=made.client_id, client_secret=made.client_secret, api_key="")
        return PartnerClient(self._stack.gateway_url, credentials, log=self._folder / "office.jsonl")

    async def _make_known(self, supplier: Supplier) -> str:
        known = await self._command(
            "add", supplier.code, "--code", f"{ERP}={supplier.code}", "--partner", supplier.partner
        )
        made: str = known["id"]
        return made

    async def _onboard(self, supplier: Supplier) -> None:
        """Papers and terms, then the test order: told by webhook, answered by the door."""
        known = await self._make_known(supplier)
        for step in ("documents", "terms"):
            await self._command("step", known, step)
        await self._command("test-order", known)
        [told] = await _until("a webhook about the test order", partial(_told, supplier, f"TEST-{known}", "ordered"))
        answer = {"number": "TEST", "lines": [{"line": 1, "code": "IA", "amount": told["lines"][0]["amount"]}]}
        await _said(supplier, "test order", told, "acknowledgements", answer)
        standing = await supplier.client.call("standing", "GET", "/supplier/v1/standing")
        assert standing.json()["state"] == "active", standing.text

    async def _command(self, *words: str) -> Any:
        """`crossdock supplier`, as its operator types it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "supplier", *words,
            "--settings", str(self._stack.settings_path), "--json", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, (words, said)
        return json.loads(said)

    # --- what happens ---------------------------------------------------------------------------------------------

    async def _buy(self) -> None:
        """Entered and approved in Tryton, after the checker has looked at what Tryton counts."""
        tryton, wms = self._settings.systems[ERP].settings, self._settings.systems["wms_north"].settings
        self.plan = {
            "tryton": {
                "url": tryton["base_url"],
                "database": tryton["database"],
                "user": "admin",
                "password": self._demo.tryton.admin_password.reveal(),
            },
            "wms": {
                "url": wms["base_url"],
                "api_key": resolve_secret(wms["api_key"], setting="api_key").reveal(),
            },
            "warehouse": WAREHOUSE,
            "skus": list(PIECES),
        }
        [before] = await self._ask("observe", self.plan)
        async with Outbound() as door:
            session = door.session("buyer", self._demo.tryton.url, SystemLimits(retries=0))
            number, _ = await Buyer(self._demo.tryton, session).buy(*LINES, supplier="SUP2", warehouse=WAREHOUSE)
        self.plan |= {"before": json.loads(before), "number": number}

    async def _hears(self, supplier: Supplier, occasion: str) -> dict[str, Any]:
        """The order as the supplier is told it by webhook."""
        [order, *_] = await _until(f"a webhook: {occasion}", partial(_told, supplier, self.plan["number"], occasion))
        told: dict[str, Any] = order
        return told

    async def _trade(self, supplier: Supplier, office: PartnerClient, order: dict[str, Any]) -> None:
        """Answered, advised, received, billed; what departs from the order is a buyer's."""
        cases, pieces = sorted(order["lines"], key=lambda line: line["sku"])
        day = datetime.now(UTC).date()
        answer = [
            {"line": cases["line"], "code": "IA", "amount": cases["amount"]},
            {"line": pieces["line"], "code": "IP", "amount": pieces["amount"], "unit_price": _DEARER},
        ]
        await _said(supplier, "acknowledgement", order, "acknowledgements", {"number": "A-1", "lines": answer})
        await self._accept(office, order["id"], "purchase.price_changed")
        on_its_way = [{"line": line["line"], "amount": line["amount"]} for line in (cases, pieces)]
        notice = {"number": "N-1", "expected": str(day + timedelta(days=3)), "lines": on_its_way}
        await _said(supplier, "ship notice", order, "ship-notices", notice)
        for sku, parts in PIECES.items():
            for amount in parts:
                await self._demo.warehouses["wms_north"].control(
                    "receive", warehouse="NOR1", client_sku=sku, quantity=amount, document=order["number"]
                )
        billed = [
            {"line": cases["line"], "amount": cases["amount"], "unit_price": cases["unit_price"]},
            {"line": pieces["line"], "amount": pieces["amount"], "unit_price": _DEARER_STILL},
        ]
        invoice = {
            "number": f"INV-{order['number']}",
            "invoiced": str(day),
            "currency": order["currency"],
            "lines": billed,
        }
        await _said(supplier, "invoice", order, "invoices", invoice)
        await self._hears(supplier, "invoice_blocked")
        await self._accept(office, order["id"], "invoice.price")
        await _until("the invoice posted in the ERP", partial(self._posted, supplier, order["id"]))
        await self._hears(supplier, "invoice_in_books")

    async def _accept(self, office: PartnerClient, purchase: str, code: str) -> None:
        """The buyer takes what departs from the order."""
        one = f"/process/procure-to-pay/v1/purchases/{purchase}"

        async def open_ones() -> list[dict[str, Any]]:
            known = (await office.call("read", "GET", one)).json()
            return [each for each in known["needs"] if each["code"] == code]

        [need] = await _until(f"something to decide: {code}", open_ones)
        decision = {"subject": need["key"], "accept": True, "reason": "agreed by telephone"}
        taken = await office.call("decide", "POST", f"{one}/decisions", body=decision)
        assert taken.status_code == 200, taken.text

    async def _posted(self, supplier: Supplier, purchase: str) -> bool:
        known = (await supplier.client.call("look", "GET", f"/supplier/v1/purchase-orders/{purchase}")).json()
        return [each["in_books"] for each in known["invoices"]] == ["posted"]

    async def _ask(self, mode: str, plan: dict[str, Any]) -> Sequence[str]:
        path = self._folder / f"{mode}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(plan), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_CHECKER), mode, str(path), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        return said.decode().splitlines()


async def _said(supplier: Supplier, label: str, order: dict[str, Any], what: str, body: dict[str, Any]) -> None:
    """What the supplier says by its door, about the order as it saw it last."""
    one = f"/supplier/v1/purchase-orders/{order['id']}"
    tag = (await supplier.client.call("look", "GET", one)).headers["etag"]
    headers = {"If-Match": tag} if what == "acknowledgements" else {}
    answer = await supplier.client.call(label, "POST", f"{one}/{what}", body=body, headers=headers)
    assert answer.status_code == 200, answer.text


def _evidence(supplier: Supplier, other: Supplier, purchase: str) -> dict[str, Any]:
    return {
        "purchase": purchase,
        "supplier_log": str(supplier.log),
        "webhook_log": str(supplier.webhook_log),
        "webhook_secret": supplier.secret.read_text(encoding="utf-8"),
        "other_log": str(other.log),
        "other_webhook_log": str(other.webhook_log),
    }


async def _told(supplier: Supplier, number: str, occasion: str) -> list[dict[str, Any]]:
    """What a supplier heard of an order on such an occasion."""
    heard = [each for each in supplier.heard() if each["type"] == "purchase_order.updated"]
    return [each["data"] for each in heard if (each["data"]["number"], each["occasion"]) == (number, occasion)]


async def _until(what: str, found: Callable[[], Awaitable[Any]]) -> Any:
    """Wait for something that is true, and return it."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not (value := await found()):
        assert time.monotonic() < end, f"there was not {what} within {_PATIENCE_SECONDS:.0f} s"
        await asyncio.sleep(1)
    return value
