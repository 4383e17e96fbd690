"""The main story: a partner asks, orders once although he asks twice, and the goods leave; every step with evidence.

It runs against what `crossdock up --demo` started, or starts that itself. What happened is judged by
`checkers/main_job.py`, a process of its own that imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from gateway.kernel.errors import CrossdockError, Misconfigured
from gateway.kernel.ids import new_id
from gateway.kernel.secrets import resolve_secret
from gateway.plays.demo import SITES, Demo
from gateway.plays.partner_client import PartnerClient
from gateway.plays.progress import Progress
from gateway.plays.stack import Stack, find_running
from gateway.settings import Settings, load_settings

_CHECKER: Final = "gateway.plays.checkers.main_job"
_PATIENCE_SECONDS: Final = 60.0
_ORDERED: Final = 10
_WIDTH: Final = 150
_FIRST_PART: Final = 6
# The day's traffic leaves these alone, so that the story's figures are its own.
PLAY_SKUS: Final = tuple(f"SKU-{number:04d}" for number in range(160, 170))
_SQL: Final = (
    ("the record has the order once", "select count(*) from order_to_ship.sales_order where order_id = '{order}'", "1"),
    (
        "its lines add up",
        "select count(*) from order_to_ship.line where ordered <> open + backordered + shipped + cancelled",
        "0",
    ),
    (
        "everything ordered was shipped",
        "select sum(shipped)::int from order_to_ship.line where order_id = '{order}'",
        str(_ORDERED),
    ),
    ("no consumer gave an event up", "select count(*) from store.dead_letter where resolved_at is null", "0"),
)


class StepFailed(CrossdockError):
    """A step did not show what it should."""

    default_code = "play.step_failed"


class Story:
    """One telling. `say` gets each finished step: its name, its evidence, the seconds it took."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        client: PartnerClient,
        say: Callable[[str, str, float], None],
        progress: Progress,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.client = client
        self._say = say
        self._progress = progress
        self._began = time.monotonic()
        self.order = ""
        self.sku = ""
        self.moments: list[dict[str, Any]] = []

    async def tell(self) -> None:
        """All steps, in order; raises `StepFailed` at the first that does not hold."""
        self.sku = await self._choose_sku()
        await self._step("the partner signs in", self._sign_in())
        await self._step("asks what can be sold", self._observe("before", promised=0))
        await self._step("orders", self._order())
        await self._step("asks again with the same key", self._order_again())
        await self._step("sends another body under that key", self._order_changed())
        await self._step("the ERP and the warehouse have it", self._until("released"))
        await self._step("availability while promised", self._observe("while promised", promised=_ORDERED))
        await self._step(f"the warehouse ships {_FIRST_PART}", self._ship(_FIRST_PART))
        await self._step("the partner sees a partial shipment", self._until("partially_shipped"))
        await self._step(
            "availability after the first part", self._observe("after a part", promised=_ORDERED - _FIRST_PART)
        )
        await self._step("the warehouse ships the rest", self._ship(_ORDERED - _FIRST_PART))
        await self._step("the order is complete", self._until("completed"))
        await self._step("availability afterwards", self._observe("after", promised=0))
        await self._step("the partner was told", self._told())

    async def _step(self, name: str, work: Awaitable[str]) -> None:
        started = time.monotonic()
        with self._progress.step(name):
            evidence = await work
        self._say(name, evidence, time.monotonic() - started)

    async def _choose_sku(self) -> str:
        for sku in PLAY_SKUS:
            figure = await self.client.availability(sku)
            if figure is not None and figure >= _ORDERED * 2:
                return sku
        raise Misconfigured("the plays have sold out the demo's stock: `make clean` starts it afresh")

    async def _sign_in(self) -> str:
        await self.client.token()
        return "OAuth2 client credentials → an access token"

    def _order_body(self, amount: int) -> dict[str, Any]:
        return {
            "external_number": self.folder.name,
            "ship_to": {
                "name": "Harbor Outfitters",
                "street": "12 Quay Street",
                "city": "Portland",
                "postal_code": "04101",
                "country": "US",
            },
            "lines": [{"sku": self.sku, "quantity": str(amount)}],
        }

    async def _post_order(self, label: str, amount: int) -> httpx.Response:
        key = {"Idempotency-Key": f'"{self.folder.name}"'}
        return await self.client.call(
            label, "POST", "/storefront/v1/orders", body=self._order_body(amount), headers=key
        )

    async def _order(self) -> str:
        answer = await self._post_order("order", _ORDERED)
        if answer.status_code != httpx.codes.CREATED:
            raise StepFailed(f"the order was answered with {answer.status_code}: {answer.text}")
        self.order = answer.json()["id"]
        return f"201 {self.order}, {_ORDERED} of {self.sku}, {answer.json()['total']['amount']}"

    async def _order_again(self) -> str:
        answer = await self._post_order("order again", _ORDERED)
        if answer.status_code != httpx.codes.CREATED or answer.json()["id"] != self.order:
            raise StepFailed(f"the retry was answered with {answer.status_code}: {answer.text}")
        return f"{answer.status_code}, Idempotent-Replayed: {answer.headers.get('idempotent-replayed', 'no')}"

    async def _order_changed(self) -> str:
        answer = await self._post_order("order changed", _ORDERED + 1)
        if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
            raise StepFailed(f"another body under the same key was answered with {answer.status_code}")
        return f"{answer.status_code} {answer.json()['code']}"

    async def _until(self, state: str) -> str:
        """Wait for a state, or for one that comes after it."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            answer = await self.client.call("monitor", "GET", f"/storefront/v1/orders/{self.order}/monitor")
            seen = answer.json() if answer.status_code == httpx.codes.OK else {}
            if seen.get("state") == state:
                return " → ".join(event["type"] for event in seen["events"])
            if time.monotonic() > end:
                raise StepFailed(f"the order did not become {state} within {_PATIENCE_SECONDS:.0f} s: {answer.text}")
            await asyncio.sleep(0.1)

    async def _ship(self, amount: int) -> str:
        wms = self.settings.systems["wms_north"].settings["base_url"]
        lines = [{"line_number": 1, "quantity": str(amount)}]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{wms}/_control/ship", json={"client_reference": self.order, "lines": lines})
        if answer.status_code != httpx.codes.OK:
            raise StepFailed(f"the warehouse answered {answer.status_code}: {answer.text}")
        return f"picked and shipped {amount} in the warehouse"

    async def _observe(self, name: str, *, promised: int) -> str:
        """Have the checker read channel and ERP side by side, until they agree or its patience ends."""
        plan = self.folder / "observe.json"
        plan.write_text(json.dumps({**self.plan(), "promised_unshipped": promised, "name": name}), encoding="utf-8")
        found = await _checker("observe", plan)
        moment = json.loads(found[-1])
        self.moments.append(moment)
        return (
            f"channel {moment['available_to_sell']}, Tryton {moment['tryton']}, promised {promised}, "
            f"agreed after {moment['seconds']:.2f} s"
        )

    async def _told(self) -> str:
        log = Path(self.plan()["webhook_log"])
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            told = await asyncio.to_thread(_webhook_bodies, log)
            if self.order in told and '"state":"completed"' in told:
                return f"{told.count(self.order)} signed webhooks about the order"
            await asyncio.sleep(0.1)
        raise StepFailed(f"no webhook said that {self.order} is completed")

    def plan(self) -> dict[str, Any]:
        """Where the checker finds everything."""
        demo = Demo(self.folder.parents[1], progress=lambda _: None)
        tryton = self.settings.systems["erp_na"].settings
        credentials = demo.credentials()
        before = self.moments[0] if self.moments else {"tryton": {}}
        return {
            "tryton": {
                "url": tryton["base_url"],
                "database": tryton["database"],
                "user": "admin",
                "password": demo.tryton.admin_password.reveal(),
            },
            "warehouses": [site.tryton_code for site in SITES],
            "gateway": self.settings.http.public_url,
            "api_key": credentials.api_key,
            "postgres": resolve_secret(self.settings.store.url, setting="store.url").reveal(),
            "sql": [[name, query.format(order=self.order), expected] for name, query, expected in _SQL],
            "client_log": str(self.folder / "client.jsonl"),
            "webhook_log": str(demo.webhook_log),
            "webhook_secret": demo.webhook_secret_path.read_text(encoding="utf-8").strip(),
            "wms_log": str(demo.folder / "wms_north" / "received.jsonl"),
            "order": self.order,
            "sku": self.sku,
            "ordered": str(_ORDERED),
            "parts": 2,
            "tryton_before": str(sum(float(v) for v in before["tryton"].values())),
            "moments": self.moments,
        }


async def play(folder: Path, *, as_json: bool, progress: Progress) -> int:
    """Tell the story once. 0 when every step and every check held."""
    running = find_running(folder)
    if running is None:
        async with Stack(folder, demo=True, progress=progress) as stack:
            progress.done()
            try:
                return await _play(stack.folder, as_json=as_json, progress=progress)
            finally:
                progress.resume()
    if not running.demo:
        raise Misconfigured("what runs here has no demo: stop it and start `crossdock up --demo`")
    return await _play(Path(running.folder), as_json=as_json, progress=progress)


async def _play(folder: Path, *, as_json: bool, progress: Progress) -> int:
    console = Console(stderr=as_json, width=max(Console().width, _WIDTH))
    settings = load_settings(folder / "settings.toml")
    place = folder / "plays" / new_id("play")
    place.mkdir(parents=True)
    demo = Demo(folder, progress=lambda _: None)
    log = place / "client.jsonl"

    def say(name: str, evidence: str, seconds: float) -> None:
        console.print(f"[green]✓[/] {name:<38} [dim]{seconds:6.2f} s[/]  {evidence}", highlight=False)

    async with PartnerClient(settings.http.public_url, demo.credentials(), log=log) as client:
        story = Story(place, settings, client, say, progress)
        try:
            await story.tell()
        except StepFailed as failed:
            console.print(f"[red]✗[/] {failed.detail}", highlight=False)
            return 1
    plan = place / "plan.json"
    plan.touch(mode=0o600)
    plan.write_text(json.dumps(story.plan()), encoding="utf-8")
    try:
        with progress.step("the checker compares the systems' own books"):
            lines = await _checker("check", plan)
    finally:
        plan.unlink()
        (place / "observe.json").unlink(missing_ok=True)
    findings = [json.loads(line) for line in lines]
    if as_json:
        sys.stdout.write("\n".join(lines) + "\n")
    console.print(_table(findings))
    return 0 if findings and all(finding["ok"] for finding in findings) else 1


def _table(findings: list[dict[str, Any]]) -> Table:
    table = Table(title="What the checker found, from the systems' own books", title_justify="left")
    table.add_column("")
    table.add_column("check")
    table.add_column("evidence")
    for finding in findings:
        table.add_row("[green]✓[/]" if finding["ok"] else "[red]✗[/]", finding["check"], finding["evidence"])
    return table


async def _checker(mode: str, plan: Path) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", _CHECKER, mode, str(plan), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    if not lines:
        raise StepFailed(f"the checker said nothing (exit status {process.returncode})")
    return lines


def _webhook_bodies(log: Path) -> str:
    if not log.exists():
        return ""
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return "\n".join(base64.b64decode(entry["body"]).decode() for entry in entries)
