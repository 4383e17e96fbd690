"""The play of outages: everything dies once, carrier and cache lose their data, and nothing that was accepted is lost.

It starts a stack of its own, because it kills it. What happened is judged by `checkers/outages.py`, a process of its
own that imports nothing of ours: from the client's log, the record, Tryton and the books of both warehouses.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.kernel.errors import Misconfigured
from gateway.kernel.ids import new_id
from gateway.kernel.secrets import resolve_secret
from gateway.plays.demo import SITES, Demo
from gateway.plays.outage_plan import Basket, Outage, baskets, outages
from gateway.plays.outage_traffic import SyncedLog, Traffic, Warehouses
from gateway.plays.partner_client import PartnerClient
from gateway.plays.progress import Progress
from gateway.plays.second_unit import ERP, WAREHOUSE, SecondUnit
from gateway.plays.stack import Stack, find_running
from gateway.settings import load_settings

_CHECKER: Final = "gateway.plays.checkers.outages"
# The day's traffic and other plays may be here at other times: this one takes the fullest of these.
_SKUS: Final = tuple(f"SKU-{number:04d}" for number in range(120, 140))
_SCARCE: Final = 4
_OTHER_ARTICLES: Final = 12
_KNOWN_SECONDS: Final = 30.0
_ANSWERED_SECONDS: Final = 90.0
_LATE_REST: Final = (5.0, 25.0)
_WIDTH: Final = 150


class Options(Struct, frozen=True, kw_only=True):
    """How the play goes. The same `seed` draws the same outages and orders.

    `orders` go to Tryton, `other_orders` to a second business unit, whose ERP is a sandbox. With `only`, of what would
    be killed only these are; what loses its data does so all the same. In `late_rounds` everything dies again after the
    last order came in, a quarter of a minute apart, while the backlog is worked off.

    The checker waits until all is done: no longer than `patience` seconds without any progress, and `limit` in all.
    """

    seed: int = 1
    orders: int = 60
    other_orders: int = 0
    rounds: int = 1
    late_rounds: int = 0
    buyers: int = 6
    only: tuple[str, ...] = ()
    patience: float = 100.0
    limit: float = 900.0


class Evening:
    """What the terminal shows: a row for each outage, filled as it comes."""

    def __init__(self, plan: tuple[Outage, ...], traffic: Traffic) -> None:
        self._plan = plan
        self._traffic = traffic
        self._rows: dict[int, tuple[str, float]] = {}
        self._began = time.monotonic()
        self.phase = "orders come in"

    def mark(self, number: int, state: str) -> None:
        """An outage's row changes."""
        self._rows[number] = (state, time.monotonic() - self._began)

    def __rich__(self) -> Group:
        table = Table(title="What died, and what the partner was answered meanwhile", title_justify="left")
        for column in ("", "outage", "at", "answers"):
            table.add_column(column)
        for number, outage in enumerate(self._plan):
            state, at = self._rows.get(number, ("[dim]·[/]", 0.0))
            answers: Mapping[str, int] = self._traffic.seen.get(label(number, outage), {})
            told = ", ".join(f"{answer} x {count}" for answer, count in sorted(answers.items()))
            table.add_row(state, outage.title, f"{at:5.1f} s" if at else "", told)
        counts = (
            f"{time.monotonic() - self._began:5.1f} s  {self.phase}: {len(self._traffic.accepted)} accepted, "
            f"{self._traffic.refused} refused for want of stock"
        )
        return Group(table, Text(counts))


def label(number: int, outage: Outage) -> str:
    """How an outage is named in the logs."""
    return f"{number:02d} {outage.name}{' wiped' if outage.wiped else ''}"


