"""The play of three regions: NA tells at once and loses some, EMEA by the hour, APAC after confirmation, and APAC dies.

It starts a stack of its own, with nothing but three sources that report to us. What the regions' page and API told
meanwhile is judged by `checkers/three_regions.py`, a process of its own that imports nothing of ours: from the
traffic's log, the record, and what it was answered itself.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from gateway.app import Core, administer
from gateway.canonical.item import ReportedItem
from gateway.identity.clients import add_client
from gateway.identity.grants import ClientKind
from gateway.kernel.errors import Misconfigured
from gateway.kernel.ids import new_id
from gateway.kernel.secrets import resolve_secret
from gateway.plays.outage_traffic import SyncedLog
from gateway.plays.outages import evidence
from gateway.plays.partner_client import Credentials, PartnerClient
from gateway.plays.progress import Progress
from gateway.plays.region_traffic import HABITS, ITEMS, Warehouse
from gateway.plays.stack import Stack, find_running
from gateway.settings import Settings, load_settings

_CHECKER: Final = "gateway.plays.checkers.three_regions"
_TENANT: Final = "demo"
_SCOPES: Final = ("stock:read", "stock:write", "availability:read", *(f"source:{habit.source}" for habit in HABITS))
_ALIVE_SECONDS: Final = 8.0
_DEAD_SECONDS: Final = 22.0
_DRIFT_SHARE: Final = 0.05
_AFTERWARDS_SECONDS: Final = 8.0
_PATIENCE_SECONDS: Final = 90.0
_DEAD: Final = "apac"
_WIDTH: Final = 150


def settings_of_regions() -> Mapping[str, Any]:
    """What the stack's settings say beside what every stack's do."""
    objectives = {
        habit.source: {
            "stock": {
                "degraded_after_seconds": habit.degraded_after,
                "stale_after_seconds": habit.stale_after,
                "drift_share": _DRIFT_SHARE,
            }
        }
        for habit in HABITS
    }
    places = [
        {
            "location": f"dc_{habit.region}",
            "name": f"{habit.region} DC",
            "region": habit.region,
            "time_zone": "UTC",
            "holder": habit.source,
            "codes": {habit.source: "1"},
        }
        for habit in HABITS
    ]
    return {
        "sources": objectives,
        "locations": places,
        "channels": [{"name": "web"}],
        "rate_limit": {"plans": {"standard": {"default": {"rate": "100000/minute"}}}},
    }


class ThreeRegions:
    """One play on a started stack."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._settings = load_settings(stack.settings_path)
        self._chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.folder = stack.folder / "plays" / new_id("play")
        self.findings: list[dict[str, Any]] = []

    async def run(self, say: Progress) -> bool:
        """Play and have it checked; True when everything held."""
        self.folder.mkdir(parents=True)
        credentials = await _application(self._settings)
        items = await _items(self._settings)
        log = SyncedLog(self.folder / "traffic.jsonl")
        try:
            async with PartnerClient(self._stack.gateway_url, credentials) as client:
                plan = self._plan(items, await client.token())
                warehouses = [Warehouse(habit, client, log, random.Random(self._chance.random())) for habit in HABITS]  # noqa: S311
                for warehouse in warehouses:
                    await warehouse.count()
                watcher = await self._checker("watch", plan)
                await self._let_it_happen(warehouses, log, say)
                log.write(kind="over")
                watched, _ = await watcher.communicate()
                if watcher.returncode:
                    raise Misconfigured(f"the checker could not watch: {watched.decode()}")
        finally:
            log.close()
        self.findings = await self.check(plan)
        return bool(self.findings) and all(finding["ok"] for finding in self.findings)

    async def check(self, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the checker finds, by `plan`."""
        said, _ = await (await self._checker("check", plan)).communicate()
        return [json.loads(line) for line in said.decode().splitlines()]

    async def _let_it_happen(self, warehouses: list[Warehouse], log: SyncedLog, say: Progress) -> None:
        until = time.time() + _ALIVE_SECONDS + _DEAD_SECONDS + _AFTERWARDS_SECONDS
        [dying] = [warehouse for warehouse in warehouses if warehouse.habit.region == _DEAD]
        say("na tells at once, emea by the hour, apac after confirmation")
        async with asyncio.TaskGroup() as tasks:
            for warehouse in warehouses:
                tasks.create_task(warehouse.work(until))
            await asyncio.sleep(_ALIVE_SECONDS)
            dying.dead = True
            log.write(kind="died", region=_DEAD)
            say(f"{_DEAD} is dead: nothing comes from there")
            await asyncio.sleep(_DEAD_SECONDS)
            dying.dead = False
            log.write(kind="back", region=_DEAD)
            say(f"{_DEAD} is back, and tells all of it late")
        say("every warehouse counts its shelves")
        for warehouse in warehouses:
            await warehouse.count()

    def _plan(self, items: Mapping[str, str], token: str) -> dict[str, Any]:
        """Where the checker finds everything."""
        return {
            "gateway": self._stack.gateway_url,
            "token": token,
            "postgres": resolve_secret(self._settings.store.url, setting="store.url").reveal(),
            "traffic_log": str(self.folder / "traffic.jsonl"),
            "watch_log": str(self.folder / "watched.jsonl"),
            "items": dict(items),
            "patience": _PATIENCE_SECONDS,
            "dead": _DEAD,
            "regions": {
                habit.region: {
                    "source": habit.source,
                    "degraded_after": habit.degraded_after,
                    "stale_after": habit.stale_after,
                    "lossy": habit.loss > 0,
                    "drift_share": _DRIFT_SHARE,
                    "figures": len(ITEMS),
                }
                for habit in HABITS
            },
        }

    async def _checker(self, mode: str, plan: Mapping[str, Any]) -> asyncio.subprocess.Process:
        path = self.folder / f"{mode}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(plan), encoding="utf-8")
        return await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", _CHECKER, mode, str(path), stdout=asyncio.subprocess.PIPE
        )


async def _application(settings: Settings) -> Credentials:
    made = await administer(
        settings,
        lambda connection, ring: add_client(
            connection, ring, tenant=_TENANT, name="Three regions", kind=ClientKind.APPLICATION, scopes=_SCOPES
        ),
    )
    return Credentials(client_id=made.client_id, client_secret=made.client_secret, api_key="")


async def _items(settings: Settings) -> dict[str, str]:
    """Our id of each article, which every warehouse knows by its SKU."""
    core = Core(settings)
    reported = [ReportedItem(source_code=sku, sku=sku, name=sku, base_uom="EA") for sku in ITEMS]
    async with core.opened():
        for habit in HABITS:
            await core.items.adopt(_TENANT, habit.source, reported, correlation_id="three-regions")
        return {sku: item.item for sku, item in (await core.items.by_sku(_TENANT, list(ITEMS))).items()}


async def play_three_regions(folder: Path, seed: int, *, as_json: bool, progress: Progress) -> int:
    """Start a stack in `folder`, play, stop it. 0 when every check held."""
    # A record of its own, begun anew: lags and drift of an earlier play are none of this one's.
    folder = folder / "three-regions"
    if find_running(folder) is not None:
        raise Misconfigured("this play is under way here: wait for it, or give it another --folder")
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    console = Console(stderr=as_json, width=max(Console().width, _WIDTH))
    async with Stack(folder, demo=False, gateway_workers=2, settings=settings_of_regions(), progress=progress) as stack:
        regions = ThreeRegions(stack, seed)
        held = await regions.run(progress)
        progress("stopping")
    if as_json:
        sys.stdout.writelines(json.dumps(finding) + "\n" for finding in regions.findings)
    console.print(evidence(regions.findings))
    return 0 if held else 1
