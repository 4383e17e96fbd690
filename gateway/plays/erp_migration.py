"""The play of an ERP's end: a business unit moves from Tryton to S/4HANA while its orders are open in every state.

It starts a stack of its own with both ERPs. What happened is judged by `checkers/erp_migration.py`, a process of its
own that imports nothing of ours: from the partners' log, the record, Tryton by RPC and S/4HANA by OData.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from gateway.kernel.errors import CrossdockError, Misconfigured
from gateway.kernel.ids import new_id
from gateway.kernel.secrets import resolve_secret
from gateway.plays.outage_traffic import SyncedLog
from gateway.plays.outages import evidence
from gateway.plays.partner_client import PartnerClient
from gateway.plays.progress import Progress
from gateway.plays.stack import Stack, find_running
from gateway.plays.two_erps import NEW, OLD, TwoErps
from gateway.settings import load_settings

_CHECKER: Final = "gateway.plays.checkers.erp_migration"
_PATIENCE_SECONDS: Final = 180.0
_CROSSING: Final = 10
_WIDTH: Final = 150
_SHIP_TO: Final = {
    "name": "Harbor Outfitters",
    "street": "12 Quay Street",
    "city": "Portland",
    "postal_code": "04101",
    "country": "US",
}
# What each order asks for: who, article, amount. Articles are the order's own, so that nothing of it is short.
_ORDERS: Final[dict[str, Sequence[tuple[str, str, str]]]] = {
    "completed": [("main", "SKU-0100", "4")],
    "partially_shipped": [("main", "SKU-0101", "4"), ("main", "SKU-0102", "5")],
    "picked": [("main", "SKU-0103", "4"), ("main", "SKU-0104", "6")],
    "released": [("main", "A/B-100", "3"), ("main", "GRÖßE-Ü-300", "2"), ("main", "SKU-0182", "1.25")],
    "held": [("poor", "SKU-0105", "90")],
    "backordered": [("market", "SKU-0195", "5")],
}
_SUBMITTED: Final = [("main", "SKU-0106", "3"), ("main", "SKU-0107", "2")]


class StepFailed(CrossdockError):
    """A step did not show what it should."""

    default_code = "play.step_failed"


class ErpMigration:
    """One play on a started stack."""

    def __init__(self, stack: Stack, demo: TwoErps) -> None:
        self._stack = stack
        self._demo = demo
        self._settings = load_settings(stack.settings_path)
        self.folder = stack.folder / "plays" / new_id("play")
        self.findings: list[dict[str, Any]] = []
        self._orders: dict[str, tuple[str, str]] = {}
        self._clients: dict[str, PartnerClient] = {}

    async def run(self, say: Progress) -> bool:
        """Play and have it checked; True when everything held."""
        self.folder.mkdir(parents=True)
        log = SyncedLog(self.folder / "client.jsonl")
        credentials = {
            "main": self._demo.credentials(),
            **{each: self._demo.credentials_of(each) for each in ("poor", "market")},
        }
        self._clients = {name: PartnerClient(self._stack.gateway_url, known) for name, known in credentials.items()}
        try:
            await self._open(log, say)
            await self._look(log, "before")
            await self._move(log, say)
            await self._finish(log, say)
            await self._look(log, "after")
        finally:
            log.close()
            for client in self._clients.values():
                await client.__aexit__()
        self.findings = await self.check()
        return bool(self.findings) and all(finding["ok"] for finding in self.findings)

    async def check(self) -> list[dict[str, Any]]:
        """What the checker finds."""
        path = self.folder / "plan.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._plan()), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", _CHECKER, str(path), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        return [json.loads(line) for line in said.decode().splitlines()]

    async def _open(self, log: SyncedLog, say: Progress) -> None:
        """Orders in every state that the warehouse and the record can be in."""
        await self._stocked()
        say("orders are placed, and brought into every state")
        for kind, some in _ORDERS.items():
            for partner, sku, amount in some:
                await self._place(log, kind, partner, sku, amount)
        for kind in ("completed", "partially_shipped", "picked", "released"):
            await self._until(kind, {"released"})
        for kind in ("held", "backordered"):
            await self._until(kind, {kind})
        for order in self._of("partially_shipped"):
            await self._work("ship", order, "2")
        for order in self._of("picked"):
            await self._work("pick", order, "1")
        for order in self._of("completed"):
            await self._work("ship", order)
        await self._until("completed", {"completed"})
        await self._until("partially_shipped", {"partially_shipped"})
        await self._picked()
        say("the warehouse's system goes down: orders reach the ERP and no further")
        await self._stack.kill("wms_north")
        for partner, sku, amount in _SUBMITTED:
            await self._place(log, "submitted", partner, sku, amount)
        await self._until("submitted", {"submitted"})

    async def _move(self, log: SyncedLog, say: Progress) -> None:
        say("S/4HANA is held against Tryton")
        log.write(event="migrate", what="check", told=await self._migrate("check"))
        made = await self._migrate("cut-over")
        log.write(event="migrate", what="cut-over", told=made)
        say(f"orders placed from {made['effective_at']} on go to S/4HANA; others are placed meanwhile")
        for number in range(_CROSSING):
            await self._place(log, "crossing", "main", f"SKU-{110 + number % 5:04d}", "1")
            await asyncio.sleep(1)
        log.write(event="migrate", what="dry run", told=await self._migrate("orders", "--dry-run"))
        say("open orders are taken along")
        log.write(event="migrate", what="orders", told=await self._migrate("orders"))
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            told = await self._migrate("status", fails=True)
            log.write(event="migrate", what="status", told=told)
            if not told["under_way"]:
                break
            if time.monotonic() > end:
                raise StepFailed(f"orders are on their way for too long: {told}")
            await asyncio.sleep(1)

    async def _finish(self, log: SyncedLog, say: Progress) -> None:
        say("the warehouse is back, and ships what it has")
        await self._stack.restart("wms_north")
        for kind in ("submitted", "crossing"):
            await self._until(kind, {"released"})
        open_still = ("partially_shipped", "picked", "released", "submitted", "crossing")
        for kind in open_still:
            for order in self._of(kind):
                await self._work("ship", order)
        for kind in open_still:
            await self._until(kind, {"completed"})
        log.write(event="over")

    # --- what partners and the warehouse do ------------------------------------------------------------------------

    async def _place(self, log: SyncedLog, kind: str, partner: str, sku: str, amount: str) -> None:
        number = f"{kind}-{len(self._orders):03d}"
        body = {
            "external_number": f"{self.folder.name}-{number}",
            "delivery": {"ship_to": _SHIP_TO},
            "lines": [{"sku": sku, "quantity": {"amount": amount}}],
        }
        log.write(event="sending", key=number, kind=kind, sent=body)
        answer = await self._clients[partner].call(
            number,
            "POST",
            "/storefront/v2/orders",
            body=body,
            headers={"Idempotency-Key": f'"{body["external_number"]}"'},
        )
        log.write(event="answer", key=number, kind=kind, status=answer.status_code, body=answer.json())
        if answer.status_code != httpx.codes.CREATED:
            raise StepFailed(f"order {number} was answered with {answer.status_code}: {answer.text}")
        self._orders[answer.json()["id"]] = (kind, partner)

    async def _look(self, log: SyncedLog, when: str) -> None:
        for order, (kind, partner) in self._orders.items():
            answer = await self._clients[partner].call(when, "GET", f"/storefront/v2/orders/{order}")
            log.write(event="look", when=when, kind=kind, order=order, status=answer.status_code, body=answer.json())

    async def _stocked(self) -> None:
        """Wait until the opening stock of everything that will be ordered is known."""
        some = [*(one for each in _ORDERS.values() for one in each), *_SUBMITTED]
        end = time.monotonic() + _PATIENCE_SECONDS
        for partner, sku, amount in some:
            while partner != "market" and (await self._clients["main"].availability(sku) or 0) < float(amount):
                if time.monotonic() > end:
                    raise StepFailed(f"there is no stock of {sku}")
                await asyncio.sleep(0.2)

    def _of(self, kind: str) -> list[str]:
        return [order for order, (known, _) in self._orders.items() if known == kind]

    async def _until(self, kind: str, states: set[str]) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        for order in self._of(kind):
            partner = self._clients[self._orders[order][1]]
            while True:
                seen = (await partner.call("wait", "GET", f"/storefront/v2/orders/{order}")).json()
                if seen.get("status", {}).get("state") in states:
                    break
                if time.monotonic() > end:
                    raise StepFailed(f"{kind} {order} is {seen.get('status')} and not {' or '.join(states)}")
                await asyncio.sleep(0.2)

    async def _work(self, what: str, order: str, amount: str | None = None) -> None:
        lines = {} if amount is None else {"lines": [{"line_number": 1, "quantity": amount}]}
        await self._demo.warehouses["wms_north"].control(what, client_reference=order, **lines)

    async def _picked(self) -> None:
        """Wait until the record has heard of the picks."""
        mover = "the warehouse has begun"
        end = time.monotonic() + _PATIENCE_SECONDS
        wanted = set(self._of("picked"))
        while time.monotonic() < end:
            plan = (await self._migrate("orders", "--dry-run"))["plan"]
            if wanted <= {each["order"] for each in plan if each["stays"] == mover}:
                return
            await asyncio.sleep(1)
        raise StepFailed("the picks did not reach the record")

    async def _migrate(self, verb: str, *more: str, fails: bool = False) -> Any:
        """The command, as its operator types it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "migrate", verb, "--from", OLD, "--to", NEW, *more,
            "--settings", str(self._stack.settings_path), "--json", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        if process.returncode and not (fails and said):
            raise StepFailed(f"crossdock migrate {verb} ended with {process.returncode}: {said.decode()}")
        return json.loads(said)

    def _plan(self) -> dict[str, Any]:
        """Where the checker finds everything."""
        tryton, sap = self._settings.systems[OLD].settings, self._demo.sap.settings()
        return {
            "tryton": {
                "url": tryton["base_url"],
                "database": tryton["database"],
                "user": "admin",
                "password": self._demo.tryton.admin_password.reveal(),
            },
            "sap": {
                "url": sap["base_url"],
                "user": sap["user"],
                "password": resolve_secret(sap["password"], setting="password").reveal(),
            },
            "postgres": resolve_secret(self._settings.store.url, setting="store.url").reveal(),
            "client_log": str(self.folder / "client.jsonl"),
        }


async def play_erp_migration(folder: Path, *, as_json: bool, progress: Progress) -> int:
    """Start a stack in `folder`, play, stop it. 0 when every check held."""
    cache, folder = folder / "cache" / "tryton", folder / "erp-migration"
    if find_running(folder) is not None:
        raise Misconfigured("this play is under way here: wait for it, or give it another --folder")
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    console = Console(stderr=as_json, width=max(Console().width, _WIDTH))
    stack, demo = staged(folder, cache, progress)
    async with stack:
        play = ErpMigration(stack, demo)
        held = await play.run(progress)
        progress("stopping")
    if as_json:
        sys.stdout.writelines(json.dumps(finding) + "\n" for finding in play.findings)
    console.print(evidence(play.findings))
    return 0 if held else 1


def staged(folder: Path, cache: Path, progress: Any) -> tuple[Stack, TwoErps]:
    """A stack with both ERPs, not yet started."""
    stack = Stack(folder, demo=True, gateway_workers=2, cache=cache, progress=progress)
    demo = TwoErps(stack.folder, cache=cache, progress=progress)
    stack.demo = demo
    return stack, demo
