"""Places orders over keep-alive connections: as fast as answers come, or at a rate whatever the server does.

Run as a process of its own (``python -m benchmarks.acceptance.load``): a plan as JSON on standard input, what was
counted as JSON on standard output. At a rate, the latency of a request counts from the moment it was due, so that a
server that stalls cannot hide what it made wait.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from typing import Any, Final

import uvloop

_SHIP_TO: Final = {
    "name": "Goods in",
    "street": "1 Dock Road",
    "city": "Reno",
    "postal_code": "89501",
    "country": "US",
}


def order(plan: dict[str, Any], number: int, chosen: random.Random) -> bytes:
    """The whole request of order `number` of this plan: distinct articles, a fresh key, one of the tokens."""
    lines = [
        {"sku": f"SKU-{sku:05d}", "quantity": {"amount": str(chosen.randint(1, 5))}}
        for sku in chosen.sample(range(plan["items"]), plan["lines"])
    ]
    body = json.dumps(
        {
            "external_number": f"{plan['name']}-{number}",
            "delivery": {"ship_to": _SHIP_TO},
            "lines": lines,
        }
    ).encode()
    token = plan["tokens"][number % len(plan["tokens"])]
    return (
        f"POST /storefront/v2/orders HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {plan['name']}-{chosen.getrandbits(64):016x}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for the first request."""
        self._transport: Any = transport
        self._run.free(self)

    def send(self, request: bytes, due: float) -> None:
        """Send, counting from `due`."""
        self._due = due
        self._transport.write(request)

    def close(self) -> None:
        """No more requests."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Count a complete answer."""
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        at = buffer.find(b"content-length: ", 0, head) if head >= 0 else -1
        length = int(buffer[at + 16 : buffer.index(b"\r", at)]) if at > 0 else 0
        if head < 0 or len(buffer) < head + 4 + length:
            self._buffer = buffer
            return
        self._buffer = b""
        self._run.count(buffer, time.perf_counter() - self._due)
        self._run.free(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Gone with an answer due or without one."""
        self._run.lost(self)


class Run:
    """One plan on its way."""

    def __init__(self, plan: dict[str, Any]) -> None:
        chosen = random.Random(plan["seed"])
        count = plan["count"]
        self._requests = deque(order(plan, number, chosen) for number in range(count))
        self._rate = plan["rate"]
        self._seconds = plan["seconds"]
        self._idle: list[Connection] = []
        self._due: deque[tuple[bytes, float]] = deque()
        self._open = 0
        self._started = False
        self.done = asyncio.Event()
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.first_refusal = ""
        self.begun = self.last = time.perf_counter()

    def start(self) -> None:
        """All connections are made: from now on."""
        self._started = True
        self.begun = time.perf_counter()
        idle, self._idle = self._idle, []
        for connection in idle:
            self.free(connection)

    async def pace(self) -> None:
        """Make requests due at the rate, never waiting for answers."""
        for number in range(int(self._rate * self._seconds)):
            due = self.begun + number / self._rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            if self._idle:
                self._send(self._idle.pop(), self._requests.popleft(), due)
            else:
                self._due.append((self._requests.popleft(), due))
        self._rate = -1.0
        self._end_if_over()

    def free(self, connection: Connection) -> None:
        """`connection` can take a request."""
        if self._due:
            self._send(connection, *self._due.popleft())
        elif (
            self._started and self._rate is None and self._requests and time.perf_counter() < self.begun + self._seconds
        ):
            self._send(connection, self._requests.popleft(), time.perf_counter())
        else:
            self._idle.append(connection)
            self._end_if_over()

    def _send(self, connection: Connection, request: bytes, due: float) -> None:
        self._open += 1
        connection.send(request, due)

    def _end_if_over(self) -> None:
        if not self._started:
            return
        over = self._rate == -1.0 or (self._rate is None and time.perf_counter() >= self.begun + self._seconds)
        if self._open == 0 and not self._due and (over or not self._requests):
            self.done.set()

    def count(self, answer: bytes, seconds: float) -> None:
        """One answer."""
        self._open -= 1
        status = answer[9:12].decode()
        self.statuses[status] += 1
        self.latencies.append(seconds)
        self.last = time.perf_counter()
        if status != "201" and not self.first_refusal:
            self.first_refusal = answer[:2000].decode(errors="replace")

    def lost(self, connection: Connection) -> None:
        """The server closed a connection; one that did nothing is no longer one to send on."""
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self._open -= 1
            self.statuses["lost"] += 1
            self._end_if_over()


async def drive(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry `plan` out; what was counted."""
    run = Run(plan)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: Connection(run), "127.0.0.1", plan["port"]))[1]
        for _ in range(plan["connections"])
    ]
    run.start()
    pacing = loop.create_task(run.pace()) if plan["rate"] is not None else None
    await asyncio.wait_for(run.done.wait(), plan["seconds"] + 60)
    if pacing is not None:
        await pacing
    for connection in connections:
        connection.close()
    ordered = sorted(run.latencies) or [0.0]
    return {
        "statuses": dict(run.statuses),
        "first_refusal": run.first_refusal,
        "seconds": run.last - run.begun,
        "per_second": run.statuses["201"] / max(run.last - run.begun, 1e-9),
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
        "max_ms": ordered[-1] * 1000,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(drive(json.load(sys.stdin)))))