class Outages:
    """One play on a started stack. `findings` holds what the checker said."""

    def __init__(self, stack: Stack, options: Options) -> None:
        if stack.demo is None:
            raise Misconfigured("this play needs the demo's counterparts")
        self._stack = stack
        self._demo: Demo = stack.demo
        self._unit = stack.demo.unit if options.other_orders else None
        self._options = options
        self._settings = load_settings(stack.settings_path)
        self._chance = random.Random(options.seed)  # noqa: S311 - repeatable on purpose
        self.folder = stack.folder / "plays" / new_id("play")
        self.findings: list[dict[str, Any]] = []

    async def run(self, console: Console) -> bool:
        """Play and have it checked; True when everything held."""
        self.folder.mkdir(parents=True)
        opening = json.loads((await self._check("open", self._plan(_SKUS)))[-1])
        stock, token = await self._stock(opening["warehouses"])
        schedule = self._outages(self._options.rounds)
        late = self._outages(self._options.late_rounds, rest=_LATE_REST)
        orders = baskets(self._chance, self.folder.name, self._options.orders, stock)
        if self._unit is not None:
            others = dict.fromkeys(self._unit.skus, self._unit.stock)
            await self._know_others(others)
            stock |= others
            more = baskets(self._chance, f"{self.folder.name}-south", self._options.other_orders, others)
            orders = tuple(self._chance.sample((*orders, *more), len(orders) + len(more)))
        plan = {**self._plan(tuple(stock)), "stock": stock}
        log, work = SyncedLog(self.folder / "client.jsonl"), SyncedLog(self.folder / "warehouses.jsonl")
        traffic = Traffic(self._stack.gateway_url, self._demo.credentials(), token, log, self._chance)
        urls = {site.instance: self._demo.warehouses[site.instance].url for site in SITES}
        if self._unit is not None:
            urls[WAREHOUSE] = self._unit.counterpart(WAREHOUSE).url
        people = Warehouses(urls, traffic, work, self._chance)
        evening = Evening(schedule + late, traffic)
        tasks = [asyncio.create_task(people.work()), asyncio.create_task(traffic.probe(tuple(stock)))]
        tasks += [asyncio.create_task(traffic.buy()) for _ in range(self._options.buyers)]
        try:
            with Live(evening, console=console, refresh_per_second=4):
                await self._let_it_happen(schedule, orders, traffic, evening)
                for number, outage in enumerate(late, len(schedule)):
                    await self._strike(number, outage, traffic, evening)
                evening.phase = "all is back; what is under way comes to rest"
                said = await self._check("check", {**plan, "opening": opening})
        finally:
            await _cancel(tasks)
            await traffic.close()
            log.close()
            work.close()
        self.findings = [json.loads(line) for line in said]
        return bool(self.findings) and all(finding["ok"] for finding in self.findings)

    async def _stock(self, shelves: dict[str, dict[str, str]]) -> tuple[dict[str, int], str]:
        """The fullest articles with what may be sold of them, once all that lies on the shelves is known."""
        held = {sku: float(states.get("AVL", 0)) for sku, states in shelves.items()}
        fullest = sorted(held, key=lambda sku: (-held[sku], sku))
        scarce = next((n for n in range(_SCARCE, len(held) + 1) if held[fullest[n - 1]] * n >= self._options.orders), 0)
        fullest = fullest[: scarce or 1]
        if not scarce:
            raise Misconfigured("the plays have sold out the demo's stock: `make clean` starts it afresh")
        async with PartnerClient(self._stack.gateway_url, self._demo.credentials()) as client:
            end = time.monotonic() + _KNOWN_SECONDS
            while time.monotonic() < end:
                figures = {sku: await client.availability(sku) for sku in fullest}
                if all(figures[sku] == held[sku] for sku in fullest):
                    return {sku: int(held[sku]) for sku in fullest}, await client.token()
                await asyncio.sleep(0.2)
        raise Misconfigured(
            f"what may be sold is not what the warehouses hold: {figures}, {held}; other orders are open"
        )

    async def _know_others(self, stock: dict[str, int]) -> None:
        """Wait until what lies in the second unit may be sold."""
        async with PartnerClient(self._stack.gateway_url, self._demo.credentials()) as client:
            end = time.monotonic() + _KNOWN_SECONDS
            while [await client.availability(sku) for sku in stock] != list(stock.values()):
                if time.monotonic() > end:
                    raise Misconfigured("the second unit's stock did not arrive: see the worker's log")
                await asyncio.sleep(0.5)

    async def _let_it_happen(
        self, schedule: tuple[Outage, ...], orders: tuple[Basket, ...], traffic: Traffic, evening: Evening
    ) -> None:
        # Orders come in before each death, during it and on the return.
        parts = [orders[part :: 3 * len(schedule)] for part in range(3 * len(schedule))]
        for number, outage in enumerate(schedule):
            await self._strike(number, outage, traffic, evening, parts[3 * number : 3 * number + 3])
        evening.phase = "all is back; the last answers come in"
        with suppress(TimeoutError):  # who has no answer by then is found by the checker
            async with asyncio.timeout(_ANSWERED_SECONDS):
                await traffic.all_answered()
        evening.phase = "the backlog is worked off"

    async def _strike(
        self,
        number: int,
        outage: Outage,
        traffic: Traffic,
        evening: Evening,
        coming: Sequence[Sequence[Basket]] = ((), (), ()),
    ) -> None:
        before, during, after = coming
        traffic.bring(before)
        await asyncio.sleep(outage.before)
        traffic.during = label(number, outage)
        evening.mark(number, "[red]✝[/]")
        await self._stack.kill(outage.name)
        if outage.wiped:
            await self._stack.wipe(outage.name)
        traffic.bring(during)
        await asyncio.sleep(outage.down)
        await self._stack.restart(outage.name)
        evening.mark(number, "[green]✓[/]")
        traffic.bring(after)
        await asyncio.sleep(outage.rest)
        traffic.during = ""

    def _outages(self, rounds: int, **rest: tuple[float, float]) -> tuple[Outage, ...]:
        only = self._options.only
        drawn = outages(self._chance, rounds, self._unit.names if self._unit else (), **rest)
        return tuple(each for each in drawn if not only or each.wiped or each.name in only)

    def _plan(self, skus: tuple[str, ...]) -> dict[str, Any]:
        """Where the checker finds everything."""
        settings = self._settings
        others: dict[str, Any] = {}
        if self._unit is not None:
            others = {"second_unit": {"erp": self._unit.counterpart(ERP).url, "skus": list(self._unit.skus)}}
        tryton = settings.systems["erp_na"].settings
        return {
            "tryton": {
                "url": tryton["base_url"],
                "database": tryton["database"],
                "user": "admin",
                "password": self._demo.tryton.admin_password.reveal(),
            },
            "gateway": self._stack.gateway_url,
            "api_key": self._demo.credentials().api_key,
            "postgres": resolve_secret(settings.store.url, setting="store.url").reveal(),
            "warehouses": [
                {
                    "name": site.instance,
                    "url": self._demo.warehouses[site.instance].url,
                    "log": str(self._demo.folder / site.instance / "received.jsonl"),
                    "tryton_code": site.tryton_code,
                }
                for site in SITES
            ]
            + self._other_warehouse(),
            **others,
            "client_log": str(self.folder / "client.jsonl"),
            "work_log": str(self.folder / "warehouses.jsonl"),
            "webhook_log": str(self._demo.webhook_log),
            "webhook_secret": self._demo.webhook_secret_path.read_text(encoding="utf-8").strip(),
            "stock": dict.fromkeys(skus, 0),
            "orders": self._options.orders + self._options.other_orders,
            "patience": self._options.patience,
            "limit": self._options.limit,
        }

    def _other_warehouse(self) -> list[dict[str, Any]]:
        if self._unit is None:
            return []
        log = self._unit.folder_of(WAREHOUSE) / "received.jsonl"
        url = self._unit.counterpart(WAREHOUSE).url
        return [{"name": WAREHOUSE, "url": url, "log": str(log), "tryton_code": None}]

    async def _check(self, mode: str, plan: dict[str, Any]) -> list[str]:
        path = self.folder / "plan.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(plan), encoding="utf-8")
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", _CHECKER, mode, str(path), stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
        finally:
            path.unlink()
        lines = output.decode().splitlines()
        if not lines:
            raise Misconfigured(f"the checker said nothing (exit status {process.returncode})")
        return lines


