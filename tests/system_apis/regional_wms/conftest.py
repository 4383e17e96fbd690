import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from gateway.canonical.capabilities import Call, Webhook
from gateway.canonical.order import SalesLine, SalesOrder
from gateway.canonical.party import Address
from gateway.kernel.clock import SystemClock
from gateway.kernel.money import Money
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.regional_wms.adapter import Adapter
from system_apis.regional_wms.settings import Settings


def call(seconds=60.0):
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + seconds)


def order(reference="ord_1", *lines, location="NOR1"):
    """Lines as (sku, amount) pairs, in EA."""
    return SalesOrder(
        order=reference,
        tenant="acme",
        sold_to="CUST1",
        external_number="PO-1",
        currency="USD",
        placed_at=datetime(2026, 11, 21, tzinfo=UTC),
        ship_to=Address(name="Zoë", street="1 Main St", city="Springfield", postal_code="12345", country="US"),
        lines=tuple(
            SalesLine(
                line=number,
                item=f"itm_{number}",
                sku=sku,
                amount=Decimal(amount),
                uom="EA",
                unit_price=Money(Decimal("1.50"), "USD"),
                location=location,
            )
            for number, (sku, amount) in enumerate(lines or [("SKU-0001", "5")], start=1)
        ),
    )


@pytest.fixture
async def adapter(wms):
    async with Outbound() as outbound:
        settings = msgspec.convert(wms.settings(), Settings)
        session = outbound.session("wms_north", wms.url, SystemLimits(breaker_failures=1000))
        yield Adapter("wms_north", settings, session, SystemClock())


class Subscriber:
    """Receives webhooks on loopback; `answers` are the next status codes, then 204."""

    def __init__(self):
        self.deliveries = []
        self.answers = []

    async def serve(self):
        self.server = await asyncio.start_server(self._one, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/in"

    async def _one(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = [line.split(": ", 1) for line in head[1:] if line]
                headers = {name.lower(): value for name, value in fields}
                body = await reader.readexactly(int(headers["content-length"]))
                status = self.answers.pop(0) if self.answers else 204
                self.deliveries.append((Webhook(headers=headers, body=body), status))
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        writer.close()

    @property
    def sequences(self):
        """Sequence numbers of what was taken, in order of arrival."""
        return [
            event["sequence"]
            for webhook, status in self.deliveries
            if status < 300
            for event in json.loads(webhook.body)["events"]
        ]

    @property
    def first_seen(self):
        """The same without those that came again."""
        return list(dict.fromkeys(self.sequences))

    async def until(self, condition, seconds=60):
        async with asyncio.timeout(seconds):
            while not condition(self):  # noqa: ASYNC110 - a condition of any kind, bounded
                await asyncio.sleep(0.01)


@pytest.fixture
async def subscriber():
    subscriber = Subscriber()
    await subscriber.serve()
    yield subscriber
    subscriber.server.close()
