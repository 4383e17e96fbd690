"""A small load generator: keep-alive connections over raw sockets, counting what the server really answered.

Run as a process of its own (``python -m benchmarks.edge.load``), pinned away from the server. It reads a plan from
standard input (JSON: port, connections, seconds, once, awake, requests as base64) and writes what it counted.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from typing import Any

import uvloop


class Connection(asyncio.Protocol):
    """Sends the next request of the plan as soon as the answer before it is complete."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._sent = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: Any = transport
        self._next()

    def _next(self) -> None:
        request = self._run.take()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; send on when it is whole."""
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            self._buffer = buffer
            return
        at = buffer.find(b"content-length: ", 0, head)
        if at < 0:  # some servers write it with capitals
            at = buffer[:head].lower().find(b"content-length: ")
        length = int(buffer[at + 16 : buffer.index(b"\r", at)]) if at > 0 else 0
        if len(buffer) < head + 4 + length:
            self._buffer = buffer
            return
        self._buffer = b""
        self._run.count(buffer[9:12], time.perf_counter() - self._sent)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.closed.done():
            self.closed.set_result(exc)


class Run:
    """One plan: its requests in turn until its time is over."""

    def __init__(self, requests: list[bytes], seconds: float, *, once: bool) -> None:
        self._requests = requests
        self._at = 0
        self._once = once
        self.ends = time.perf_counter() + seconds
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.answered: Counter[int] = Counter()  # by millisecond
        self.last = 0.0

    def take(self) -> bytes | None:
        """The next request, or None when the time is over."""
        if time.perf_counter() >= self.ends or (self._once and self._at >= len(self._requests)):
            return None
        request = self._requests[self._at % len(self._requests)]
        self._at += 1
        return request

    def count(self, status: bytes, seconds: float) -> None:
        """Count one whole answer."""
        self.statuses[status.decode()] += 1
        self.latencies.append(seconds)
        self.last = time.perf_counter()
        self.answered[int(self.last * 1000)] += 1


def stay_awake(loop: asyncio.AbstractEventLoop) -> None:
    """Look for answers again at once instead of sleeping until one comes.

    Waking a sleeper on another core costs whoever writes to it microseconds, of a virtual machine most of all. A server
    that keeps this process busy is spared them, and would look cheaper than a slower one by more than it is.
    """
    loop.call_soon(stay_awake, loop)


async def drive(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry `plan` out and report counts, rate and latencies."""
    requests = [base64.b64decode(request) for request in plan["requests"]]
    run = Run(requests, plan["seconds"], once=plan.get("once", False))
    loop = asyncio.get_running_loop()
    if plan.get("awake", False):
        stay_awake(loop)
    begun = time.perf_counter()
    connections = [
        (await loop.create_connection(lambda: Connection(run), "127.0.0.1", plan["port"]))[1]
        for _ in range(plan["connections"])
    ]
    await asyncio.wait_for(asyncio.gather(*(connection.closed for connection in connections)), plan["seconds"] + 30)
    ordered = sorted(run.latencies) or [0.0]
    return {
        "statuses": dict(run.statuses),
        "answered": dict(run.answered),
        "seconds": run.last - begun,
        "per_second": sum(run.statuses.values()) / max(run.last - begun, 1e-9),
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(drive(json.load(sys.stdin)))))