async def play_outages(folder: Path, options: Options, *, as_json: bool, progress: Progress) -> int:
    """Start a stack in `folder`, play, stop it. 0 when every check held."""
    if find_running(folder) is not None:
        raise Misconfigured("this play kills what it runs on: stop what runs here, or give it another --folder")
    console = Console(stderr=as_json, width=max(Console().width, _WIDTH))
    unit = second_unit(folder, options) if options.other_orders else None
    async with Stack(folder, demo=True, gateway_workers=2, unit=unit, progress=progress) as stack:
        progress.done()
        evening = Outages(stack, options)
        held = await evening.run(console)
        progress.resume()
    if as_json:
        sys.stdout.writelines(json.dumps(finding) + "\n" for finding in evening.findings)
    console.print(evidence(evening.findings))
    return 0 if held else 1


def second_unit(folder: Path, options: Options) -> SecondUnit:
    """One with about as much stock as `other_orders` ask for."""
    return SecondUnit(folder / "demo", articles=_OTHER_ARTICLES, stock=options.other_orders)


def evidence(findings: list[dict[str, Any]]) -> Table:
    """What the checker found, for people."""
    table = Table(title="What the checker found, from the systems' own books", title_justify="left")
    for column in ("", "check", "evidence"):
        table.add_column(column)
    for finding in findings:
        table.add_row("[green]✓[/]" if finding["ok"] else "[red]✗[/]", finding["check"], finding["evidence"])
    return table


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):  # traffic that died by itself has shown nothing
            raise ended
