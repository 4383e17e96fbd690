"""The play of a promotion: ten times the usual orders at once, before an ERP that takes five calls a second.

It starts a stack of its own with a Regional ERP that polices its limit (429 beyond) and a warehouse. The worker is
killed in the middle of the burst. What happened is judged by `checkers/promotion.py`, a process of its own that imports
nothing of ours: from the buyers' log, the ERP's log and books, and what was told of the backlog meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from gateway.app import Core, administer
from gateway.identity.partners import add_partner
from gateway.kernel.background import background
from gateway.kernel.errors import CrossdockError, Misconfigured
from gateway.kernel.ids import new_id
from gateway.plays.outage_traffic import SyncedLog
from gateway.plays.outages import evidence
from gateway.plays.partner_client import Credentials, PartnerClient
from gateway.plays.progress import Progress
from gateway.plays.stack import Stack, find_running
from gateway.settings import load_settings
from system_apis.regional_erp.sandbox import ErpSandbox
from system_apis.regional_wms.sandbox import WmsSandbox

_CHECKER: Final = "gateway.plays.checkers.promotion"
_ERP: Final = "erp_limited"
_WMS: Final = "wms_play"
_SITE: Final = "NOR1"
_SKUS: Final = tuple(f"PROMO-{number}" for number in range(1, 6))
_STOCK_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.5
_WIDTH: Final = 110
_BARS: Final = " ▁▂▃▄▅▆▇█"
_SHIP_TO: Final = {
    "name": "Harbor Outfitters",
    "street": "12 Quay Street",
    "city": "Portland",
    "postal_code": "04101",
    "country": "US",
}


class Options(Struct, frozen=True, kw_only=True):
    """How it goes: `usual` orders a second, `factor` times as many in the burst, `committed` ones of a marketplace.

    Times are seconds; `patience` is how long the backlog may take to drain.
    """

    calls_per_second: int = 5
    usual: float = 0.5
    factor: int = 10
    usual_seconds: float = 6.0
    burst_seconds: float = 10.0
    committed: int = 6
    patience: float = 300.0


def settings_of_promotion(erp: ErpSandbox, wms: WmsSandbox, calls: int) -> Mapping[str, Any]:
    """What the stack's settings say beside what every stack's do."""
    return {
        "systems": {
            _ERP: {"product": "regional_erp", "settings": erp.settings()},
            _WMS: {"product": "regional_wms", "settings": wms.settings()},
        },
        "locations": [
            {
                "location": "north",
                "name": "North DC",
                "region": "na",
                "time_zone": "UTC",
                "holder": _WMS,
                "poster_to": _ERP,
                "codes": {_ERP: _SITE, _WMS: _SITE},
            }
        ],
        "channels": [{"name": "web"}, {"name": "market", "buyer_committed": True}],
        "orders": {"erp": _ERP},
        "worker": {"poll_seconds": 30.0},
        "pacing": {_ERP: {"calls": calls, "window_seconds": 1.0, "visits": 2}},
        "rate_limit": {"plans": {"standard": {"default": {"rate": "100000/minute"}}}},
    }


class Counterparts:
    """The ERP, which takes so many calls in any second, and the warehouse, with plenty of everything."""

    def __init__(self, folder: Path, calls: int) -> None:
        pieces = [(f"A{number:05d}", sku) for number, sku in enumerate(_SKUS, start=1)]
        self.erp = ErpSandbox(
            folder / "erp",
            seed={
                "sites": [_SITE],
                "articles": [
                    {"article": code, "sku": sku, "name": sku, "base_unit": "PCE", "price": "9.95", "currency": "USD",
                     "packs": []}
                    for code, sku in pieces
                ],
                "stock": [{"site": _SITE, "article": code, "quantity": "100000"} for code, _ in pieces],
                "customers": [
                    {"number": "CUST1", "name": "One", "currency": "USD", "credit_limit": None, "balance": "0",
                     "blocked": False}
                ],
            },
            calls_per_second=calls,
        )  # fmt: skip
        self.wms = WmsSandbox(
            folder / "wms",
            seed={
                "warehouses": [_SITE],
                "items": [
                    {"item_code": f"W-{number:06d}", "client_sku": sku, "description": sku, "base_unit": "PCE",
                     "packs": []}
                    for number, sku in enumerate(_SKUS, start=1)
                ],
                "stock": [
                    {"warehouse": _SITE, "item_code": f"W-{number:06d}", "quantity": "100000"}
                    for number in range(1, len(_SKUS) + 1)
                ],
            },
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        await self.erp.start()
        await self.wms.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.erp.stop()
        await self.wms.stop()


class Promotion:
    """One play on a started stack."""

    def __init__(self, stack: Stack, counterparts: Counterparts, options: Options) -> None:
        self._stack = stack
        self._counterparts = counterparts
        self._options = options
        self._settings = load_settings(stack.settings_path)
        self.folder = stack.folder / "plays" / new_id("play")
        self.samples: list[dict[str, Any]] = []
        self.findings: list[dict[str, Any]] = []
        self._orders: set[asyncio.Task[None]] = set()
        self._numbers = 0

    async def run(self, say: Progress) -> bool:
        """Play and have it checked; True when everything held."""
        self.folder.mkdir(parents=True)
        web, market = [await self._partner(name, name) for name in ("web", "market")]
        log = SyncedLog(self.folder / "backlog.jsonl")
        core = Core(self._settings)
        try:
            async with (
                core.opened(),
                PartnerClient(self._stack.gateway_url, web, log=self.folder / "web.jsonl") as buyers,
                PartnerClient(self._stack.gateway_url, market, log=self.folder / "market.jsonl") as sold,
            ):
                await self._stocked(buyers)
                async with background(self._watch(core, log), name="watch"):
                    await self._let_it_happen(buyers, sold, say)
                    await self._drained(say)
                    await asyncio.sleep(_LOOK_SECONDS * 3)
        finally:
            log.close()
        self.findings = await self.check(self.plan())
        return bool(self.findings) and all(finding["ok"] for finding in self.findings)

    def plan(self) -> dict[str, Any]:
        """Where the checker finds everything."""
        return {
            "web_log": str(self.folder / "web.jsonl"),
            "market_log": str(self.folder / "market.jsonl"),
            "backlog_log": str(self.folder / "backlog.jsonl"),
            "erp_log": str(self._counterparts.erp.folder / "received.jsonl"),
            "erp_url": self._counterparts.erp.url,
            "calls": self._options.calls_per_second,
            "window": 1.0,
            "visits": 2,
            "factor": self._options.factor,
        }

    async def check(self, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the checker finds, by `plan`."""
        path = self.folder / "check.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", _CHECKER, str(path), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        return [json.loads(line) for line in said.decode().splitlines()]

    async def _partner(self, name: str, channel: str) -> Credentials:
        made = await administer(
            self._settings,
            lambda connection, ring: add_partner(
                connection, ring, tenant="demo", name=name, channel=channel, plan="standard", accounts=["CUST1"]
            ),
        )
        return Credentials(client_id=made.client_id, client_secret=made.client_secret, api_key=made.api_key)

    async def _stocked(self, client: PartnerClient) -> None:
        end = time.monotonic() + _STOCK_SECONDS
        while not all([await client.availability(sku) for sku in _SKUS]):
            if time.monotonic() > end:
                raise Misconfigured(f"the opening stock did not arrive within {_STOCK_SECONDS:.0f} s: see worker.log")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _let_it_happen(self, buyers: PartnerClient, sold: PartnerClient, say: Progress) -> None:
        options = self._options
        say(f"a usual morning: {options.usual:g} orders a second")
        await self._place(buyers, options.usual, options.usual_seconds)
        rate = options.usual * options.factor
        say(f"the promotion begins: {rate:g} orders a second; the ERP takes {options.calls_per_second} calls")
        await self._place(buyers, rate, options.burst_seconds / 2)
        await self._stack.kill("worker")
        say("the worker was killed; orders are taken all the same")
        await self._place(buyers, rate, options.burst_seconds / 2)
        await self._stack.restart("worker")
        say("the worker is back, and a marketplace's orders come in")
        await self._place(sold, options.committed, 1.0)
        await asyncio.gather(*self._orders)

    async def _place(self, client: PartnerClient, rate: float, seconds: float) -> None:
        for _ in range(max(1, round(rate * seconds))):
            self._numbers += 1
            task = asyncio.create_task(self._order(client, self._numbers))
            self._orders.add(task)
            await asyncio.sleep(1 / rate)

    async def _order(self, client: PartnerClient, number: int) -> None:
        name = f"PROMO-{new_id('buy')}"
        body = {
            "external_number": name,
            "delivery": {"ship_to": _SHIP_TO},
            "lines": [{"sku": _SKUS[number % len(_SKUS)], "quantity": {"amount": "1"}}],
        }
        await client.call("order", "POST", "/storefront/v2/orders", body=body, headers={"Idempotency-Key": f'"{name}"'})

    async def _watch(self, core: Core, log: SyncedLog) -> None:
        """What is told of the backlog, and of the place of one who waits, until cancelled."""
        while True:
            with contextlib.suppress(CrossdockError):
                for backlog in await core.visits.backlogs():
                    last = await core.store.fetchval(
                        "select subject from pacing.place where called_at is null order by since desc limit 1"
                    )
                    waiting = None if last is None else await core.visits.standing(last)
                    sample = {
                        "waiting": backlog.waiting,
                        "called": backlog.called,
                        "drain": backlog.drain_per_second,
                        "last_place": None if waiting is None else waiting.place,
                        "last_expected": None
                        if waiting is None or waiting.expected_at is None
                        else waiting.expected_at.timestamp(),
                    }
                    log.write(**sample)
                    self.samples.append({"at": time.time(), **sample})
            await asyncio.sleep(_LOOK_SECONDS)

    async def _drained(self, say: Progress) -> None:
        """Until nobody waits and every order stands in the ERP, or the play's patience is over."""
        say("the backlog drains")
        end, placed = time.monotonic() + self._options.patience, self._numbers
        while time.monotonic() < end:
            books = await self._counterparts.erp.look("orders")
            latest = self.samples[-1] if self.samples else {"waiting": 1, "called": 1}
            if len(books["orders"]) >= placed and not latest["waiting"] and not latest["called"]:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def chart(self) -> Text:
        """The backlog over time, one column a look."""
        heights = [sample["waiting"] for sample in self.samples]
        step = max(1, -(-len(heights) // (_WIDTH - 20)))
        columns = [max(heights[at : at + step]) for at in range(0, len(heights), step)]
        most = max([1, *columns])
        bars = "".join(_BARS[-(-height * (len(_BARS) - 1) // most)] for height in columns)
        took = len(heights) * _LOOK_SECONDS
        return Text(f"orders that wait for the ERP, at most {most}\n{bars}\n0 s{took:>{max(1, len(bars) - 3)}.0f} s")


async def play_promotion(folder: Path, *, as_json: bool, progress: Progress, options: Options | None = None) -> int:
    """Start a stack in `folder`, play, stop it. 0 when every check held."""
    options = options or Options()
    folder = folder / "promotion"
    if find_running(folder) is not None:
        raise Misconfigured("this play is under way here: wait for it, or give it another --folder")
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    console = Console(stderr=as_json, width=max(Console().width, _WIDTH))
    async with Counterparts(folder / "counterparts", options.calls_per_second) as counterparts:
        settings = settings_of_promotion(counterparts.erp, counterparts.wms, options.calls_per_second)
        async with Stack(folder, demo=False, settings=settings, progress=progress) as stack:
            promotion = Promotion(stack, counterparts, options)
            held = await promotion.run(progress)
            progress("stopping")
    if as_json:
        sys.stdout.writelines(json.dumps(finding) + "\n" for finding in promotion.findings)
    console.print(promotion.chart())
    console.print(evidence(promotion.findings))
    return 0 if held else 1
