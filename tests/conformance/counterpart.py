"""What the suite needs to know of the system behind an adapter, and a line to it that can be made to fail."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from gateway.canonical.capabilities import Webhook
from gateway.canonical.order import SalesLine, SalesOrder
from gateway.canonical.party import Address
from gateway.kernel.errors import Unavailable
from gateway.kernel.money import Money
from gateway.sandboxes.http import HttpAnswer, HttpRequest, HttpServer

_HANG_S = 60.0
FAULTS = ("hang", "cut", "status_500", "garbage")


@dataclass
class Counterpart:
    """A running system. Codes are its own; `count_orders` and `begin_work` go past the adapter.

    `lines` are what an order may ask for, as (SKU, amount, unit), odd SKUs and the finest amounts included. `figures`
    are known stock figures at `location`, exact; `purchased` is (code, amount, unit, price) of the lines of the one
    approved purchase from `supplier` to `location`; `shown` is what a channel shows, `sell` has it sell. `deep_insert`:
    one request takes an order whole. With a `session` of its own it is played from records.
    """

    product: str
    url: str
    settings: Callable[[str], Any]
    location: str = ""
    lines: tuple[tuple[str, str, str], ...] = ()
    items: frozenset[str] = frozenset()
    figures: Mapping[str, Decimal] = field(default_factory=dict)
    count_orders: Callable[[str], Awaitable[int]] | None = None
    begin_work: Callable[[str], Awaitable[object]] | None = None
    shown: Mapping[str, int] = field(default_factory=dict)
    sell: Callable[[str, int], Awaitable[object]] | None = None
    customer: str | None = None
    supplier: str | None = None
    purchased: tuple[tuple[str, Decimal, str, Decimal], ...] = ()
    deep_insert: bool = False
    cause_movement: Callable[[], Awaitable[object]] | None = None
    genuine_webhook: Callable[[], Awaitable[Webhook]] | None = None
    session: Any = None

    def order(self, reference: str) -> SalesOrder:
        """An order that it will take."""
        lines = tuple(
            SalesLine(
                line=number,
                item=f"itm_{number}",
                sku=sku,
                amount=Decimal(amount),
                uom=uom,
                unit_price=Money(Decimal("9.9513"), "USD"),
                location=self.location,
            )
            for number, (sku, amount, uom) in enumerate(self.lines, start=1)
        )
        return SalesOrder(
            order=reference,
            tenant="acme",
            sold_to=self.customer or "CUST1",
            external_number="PO-1",
            currency="USD",
            placed_at=datetime(2026, 11, 21, 9, tzinfo=UTC),
            ship_to=Address(name="Zoë", street="1 Main St", city="Springfield", postal_code="62701", country="US"),
            lines=lines,
        )


@dataclass
class Line:
    """A proxy in front of the counterpart. With `fault` set, the next request is forwarded and its answer is lost."""

    upstream: str
    fault: str | None = None
    always: bool = False
    url: str = ""
    forwarded: int = 0
    _under_way: int = 0
    _server: HttpServer = field(init=False)

    async def open(self) -> None:
        self._server = HttpServer(self._handle)
        self._client = ClientBuilder().timeout(timedelta(seconds=60)).no_proxy().build()
        self.url = f"http://127.0.0.1:{await self._server.start(0)}"

    async def close(self) -> None:
        await self._server.stop()
        await self._client.close()

    def fail(self, fault: str, *, always: bool = False) -> None:
        self.fault, self.always = fault, always

    def heal(self) -> None:
        self.fault = None

    async def quiet(self) -> None:
        """Wait until the counterpart has answered everything, whether or not anybody still listens."""
        async with asyncio.timeout(60):
            while self._under_way:  # noqa: ASYNC110 - bounded
                await asyncio.sleep(0.01)

    async def _handle(self, request: HttpRequest) -> HttpAnswer:
        fault = self.fault
        if not self.always:
            self.fault = None
        self._under_way += 1
        try:
            answer = await asyncio.shield(asyncio.ensure_future(self._forward(request)))
        finally:
            self._under_way -= 1
        if fault == "hang":
            await asyncio.sleep(_HANG_S)
        if fault in ("hang", "cut"):
            return HttpAnswer(cut=True)
        if fault == "status_500":
            return HttpAnswer(500, b"<h1>Internal Server Error</h1>", (("content-type", "text/html"),))
        if fault == "garbage":
            return HttpAnswer(200, b'{"result": [[[{"id', (("content-type", "application/json"),))
        return answer

    async def _forward(self, request: HttpRequest) -> HttpAnswer:
        self.forwarded += 1
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        asked = self._client.request(request.method, self.upstream + request.target).headers(headers)
        try:
            answer = await asked.body_bytes(request.body).build().send()
            body = bytes(await answer.bytes())
        except PyreqwestError:
            return HttpAnswer(cut=True)
        kept = tuple(
            (name, value)
            for name, value in answer.headers.items()
            if name not in ("content-length", "transfer-encoding", "connection", "content-encoding")
        )
        return HttpAnswer(answer.status, body, kept)


class FailingWrites:
    """A session that makes `line` fail at the write number `at`, and never at a read."""

    def __init__(self, inner: Any, line: Line, fault: str, *, at: int = 1) -> None:
        self._inner = inner
        self._line = line
        self._fault = fault
        self._left = at

    async def request(self, method: str, path: str, *, safe: bool, **more: Any) -> Any:
        if not safe:
            self._left -= 1
            if self._left == 0:
                self._line.fail(self._fault)
                if self._fault == "hang":
                    return await self._hung_up_on(method, path, **more)
        return await self._inner.request(method, path, safe=safe, **more)

    async def _hung_up_on(self, method: str, path: str, **more: Any) -> Any:
        while True:
            before = self._line.forwarded
            try:
                return await self._inner.request(method, path, safe=False, **{**more, "timeout": 0.3})
            except Unavailable:  # the machine was held up and nothing was sent: that is another case
                if self._line.forwarded != before:
                    raise


def live_only(test: Any) -> Any:
    """Marks a case that needs the running system: a line that fails, or more than is worth recording."""
    test.live_only = True
    return test


def reference_of(test: str, kind: str, number: int) -> str:
    """An id that is the same in every run of one test, and no other test's."""
    return f"{kind}_{hashlib.sha256(f'{test} {number}'.encode()).hexdigest()[:26]}"
