"""``make bench-edge``: policy overhead in CPU, a secured GET and an order POST beside FastAPI, and other proxies."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.edge import proxies, yardstick
from benchmarks.edge.peer_proxies import checks_of, upstream_serving
from benchmarks.edge.site import ABOUT_PEER, PROXIED_PATH, cores, load, prepare, proxying_settings, serving, tokens_of
from benchmarks.processes import free_port, machine, processor_seconds
from gateway.engines import Engines
from gateway.kernel.form import form_of_door
from gateway.settings import load_settings

TARGETS: Final = ("apps:raw", "apps:governed_raw", "apps:ours", "peer:make_peer", "apps:raw_same_fields")
_LONGER: Final = 0.5  # seconds: what the load generator needs to start


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per server and round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    given = parser.parse_args()
    print(ABOUT_PEER, machine(), sep="\n", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="bench-edge-") as folder:
        found = asyncio.run(measure(Path(folder), given))
    print(json.dumps({"door": form_of_door()} | found | _acceptance(given.seed)))


async def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Engines up, everything measured in turn, round by round."""
    async with Engines(folder / "engines", only={"postgres", "valkey"}) as urls:
        settings, items, credentials = await prepare(folder, urls, given.seed)
        return await asyncio.to_thread(_compare, folder, settings, items, credentials, given)


def _compare(folder: Path, settings: Path, items: list[str], credentials: list[Any], given: Any) -> dict[str, Any]:
    server_core, _ = cores()
    port = load_settings(settings).http.port
    with serving("benchmarks.edge.apps:ours", settings, port, server_core):
        tokens = tokens_of(port, credentials, given.tokens)
        jwks = urllib.request.urlopen(f"http://127.0.0.1:{port}/.well-known/jwks.json", timeout=5).read()
        (folder / "jwks.json").write_bytes(jwks)
        body = _get(port, items[0], tokens[0])
        (folder / "body.json").write_bytes(body)
    requests = [_request(items[number % len(items)], token) for number, token in enumerate(tokens)]
    files = {"BENCH_BODY": str(folder / "body.json"), "BENCH_JWKS": str(folder / "jwks.json")}
    figures: dict[str, list[dict[str, Any]]] = {target: [] for target in TARGETS}
    for _ in range(given.rounds):
        with ExitStack() as running:
            served = {
                target: (
                    own,
                    running.enter_context(serving(f"benchmarks.edge.{target}", settings, own, server_core, **files)),
                )
                for target, own in ((target, free_port()) for target in TARGETS)
            }
            for target, (port, pid) in served.items():
                figures[target].append(_driven(target, port, pid, requests, given))
    return _figures(figures) | _proxies(folder, settings, jwks, tokens, given)


def _proxies(folder: Path, settings: Path, jwks: bytes, tokens: list[str], given: Any) -> dict[str, Any]:
    """Ours and the proxies that are installed, with the gateway's own tokens, before one upstream."""
    server_core, load_core = cores()
    checks = checks_of(jwks, load_settings(settings).identity.issuer, tokens[0], folder)
    with upstream_serving(load_core, folder / "one.log") as upstream:
        own = free_port()
        proxying = proxying_settings(settings, upstream)
        with serving("benchmarks.edge.apps:ours", proxying, own, server_core) as pid:
            return proxies.measure(
                checks, tokens, folder, rounds=given.rounds, seconds=given.seconds, upstream=upstream,
                ours=(own, pid, PROXIED_PATH),
            )  # fmt: skip


