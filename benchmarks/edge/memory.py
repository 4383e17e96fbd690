"""``make bench-memory``: whether one gateway process stays the same size while strangers pass by.

Many clients, each with a token and an address of its own, in turn and again: more of them than any cache holds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.edge.site import TENANT, cores, load, prepare, serving
from gateway.app import administer
from gateway.engines import Engines
from gateway.identity.grants import ClientKind, Grant
from gateway.identity.signing_keys import KeySet, ensure_signing_keys, load_key_set
from gateway.identity.tokens import issue_token
from gateway.settings import Settings, load_settings

_SCOPE = "items:read"


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge.memory")
    parser.add_argument("--requests", type=int, default=500_000)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--step", type=int, default=50_000, help="requests between two readings")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args()
    if given.clients % given.step or given.requests % given.step or given.requests <= given.clients:
        parser.error("clients and requests are multiples of step, and requests are more than one pass of all clients")
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), given))))


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Engines up, tokens signed, then one gateway driven in steps; resident memory after each."""
    async with Engines(folder / "engines", only={"postgres", "valkey"}) as urls:
        path, items, _ = await prepare(folder, urls, given.seed)
        _believe_addresses(path)
        settings = load_settings(path)
        keys = await administer(settings, _keys)
        return await asyncio.to_thread(_drive, path, settings, items, keys, given)


def _believe_addresses(settings: Path) -> None:
    """Each client comes from an address of its own, and unknown tokens are not held back: they are the load."""
    text = settings.read_text(encoding="utf-8")
    text = text.replace("[http]\n", '[http]\ntrusted_peers = ["127.0.0.1/32"]\n')
    text = text.replace("[identity]\n", "[identity]\ncold_per_second = 100000\n")
    settings.write_text(text, encoding="utf-8")


async def _keys(connection: Any, ring: Any) -> KeySet:
    await ensure_signing_keys(connection, ring)
    return await load_key_set(connection, ring)


def _drive(path: Path, settings: Settings, items: list[str], keys: KeySet, given: argparse.Namespace) -> dict[str, Any]:
    server, driver = cores()
    print(f"signing {given.clients} tokens", file=sys.stderr)
    tokens = [_token(settings, keys, number) for number in range(given.clients)]
    resident: list[int] = []
    with serving("benchmarks.edge.apps:ours", path, settings.http.port, server) as pid:
        print(f"{'requests':>10} {'per second':>12} {'resident MiB':>14}  load average", file=sys.stderr)
        for begun in range(0, given.requests, given.step):
            numbers = range(begun, begun + given.step)
            requests = [_request(items[n % len(items)], tokens[n % given.clients], n % given.clients) for n in numbers]
            counted = load(driver, settings.http.port, requests, seconds=900, once=True)
            if counted["statuses"] != {"200": given.step}:
                raise SystemExit(f"the gateway answered {counted['statuses']}")
            resident.append(_resident(pid))
            print(
                f"{begun + given.step:10} {counted['per_second']:12.0f} {resident[-1] / 2**20:14.1f}"
                f"  {os.getloadavg()[0]:.1f}",
                file=sys.stderr,
            )
    warm = resident[given.clients // given.step - 1]
    return {
        "requests": given.requests,
        "clients": given.clients,
        "rss_first_step_mib": round(resident[0] / 2**20, 1),
        "rss_first_pass_mib": round(warm / 2**20, 1),
        "rss_end_mib": round(resident[-1] / 2**20, 1),
        "rss_growth_ratio": round(resident[-1] / warm, 3),
    }


def _token(settings: Settings, keys: KeySet, number: int) -> str:
    grant = Grant(tenant=TENANT, kind=ClientKind.PARTNER, partner=f"par_{number}", channel="web")
    return issue_token(keys.current, settings.identity, grant, client_id=f"cli_{number}", scope=_SCOPE)


def _request(item: str, token: str, client: int) -> bytes:
    address = f"10.{client >> 16 & 255}.{client >> 8 & 255}.{client & 255}"
    return (
        f"GET /storefront/v2/items/{item} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n"
        f"X-Forwarded-For: {address}\r\nAccept: application/json\r\n\r\n"
    ).encode()


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
