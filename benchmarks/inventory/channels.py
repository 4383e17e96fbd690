"""Movement to channel: from the WMS's send to our projection, an event stream, a webhook, and a shop with a limit.

The sender speaks the WMS's wire contract: every movement adds one piece, so that the figure of an article tells which
of its movements a channel has heard of. Arrivals are those of another process (`watching`) and of the shop's own log.
All instants are of one wall clock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from benchmarks.edge.site import prepare
from benchmarks.inventory import books
from benchmarks.processes import ROOT, free_port, seconds_of_family
from gateway.app import administer
from gateway.engines import Engines
from gateway.identity.partners import PARTNER_SCOPES, add_partner
from gateway.settings import load_settings
from system_apis.storefront_shop.sandbox import ShopSandbox

_EACH = 1_000
_EVENTS = 20
_PROBED = 100
_PATIENCE = 120.0
_CALLS = 10.0
_IDLE_SECONDS = 4.0
PATHS = ("projection", "stream", "webhook", "shop")


async def channels(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Percentiles of each way, and of the slowest of those that no vendor limits."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(_site(folder, given))
        movements = _movements(given)
        calm, began = await _idle(site), (_spent(site), time.monotonic())
        print("movements begin", file=sys.stderr, flush=True)
        sent = await _send(site, movements, given)
        await _until_told(site)
        costs = _costs(site, began, calm, len(movements))
        told = await _finish(site)
    found = _judge(movements, sent, told)
    for path in PATHS:
        print(f"movement to {path:10} {found[path]}", file=sys.stderr)
    print(f"processor time a second, of nothing, in ms: {calm}; of one movement, in us: {costs}", file=sys.stderr)
    ours = [found[path] for path in ("projection", "stream", "webhook")]
    return {
        "movement_to_channel_p99_ms": max(each["p99_ms"] for each in ours),
        "movement_to_channel_ms": found,
        "movements_sent_per_s": round(len(sent) / (max(sent) - min(sent)), 1),
        "movement_to_channel_cpu_us": costs,
        "movements_never_told": sum(each["missing"] for each in found.values()),
    }


def _spent(site: dict[str, Any]) -> dict[str, float]:
    """Processor seconds so far of every process between the sender and who listens, and of these two."""
    return {"sender": time.process_time(), **{name: seconds_of_family(pid) for name, pid in site["processes"].items()}}


async def _idle(site: dict[str, Any]) -> dict[str, float]:
    """Milliseconds a second that each process takes while nothing happens."""
    before, at = _spent(site), time.monotonic()
    await asyncio.sleep(_IDLE_SECONDS)
    after, seconds = _spent(site), time.monotonic() - at
    return {name: round((after[name] - before[name]) / seconds * 1e3, 1) for name in after}


def _costs(
    site: dict[str, Any], began: tuple[dict[str, float], float], calm: dict[str, float], movements: int
) -> dict[str, int]:
    """Microseconds of each process for one movement on all its ways, beyond what it takes while nothing happens."""
    before, at = began
    after, seconds = _spent(site), time.monotonic() - at
    return {name: round((after[name] - before[name] - seconds * calm[name] / 1e3) / movements * 1e6) for name in after}


def _movements(given: argparse.Namespace) -> list[int]:
    """The article of each movement, by Zipf's law over all of them."""
    chosen = random.Random(given.seed)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, given.items + 1)))
    order = chosen.sample(range(given.items), given.items)
    count = int(given.seconds * given.movements)
    return [order[number] for number in chosen.choices(range(given.items), cum_weights=weights, k=count)]


