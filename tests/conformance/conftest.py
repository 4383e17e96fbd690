"""The counterparts, one fixture for each product, and an adapter over a line that can fail."""

import asyncio
import importlib
import time
from contextlib import AsyncExitStack
from decimal import Decimal

import msgspec
import pytest

from gateway.canonical.capabilities import Call
from gateway.kernel.clock import SystemClock
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.regional_wms.settings import Settings as WmsSettings
from system_apis.tryton import sandbox_data
from system_apis.tryton.client import Client as TrytonClient
from tests.conformance.counterpart import Counterpart, FailingWrites, Line
from tests.system_apis.regional_wms.conftest import Subscriber

CALM = SystemLimits(breaker_failures=10_000, retries=0)


@pytest.fixture
async def regional_wms(wms):
    async def count_orders(reference):
        orders = (await wms.look("orders"))["orders"]
        return len([order for order in orders if order["client_reference"] == reference])

    async def begin_work(reference):
        lines = [{"line_number": 1, "quantity": "1"}]
        return await wms.control("pick", client_reference=reference, lines=lines)

    async def cause_movement():
        await wms.control("receive", warehouse="NOR1", item_code="W-000001", quantity="0.000000001")

    async def genuine_webhook():
        subscriber = Subscriber()
        await subscriber.serve()
        await wms.control("webhook", url=subscriber.url)
        await cause_movement()
        await subscriber.until(lambda s: s.deliveries)
        await wms.control("webhook", url="")
        subscriber.server.close()
        return subscriber.deliveries[0][0]

    return Counterpart(
        product="regional_wms",
        url=wms.url,
        settings=lambda url: msgspec.convert({**wms.settings(), "base_url": url}, WmsSettings),
        location="NOR1",
        lines=(("SKU/1 #é", "2", "EA"), ("SKU%2F+&=?", "1.000000001", "EA"), ("SKU-0001", "1", "CS")),
        items=frozenset({"SKU/1 #é", "SKU%2F+&=?", "SKU-0001"}),
        figures={"W-000005": Decimal("12345678901.123456789"), "W/001 #a": Decimal(7)},
        count_orders=count_orders,
        begin_work=begin_work,
        cause_movement=cause_movement,
        genuine_webhook=genuine_webhook,
    )


@pytest.fixture
async def tryton_live(tryton):
    async with Outbound() as outbound:
        session = outbound.session("checker", tryton.url, CALM)
        admin = TrytonClient(session, database=tryton.database, user="admin", password=tryton.admin_password)

        async def count_orders(reference):
            domain = [("reference", "=", reference), ("state", "!=", "cancelled")]
            found = await admin.search_read(call(60), "sale.sale", domain, ["state"], context={"company": 1})
            return len(found)

        async def begin_work(reference):
            domain = [("moves.origin.sale.reference", "=", reference, "sale.line")]
            found = await admin.search_read(call(60), "stock.shipment.out", domain, ["state"], context={"company": 1})
            for button in ("wait", "assign_force", "pick"):
                method = f"model.stock.shipment.out.{button}"
                await admin.write(call(60), method, [row["id"] for row in found], context={"company": 1})

        yield Counterpart(
            product="tryton",
            url=tryton.url,
            settings=lambda url: msgspec.structs.replace(tryton.settings(), base_url=url),
            location="WH-N",
            lines=(("A/B-100", "1", "EA"), ("GRÖßE-Ü-300", "2", "EA"), ("SKU-0182", "1.25", "KGM")),
            items=frozenset(sandbox_data.ODD_SKUS),
            figures={"SKU-0100": sandbox_data.opening_stock("SKU-0100", "WH-N")},
            count_orders=count_orders,
            begin_work=begin_work,
            patience=6.0,
            customer="CUST1",
        )


def call(seconds=30.0):
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + seconds)


class Bench:
    """One counterpart, its line, and adapters over it."""

    def __init__(self, counterpart, line, outbound):
        self.counterpart = counterpart
        self.line = line
        self._outbound = outbound
        self._module = importlib.import_module(f"system_apis.{counterpart.product}.adapter")
        self.adapter = self.over(outbound.session("line", line.url, CALM), line.url)

    def over(self, session, url):
        return self._module.Adapter("instance", self.counterpart.settings(url), session, SystemClock())

    def failing(self, fault, *, at=1):
        session = self._outbound.session("line", self.line.url, CALM)
        return self.over(FailingWrites(session, self.line, fault, at=at), self.line.url)

    async def down(self):
        """An adapter whose system is not there."""
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        url = f"http://127.0.0.1:{port}"
        return self.over(self._outbound.session(f"down-{port}", url, CALM), url)


@pytest.fixture
async def bench(counterpart):
    line = Line(counterpart.url)
    async with AsyncExitStack() as stack:
        await line.open()
        stack.push_async_callback(line.close)
        yield Bench(counterpart, line, await stack.enter_async_context(Outbound()))
