"""What other proxies and ours pass on in a second, before one tiny upstream, with the same checks.

``python -m benchmarks.edge.proxies`` measures the others alone, with tokens made here; ``make bench-edge`` measures all
with the gateway's own tokens. A proxy is measured only when it showed that it checks (200, 401, 429).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.edge.peer_proxies import (
    EXPECTED,
    PEERS,
    Checks,
    of_two_clients,
    own_tokens,
    peer_serving,
    shown,
    status_of,
    upstream_serving,
)
from benchmarks.edge.site import cores, load
from benchmarks.processes import children_of, processor_seconds


def measure(
    checks: Checks,
    tokens: Sequence[str],
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    ours: tuple[int, int, str] | str,
    upstream: int,
) -> dict[str, Any]:
    """Requests a second of ours over each peer's, medians of the ratios of rounds, and each one's own figures.

    `ours` is port, process id and path of the gateway before the same upstream, or why there is none.
    """
    server, driver = cores()
    reasons = {name: why for name, peer in PEERS.items() if (why := peer.missing())}
    there = [name for name in PEERS if name not in reasons]
    for name in there:
        if (found := shown(name, checks, of_two_clients(tokens), folder)) != EXPECTED:
            raise SystemExit(f"{name} does not check as the others do: {found}")
    with ExitStack() as running:
        served = {
            name: (*running.enter_context(peer_serving(name, checks, upstream, folder, server)), "/v1/orders/ord_1")
            for name in there
        }
        if not isinstance(ours, str):
            if (status := status_of(ours[0], None, ours[2])) != 401:
                raise SystemExit(f"ours answered {status} to a request without a token")
            served["ours"] = ours
        figures = _rounds(served, tokens, driver, rounds, seconds)
    return _ratios(figures, reasons, ours if isinstance(ours, str) else None)


def _rounds(
    served: dict[str, tuple[int, int, str]], tokens: Sequence[str], driver: int, rounds: int, seconds: float
) -> dict[str, list[dict[str, float]]]:
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in served}
    for _ in range(rounds):
        for name, (port, pid, path) in served.items():
            requests = [_request(path, token) for token in tokens]
            before = _spent(pid)
            first = load(driver, port, requests, seconds=60, once=True)
            first_us = (_spent(pid) - before) / len(requests) * 1e6
            before = _spent(pid)
            counted = load(driver, port, requests, seconds=seconds)
            total = sum(counted["statuses"].values())
            cpu_us = (_spent(pid) - before) / total * 1e6
            if set(counted["statuses"]) | set(first["statuses"]) != {"200"}:
                raise SystemExit(f"{name} answered {first['statuses']}, then {counted['statuses']}")
            figures[name].append({"per_second": counted["per_second"], "cpu_us": cpu_us, "first_us": first_us})
            print(
                f"proxy {name:12} {counted['per_second']:9.0f}/s  cpu {cpu_us:6.1f} us (first pass {first_us:6.1f} us)"
                f"  p50 {counted['p50_ms']:6.2f} ms  p99 {counted['p99_ms']:6.2f} ms"
                f"  load average {os.getloadavg()[0]:.1f}",
                file=sys.stderr,
            )
    return figures


def _ratios(figures: dict[str, list[dict[str, float]]], reasons: dict[str, str], no_ours: str | None) -> dict[str, Any]:
    """Cold is the first pass of the first round, when no cache knows a token; later rounds may find them cached."""
    found: dict[str, Any] = {}
    for name in PEERS:
        why = reasons.get(name) or no_ours
        if why:
            print(f"proxy_vs_{name} is null: {why}", file=sys.stderr)
            found[f"proxy_vs_{name}"] = None
            continue
        pairs = zip(figures["ours"], figures[name], strict=True)
        found[f"proxy_vs_{name}"] = round(statistics.median(a["per_second"] / b["per_second"] for a, b in pairs), 2)
    found["proxies"] = {
        name: {
            "per_second": round(statistics.median(r["per_second"] for r in measured)),
            "cpu_us": round(statistics.median(r["cpu_us"] for r in measured), 1),
            "cold_cpu_us": round(measured[0]["first_us"], 1),
        }
        for name, measured in figures.items()
    }
    return found


def _request(path: str, token: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json\r\nUser-Agent: bench\r\n\r\n"
    ).encode()


def _spent(pid: int) -> float:
    """Processor time of a process and of its children so far."""
    return sum(map(processor_seconds, [pid, *children_of(pid)]))


def main() -> None:
    """Measure the peers alone; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.edge.proxies")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per proxy and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-proxies-") as made, ExitStack() as running:
        folder = Path(made)
        checks, tokens = own_tokens(given.tokens, 20, folder)
        upstream = running.enter_context(upstream_serving(cores()[1], folder / "one.log"))
        found = measure(
            checks, tokens, folder, rounds=given.rounds, seconds=given.seconds, upstream=upstream,
            ours="only the peers were asked for",
        )  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
