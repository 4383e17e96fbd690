"""Limits over real sockets and two worker processes, with Valkey there, killed under load, and back."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import http_sf
import pytest
from running_gateway import RunningGateway
from wire import Answer, answer, request

from gateway.engines import Engines

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

EXACT = "/storefront/v1/availability"
OPEN = "/storefront/v1/items"
LOCAL = "/storefront/v1/availability-queries"
UNITS = "/storefront/v2/availability-queries"
CLOSED = "/storefront/v1/orders"
BODY = b'{"skus":["SKU-0001"]}'
BACK_SECONDS = 60


def asked(gateway: RunningGateway, path: str, *more: str, second: bool = False) -> bytes:
    key = gateway.second.api_key if second else gateway.first.api_key
    if path == LOCAL:
        fields = ("Content-Type: application/json", f"Content-Length: {len(BODY)}")
        return request(f"POST {path} HTTP/1.1", f"X-Api-Key: {key}", *fields, body=BODY)
    return request(f"GET {path} HTTP/1.1", f"X-Api-Key: {key}", *more)


async def many(gateway: RunningGateway, raws: list[bytes], at_once: int = 100) -> list[Answer]:
    gate = asyncio.Semaphore(at_once)

    async def one(raw: bytes) -> Answer:
        async with gate:
            return await answer(gateway, raw)

    return await asyncio.gather(*(one(raw) for raw in raws))


async def test_of_500_parallel_calls_in_every_spelling_exactly_100_pass(limited: RunningGateway):
    """Slash, dots, escapes and query variants, rotating addresses in headers: one bucket over both workers."""
    spellings = (f"{EXACT}?sku=SKU-0001", f"{EXACT}/?sku=SKU-0002", f"/{EXACT}?sku=SKU-0004",
                 f"/x/..{EXACT}?sku=SKU-0001", "/storefront/%76%31/availability?sku=SKU-%30001")  # fmt: skip
    raws = [
        asked(limited, spellings[n % len(spellings)], f"X-Forwarded-For: 203.0.113.{n % 250}", f"Forwarded: for={n}")
        for n in range(500)
    ]
    answers = await many(limited, raws)
    assert Counter(got.status for got in answers) == {200: 100, 429: 400}
    for got in answers:
        ((name, quota),) = http_sf.parse(got.headers["ratelimit-policy"].encode(), tltype="list")
        ((told, left),) = http_sf.parse(got.headers["ratelimit"].encode(), tltype="list")
        assert (name, told, quota) == ("exact", "exact", {"q": 100, "w": 3600})
        assert 0 <= left["r"] < 100
        if got.status == 429:
            assert got.code == "rate_limit.exceeded"
            assert 3400 < int(got.headers["retry-after"]) <= 3600
    # Rejected calls were not counted, and another partner has a bucket of its own.
    assert (await answer(limited, asked(limited, f"{EXACT}?sku=SKU-0001", second=True))).status == 200


async def test_an_exact_limit_in_units_is_never_passed_by_calls_of_any_size(limited: RunningGateway):
    """A call is charged its first unit before its body is read and the others after: together, all or nothing."""
    sizes = [1 + n % 9 for n in range(120)]
    answers = await many(limited, [asked_about(limited, size) for size in sizes], at_once=40)
    assert statuses(answers).keys() == {200, 429}
    spent = sum(size for size, got in zip(sizes, answers, strict=True) if got.status == 200)
    assert 100 - max(sizes) < spent <= 100
    # What was refused cost nothing: the rest is there to the unit.
    rest = await many(limited, [asked_about(limited, 1)] * 20, at_once=1)
    assert statuses(rest) == Counter({200: 100 - spent, 429: 20 - (100 - spent)})


def asked_about(gateway: RunningGateway, units: int) -> bytes:
    """A call that costs `units`: one, and one for each twenty SKUs."""
    skus = [f"SKU-{number:04}" for number in range(20 * (units - 1) or 1)]
    body = json.dumps({"skus": skus}).encode()
    fields = (f"X-Api-Key: {gateway.second.api_key}", "Content-Type: application/json", f"Content-Length: {len(body)}")
    return request(f"POST {UNITS} HTTP/1.1", *fields, body=body)


async def test_valkey_killed_under_load_is_answered_as_each_limit_declares_and_limits_come_back(
    limited: RunningGateway, engines: Engines
):
    loads = {path: [asked(limited, path, second=True)] for path in (OPEN, LOCAL, CLOSED)}
    before = {path: await answer(limited, raw[0]) for path, raw in loads.items()}
    assert {got.status for got in before.values()} == {200}
    assert not any("crossdock-ratelimit-mode" in got.headers for got in before.values())

    stop = asyncio.Event()
    seen: dict[str, list[Answer]] = {path: [] for path in loads}

    async def load(path: str) -> None:
        while not stop.is_set():
            seen[path].append(await answer(limited, loads[path][0]))
            await asyncio.sleep(0.01)

    running = [asyncio.create_task(load(path)) for path in loads for _ in range(2)]
    await asyncio.sleep(0.2)
    await engines.kill("valkey")
    for heard in seen.values():
        heard.clear()
    try:
        # What was leased may still be spent; then each does what it declared.
        await until(
            lambda: (
                "open" in modes(seen[OPEN]) and "local_share" in modes(seen[LOCAL]) and 503 in statuses(seen[CLOSED])
            )
        )
        for heard in seen.values():
            heard.clear()
        drained = await many(limited, loads[LOCAL] * 600, at_once=40)
        opened = await many(limited, loads[OPEN] * 100, at_once=40)
        closed = await many(limited, loads[CLOSED] * 100, at_once=40)
    finally:
        stop.set()
        await asyncio.gather(*running)
        await engines.restart("valkey")
    # open: everything passes. local_share: each worker its half of the burst and no more. closed: nothing passes.
    assert statuses(opened) == {200: 100}
    assert modes(opened) == {"open"}
    assert statuses(drained).keys() <= {200, 429}
    ahead = 400 * 3 // 8  # what workers may hold of it beforehand (policies/rate_limit/README.md)
    assert statuses(drained)[200] + statuses(seen[LOCAL])[200] <= 400 + ahead
    assert statuses(drained)[429] > 0
    assert statuses(closed) == {503: 100}
    for got in closed:
        assert got.code == "rate_limit.store_down"
        assert int(got.headers["retry-after"]) >= 1
    # An outage of ours is never 429 where the limit is open or closed.
    assert 429 not in statuses(seen[OPEN]) | statuses(seen[CLOSED])

    end = time.monotonic() + BACK_SECONDS
    while time.monotonic() < end:
        after = [await answer(limited, loads[path][0]) for path in (OPEN, CLOSED) for _ in range(6)]
        if statuses(after) == {200: 12} and not modes(after):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the limits did not come back within {BACK_SECONDS} s")


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(got.status for got in answers)


def modes(answers: list[Answer]) -> set[str]:
    return {got.headers["crossdock-ratelimit-mode"] for got in answers if "crossdock-ratelimit-mode" in got.headers}


async def until(holds, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that in time"
        await asyncio.sleep(0.05)
