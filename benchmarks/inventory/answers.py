"""What may be sold: the rules over rows that are loaded, and over HTTP through the whole door on one core."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.edge.site import cores, load, serving, tokens_of
from gateway.cache.valkey import Cache
from gateway.engines import EngineUrls
from gateway.settings import load_settings
from gateway.store.postgres import Store
from process_apis.availability.models import ChannelRule, ChannelTerms, Held, LocationTerms, StockLine
from process_apis.availability.projecting import Projection
from process_apis.availability.selling import selling_by


async def project(urls: EngineUrls) -> None:
    """Fill the projection as a worker does."""
    store, cache = Store(urls.postgres, size=2), Cache(urls.valkey)
    await store.open()
    await cache.open()
    await Projection(store, cache).rebuild()
    await cache.close()
    await store.close()


def measure(settings: Path, credentials: list[Any], given: argparse.Namespace) -> dict[str, Any]:
    """Microseconds for 50 items, requests per second for one and for 50."""
    server_core, load_core = cores()
    port = load_settings(settings).http.port
    with serving("benchmarks.edge.apps:ours", settings, port, server_core):
        tokens = tokens_of(port, credentials, 40)
        one = [_one(number * 7 % given.items, token) for number, token in enumerate(tokens * 5)]
        many = [_fifty(number * 11 % given.items, given.items, token) for number, token in enumerate(tokens * 5)]
        for requests in (one, many):
            load(load_core, port, requests, seconds=2)
        alone = load(load_core, port, one, seconds=given.seconds)
        fifty = load(load_core, port, many, seconds=given.seconds)
    for name, found in (("one item", alone), ("fifty items", fifty)):
        print(f"{name:12} {found}", file=sys.stderr)
        if set(found["statuses"]) != {"200"}:
            raise SystemExit(f"{name}: answered {found['statuses']}")
    return {
        "availability_50_us": round(_rules_us(), 1),
        "availability_http_rps": round(alone["per_second"]),
        "availability_http_p99_ms": round(alone["p99_ms"], 1),
        "availability_http_50_rps": round(fifty["per_second"]),
        "availability_http_50_p99_ms": round(fifty["p99_ms"], 1),
    }


def _rules_us() -> float:
    """The rules of one channel over 50 items of one stock line each: the median of many runs."""
    terms = ChannelTerms(
        locations=(LocationTerms(location="WH-1", safety_stock=Decimal(5)),), buffer=Decimal(2), share=Decimal("0.6")
    )
    lines = [_line(number) for number in range(50)]

    rule = ChannelRule(channel="web", version=1, terms=terms)
    held = [{("web", line.owner): Held(line.reserved, 1)} for line in lines]

    def fifty() -> None:
        sells = selling_by(rule, ())
        for line, has in zip(lines, held, strict=True):
            sells(line.item, [line], has)

    return statistics.median(_timed(fifty) for _ in range(2_000)) * 1e6


def _timed(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _line(number: int) -> StockLine:
    figures = {"on_hand": 100 + number, "sellable": 90 + number, "reserved": number, "allocated": 3, "external": 1}
    return StockLine(
        item=f"itm_{number}", location="WH-1", owner="main", version=1, as_of=datetime.now(UTC),
        **{name: Decimal(figure) for name, figure in figures.items()},
    )  # fmt: skip


def _sku(number: int) -> str:
    return f"SKU-{number:07d}"


def _one(number: int, token: str) -> bytes:
    return (
        f"GET /storefront/v2/availability?sku={_sku(number)} HTTP/1.1\r\nHost: api.example.com\r\n"
        f"Authorization: Bearer {token}\r\nAccept: application/json\r\n\r\n"
    ).encode()


def _fifty(first: int, items: int, token: str) -> bytes:
    body = json.dumps({"skus": [_sku((first + more) % items) for more in range(50)]}).encode()
    return (
        "POST /storefront/v2/availability-queries HTTP/1.1\r\nHost: api.example.com\r\n"
        f"Authorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