def _driven(target: str, port: int, pid: int, requests: list[bytes], given: Any) -> dict[str, Any]:
    """What one server did in one round.

    All stand side by side on one core and are driven in turn, briefly: what else the machine does falls on all alike.
    Each round has processes of its own, because two of the same code differ, by where their memory happens to lie.
    """
    server_core, load_core = cores()
    before = processor_seconds(pid)
    # Every token is then seen within the minute: caches are warm.
    first = load(load_core, port, requests, seconds=60, once=True, awake=True)
    cold_us = (processor_seconds(pid) - before) / len(requests) * 1e6
    cold = first["statuses"] == {"200": len(requests)}
    before = processor_seconds(pid)
    readings = yardstick.beside(pid, server_core, given.seconds + _LONGER)
    counted = load(load_core, port, requests, seconds=given.seconds, awake=True)
    spent = processor_seconds(pid) - before
    total = sum(counted["statuses"].values())
    if counted["statuses"] != {"200": total}:
        raise SystemExit(f"{target} answered {counted['statuses']}")
    counted["windows"] = yardstick.windows(readings, counted["answered"])
    counted["cpu_us"] = spent / total * 1e6
    counted["first_us"] = cold_us if cold else None
    print(
        f"{target:18} {counted['per_second']:9.0f}/s  cpu {counted['cpu_us']:6.1f} us  "
        f"p50 {counted['p50_ms']:6.2f} ms  p99 {counted['p99_ms']:6.2f} ms  load average {os.getloadavg()[0]:.1f}",
        file=sys.stderr,
    )
    return counted


def _figures(figures: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians of the ratios and differences of each round, so that a busy minute counts alike on both sides.

    `policy_overhead_us` is all that the door adds to a bare answer of the same status and body: every policy, the
    access log, and the sending of the header fields that they add, whose own share is `added_fields_us`.
    `policy_overhead_full_speed_us` is the same over the windows of time in which the core had its full speed, which
    were `full_speed_share` of all (`yardstick.py`): no neighbour is in it; None where they were too few.
    `cold_token_us` is what a token costs once, when it is first seen; None when some of them were refused then.
    """
    rounds = list(zip(*figures.values(), strict=True))
    first, warm = rounds[0][1]["first_us"], statistics.median(r[1]["cpu_us"] for r in rounds)
    return {
        "policy_overhead_us": round(statistics.median(r[1]["cpu_us"] - r[0]["cpu_us"] for r in rounds), 1),
        **_at_full_speed(figures),
        "added_fields_us": round(statistics.median(r[4]["cpu_us"] - r[0]["cpu_us"] for r in rounds), 1),
        "cold_token_us": None if first is None else round(first - warm),
        "get_vs_fastapi": round(statistics.median(r[2]["per_second"] / r[3]["per_second"] for r in rounds), 2),
        "get_vs_fastapi_cpu": round(statistics.median(r[3]["cpu_us"] / r[2]["cpu_us"] for r in rounds), 2),
        "get_per_s": round(statistics.median(r[2]["per_second"] for r in rounds)),
    }


def _at_full_speed(figures: dict[str, list[dict[str, Any]]]) -> dict[str, float | None]:
    found = {target: [window for each in rounds for window in each["windows"]] for target, rounds in figures.items()}
    quickest = yardstick.quickest([window for each in found.values() for window in each])
    bare, _ = yardstick.at_full_speed(found["apps:raw"], quickest)
    chain, share = yardstick.at_full_speed(found["apps:governed_raw"], quickest)
    return {
        "policy_overhead_full_speed_us": None if bare is None or chain is None else round(chain - bare, 1),
        "full_speed_share": round(share, 2),
    }


def _acceptance(seed: int) -> dict[str, Any]:
    """The order POST beside FastAPI, by its own benchmark: ten lines, idempotent, claimed, counted in the record."""
    command = [sys.executable, "-m", "benchmarks.acceptance", "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: figure for name, figure in found.items() if name.startswith("post_")}


def _request(item: str, token: str) -> bytes:
    return (
        f"GET /storefront/v2/items/{item} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json\r\nUser-Agent: bench\r\nApi-Version: v2\r\n\r\n"
    ).encode()


def _get(port: int, item: str, token: str) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/storefront/v2/items/{item}", headers={"authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        body: bytes = answer.read()
        return body


if __name__ == "__main__":
    main()