async def _send(site: dict[str, Any], movements: list[int], given: argparse.Namespace) -> list[float]:
    """Send them in their order, `_EVENTS` in a webhook, at the pace asked for; the instant of each."""
    sent, seen, began = [], defaultdict(int), time.monotonic()
    probe_every = max(1, len(movements) // _PROBED)
    async with httpx.AsyncClient(base_url=site["gateway"], trust_env=False, timeout=60) as client:
        for first in range(0, len(movements), _EVENTS):
            batch = movements[first : first + _EVENTS]
            ahead = began + first / given.movements - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            at = time.time()
            answer = await client.post(f"/webhooks/v1/{books.SOURCE}", **_webhook(site["secret"], first, batch))
            answer.raise_for_status()
            for number, item in enumerate(batch, first):
                seen[item] += 1
                sent.append(at)
                if number % probe_every == 0:
                    site["watch"].stdin.write(json.dumps([_sku(item), _EACH + seen[item]]).encode() + b"\n")
    return sent


def _webhook(secret: str, first: int, items: list[int]) -> dict[str, Any]:
    events = [
        {
            "event_id": f"EV-{number}", "epoch": 1, "sequence": number + 1, "type": "ADJ", "warehouse": "W1",
            "occurred_at": datetime.now(UTC).isoformat(),
            "lines": [{"line": 1, "item_code": books.code_of(item), "quantity": "1", "unit": "PCE", "to_state": "AVL"}],
        }
        for number, item in enumerate(items, first)
    ]  # fmt: skip
    body = json.dumps({"delivery_id": str(first), "events": events}).encode()
    stamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-wms-delivery": str(first),
        "x-wms-timestamp": stamp,
        "x-wms-signature": f"v1={signature}",
    }
    return {"content": body, "headers": headers}


async def _until_told(site: dict[str, Any]) -> None:
    """Until nothing waits for anybody, or patience ends."""
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        left = await site["record"].fetchval(
            "select (select count(*) from channel_publication.due) + (select count(*) from "
            "partner_notifications.message where state = 'waiting') + (select count(*) from store.event where type = "
            "'availability.changed' and id > (select min(event_id) from store.consumer where name in "
            "('partner_notifications', 'channel_publication', 'availability.projection')))"
        )
        if not left:
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(1)


async def _finish(site: dict[str, Any]) -> list[tuple[str, str, float, float]]:
    site["watch"].stdin.close()
    await site["watch"].wait()
    told = [tuple(json.loads(line)) for line in site["log"].read_text(encoding="utf-8").splitlines()]
    changes = (await site["shop"].look("history"))["changes"]
    return [*told, *(("shop", each["sku"], each["quantity"], each["at"]) for each in changes)]


def _judge(movements: list[int], sent: list[float], told: list[Any]) -> dict[str, dict[str, Any]]:
    """When each movement was first in what each way told."""
    arrived: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for path, sku, quantity, at in told:
        arrived[path][sku].append((at, quantity))
    wanted: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for item, at in zip(movements, sent, strict=True):
        sku = _sku(item)
        wanted[sku].append((_EACH + len(wanted[sku]) + 1, at))
    return {path: _path(wanted, arrived[path], sampled=path == "projection") for path in PATHS}


