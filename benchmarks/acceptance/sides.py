"""The two servers: the gateway as `crossdock up` starts it, and its peer under the same server."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import free_port, running
from gateway.settings import load_settings


@contextmanager
def ours_serving(settings: Path) -> Iterator[tuple[int, int]]:
    """The gateway; gives its port and process id."""
    port = load_settings(settings).http.port
    command = [sys.executable, "-m", "gateway.asgi", "gateway", "--settings", str(settings)]
    with running(command, port=port, log=settings.with_name("gateway.log"), folder=settings.parent) as pid:
        yield port, pid


@contextmanager
def peer_serving(settings: Path, issuer: int) -> Iterator[tuple[int, int]]:
    """The peer, with as many processes, for tokens of the gateway on port `issuer`; gives port and process id."""
    port, keys = free_port(), settings.with_name("jwks.json")
    with urllib.request.urlopen(f"http://127.0.0.1:{issuer}/.well-known/jwks.json", timeout=10) as answer:
        keys.write_bytes(answer.read())
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--runtime-mode", "st", "--workers",
        str(load_settings(settings).http.workers), "--no-access-log", "--http", "1", "--log-level", "warning", "--port",
        str(port), "--factory", "benchmarks.acceptance.peer:make_peer",
    ]  # fmt: skip
    variables = {"CROSSDOCK_SETTINGS": str(settings), "BENCH_JWKS": str(keys)}
    with running(command, port=port, log=settings.with_name("peer.log"), folder=settings.parent, **variables) as pid:
        yield port, pid