def _path(wanted: dict[str, Any], arrived: dict[str, Any], *, sampled: bool) -> dict[str, Any]:
    lags, missing = [], 0
    for sku, figures in wanted.items():
        heard = sorted(arrived.get(sku, []))
        if sampled:  # each answer was waited for: it stands for the movement that it names
            known = dict(figures)
            lags += [at - known[quantity] for at, quantity in heard if quantity in known]
            continue
        at, best = 0, 0.0
        for figure, since in figures:
            while best < figure and at < len(heard):
                best = max(best, heard[at][1])
                at += 1
            if best < figure:
                missing += 1
            else:
                lags.append(heard[at - 1][0] - since)
    lags.sort()
    if not lags:
        return {"p50_ms": None, "p99_ms": float("inf"), "movements": 0, "missing": missing}
    at_99 = lags[min(len(lags) - 1, int(len(lags) * 0.99))]
    return {
        "p50_ms": round(lags[len(lags) // 2] * 1e3, 1),
        "p99_ms": round(at_99 * 1e3, 1),
        "movements": len(lags),
        "missing": missing,
    }


def _sku(item: int) -> str:
    return f"SKU-{item:07d}"


@asynccontextmanager
async def _site(folder: Path, given: argparse.Namespace) -> AsyncIterator[dict[str, Any]]:
    """Engines, a gateway, a worker, a shop and whoever listens, ready and calm."""
    async with AsyncExitStack() as stack:
        engines = Engines(folder / "channel-engines")
        urls = await stack.enter_async_context(engines)
        base, _, _ = await prepare(folder, urls, given.seed)
        await books.write_items(urls.postgres, given.items)
        await books.stock(urls.postgres, _EACH)
        levels = {_sku(item): _EACH for item in range(given.items)}
        shop = ShopSandbox(folder / "shop", levels=levels, rate=_CALLS, burst=int(2 * _CALLS))
        await shop.start()
        stack.push_async_callback(shop.stop)
        settings = _settings(folder, base, urls, shop)
        log = folder / "heard.jsonl"
        watch = await _start(stack, "benchmarks.inventory.watching", log=folder / "watching.log", pipes=True)
        watch.stdin.write(json.dumps({"log": str(log)}).encode() + b"\n")
        port = int(await watch.stdout.readline())
        key = await _partner(settings, f"http://127.0.0.1:{port}/")
        gateway = f"http://127.0.0.1:{load_settings(settings).http.port}"
        processes = {"listener": watch.pid, **{each.name: each.pid for each in engines.status().values() if each.pid}}
        for module, service in (("gateway.asgi", "gateway"), ("gateway.worker", "worker")):
            started = await _start(stack, module, service, "--settings", str(settings), log=folder / f"{service}.log")
            processes[service] = started.pid
        record = await asyncpg.connect(urls.postgres)
        stack.push_async_callback(record.close)
        await _calm(gateway, record, given.items)
        watch.stdin.write(json.dumps({"gateway": gateway, "key": key}).encode() + b"\n")
        await watch.stdout.readline()
        await asyncio.sleep(1)
        yield {"gateway": gateway, "secret": "bench-secret", "watch": watch, "log": log, "shop": shop,
               "record": record, "processes": processes}  # fmt: skip


def _settings(folder: Path, base: Path, urls: Any, shop: ShopSandbox) -> Path:
    (folder / "nats").write_text(urls.nats, encoding="utf-8")
    (folder / "webhook").write_text("bench-secret", encoding="utf-8")
    path, secret, access_key = folder / "channels.toml", f"file:{folder}/webhook", shop.settings()["access_key"]
    more = f"""publication = {{ system = "shop", sweep_seconds = 3600.0, read_back_seconds = 3600.0 }}
[notifications]
private_targets = ["127.0.0.0/8"]
plain_http = true
[worker]
poll_seconds = 3600.0
[systems.{books.SOURCE}]
product = "regional_wms"
settings = {{ base_url = "http://127.0.0.1:{free_port()}", api_key = "{secret}", webhook_secret = "{secret}" }}
[systems.shop]
product = "storefront_shop"
settings = {{ base_url = "{shop.url}", access_key = "{access_key}" }}
limits = {{ rate_per_s = {_CALLS}, burst = {int(_CALLS)}, concurrency = 4, batch_size = 250 }}
[[locations]]
location = "{books.PLACE}"
name = "Warehouse"
region = "na"
time_zone = "UTC"
holder = "{books.SOURCE}"
codes = {{ {books.SOURCE} = "W1" }}
priority = 1
"""
    path.write_text(base.read_text(encoding="utf-8") + more, encoding="utf-8")
    return path


async def _partner(settings: Path, url: str) -> str:
    async def add(connection: Any, ring: Any) -> Any:
        return await add_partner(
            connection, ring, tenant=books.TENANT, name="Channel", channel="web", plan="standard", accounts=["C1"],
            scopes=PARTNER_SCOPES, webhook_url=url,
        )  # fmt: skip

    key: str = (await administer(load_settings(settings), add)).api_key
    return key


async def _start(stack: AsyncExitStack, *command: str, log: Path, pipes: bool = False) -> asyncio.subprocess.Process:
    output = stack.enter_context(log.open("wb"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, cwd=ROOT, stderr=output,
        stdin=asyncio.subprocess.PIPE if pipes else None, stdout=asyncio.subprocess.PIPE if pipes else output,
    )  # fmt: skip

    async def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 20)

    stack.push_async_callback(end)
    return process


async def _calm(gateway: str, record: Any, items: int) -> None:
    """Ready, and the shop known: every figure was seen and is as it should be."""
    ends = time.monotonic() + _PATIENCE
    async with httpx.AsyncClient(base_url=gateway, trust_env=False) as client:
        while time.monotonic() < ends:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get("/readyz")).status_code == 200 and await _known(record) >= items:
                    return
            await asyncio.sleep(0.5)
    raise SystemExit("the gateway or the shop was not ready: see the logs beside the settings")


async def _known(record: Any) -> int:
    count: int = await record.fetchval(
        "select count(*) from channel_publication.figure f where base_version is not null and not exists "
        "(select from channel_publication.due d where d.item = f.item)"
    )
    return count
