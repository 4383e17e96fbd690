"""The counterparts, one fixture for each product, and an adapter over a line that can fail."""

import asyncio
import importlib
import json
import os
import re
import time
import urllib.request
from contextlib import AsyncExitStack
from decimal import Decimal

import msgspec
import pytest

from gateway.canonical.capabilities import Call
from gateway.kernel.clock import SystemClock
from gateway.kernel.secrets import Secret
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.parcel_carrier.settings import Settings as CarrierSettings
from system_apis.regional_erp.settings import Settings as ErpSettings
from system_apis.regional_wms.settings import Settings as WmsSettings
from system_apis.sap_s4.settings import Settings as SapSettings
from system_apis.storefront_shop.settings import Settings as ShopSettings
from system_apis.tryton import sandbox_build, sandbox_data
from system_apis.tryton.client import Client as TrytonClient
from system_apis.tryton.settings import Settings as TrytonSettings
from tests.conformance.counterpart import Counterpart, FailingWrites, Line, reference_of
from tests.conftest import SHOP_LEVELS
from tests.system_apis.regional_wms.conftest import Subscriber
from tests.system_apis.sap_s4.sap_looks import SapLooks
from tests.system_apis.tryton.exchanges import Player, Recorder

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
async def regional_erp(regional_erp_sandbox):
    erp = regional_erp_sandbox

    async def count_orders(reference):
        orders = (await erp.look("orders"))["orders"]
        return len([each for each in orders if each["external_reference"] == reference])

    async def begin_work(reference):
        return await erp.control("begin", external_reference=reference)

    return Counterpart(
        product="regional_erp",
        url=erp.url,
        settings=lambda url: msgspec.convert({**erp.settings(), "base_url": url}, ErpSettings),
        location="NOR1",
        lines=(("SKU/1 #é", "2", "EA"), ("SKU%2F+&=?", "1.000000001", "EA"), ("SKU-0001", "1", "CS")),
        items=frozenset({"SKU/1 #é", "SKU%2F+&=?", "SKU-0001"}),
        figures={"A00005": Decimal("12345678901.123456789"), "A/1 #é": Decimal(7)},
        count_orders=count_orders,
        begin_work=begin_work,
        deep_insert=True,
        customer="CUST1",
    )


@pytest.fixture
async def parcel_carrier(carrier):
    async def count_orders(reference):
        return len([each for each in (await carrier.look("shipments"))["shipments"] if each["reference"] == reference])

    async def begin_work(reference):
        await carrier.control("track", reference=reference, code="PU")

    async def cause_movement():
        if not (await carrier.look("shipments"))["shipments"]:
            await asyncio.to_thread(book_one, carrier)
        await carrier.control("track", reference="one", code="HUB", place="Ürümqi")

    async def genuine_webhook():
        subscriber = Subscriber()
        await subscriber.serve()
        await carrier.control("webhook", url=subscriber.url)
        await cause_movement()
        await subscriber.until(lambda s: s.deliveries)
        await carrier.control("webhook", url="")
        subscriber.server.close()
        return subscriber.deliveries[0][0]

    return Counterpart(
        product="parcel_carrier",
        url=carrier.url,
        settings=lambda url: msgspec.convert({**carrier.settings(), "base_url": url}, CarrierSettings),
        location="D-NORTH",
        count_orders=count_orders,
        begin_work=begin_work,
        cause_movement=cause_movement,
        genuine_webhook=genuine_webhook,
    )


def book_one(carrier):
    """A shipment of one parcel, past the adapter."""
    to = {"name": "A", "street": "B", "city": "C", "postcode": "97999", "country": "US"}
    body = {"reference": "one", "service": "STD", "depot": "D-NORTH", "to": to, "grams": 1, "ready_on": "2026-11-23"}
    headers = {"x-api-key": (carrier.folder / "api_key").read_text(), "content-type": "application/json"}
    request = urllib.request.Request(f"{carrier.url}/v3/shipments", json.dumps(body).encode(), headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        assert answer.status == 201


@pytest.fixture
async def storefront_shop(shop):
    async def sell(sku, quantity):
        return (await shop.control("buy", lines=[{"sku": sku, "quantity": quantity}]))["order"]

    return Counterpart(
        product="storefront_shop",
        url=shop.url,
        settings=lambda url: msgspec.convert({**shop.settings(), "base_url": url}, ShopSettings),
        shown=SHOP_LEVELS,
        sell=sell,
    )


@pytest.fixture
async def sap_s4(sap):
    looks = SapLooks(sap)
    return Counterpart(
        product="sap_s4",
        url=sap.url,
        settings=lambda url: msgspec.convert({**sap.settings(), "base_url": url}, SapSettings),
        location="1710",
        lines=(("A/B-100", "1", "EA"), ("GRÖßE 'Ü' #3", "2", "EA"), ("SKU-0003", "1.001", "KGM")),
        items=frozenset({"A/B-100", "GRÖßE 'Ü' #3", "SKU-0003"}),
        figures={"SKU-0003": Decimal("123456789012.123"), "A/B-100": Decimal(100)},
        count_orders=looks.count_live_orders,
        begin_work=looks.begin_delivery,
        customer="CUST1",
        deep_insert=True,
    )


def tryton_counterpart(settings, session, password, own_session=None):
    """What the suite needs to know of a Tryton, live or recorded; its checks log in as the administrator."""
    admin = TrytonClient(session, database=settings.database, user="admin", password=password)
    company = {"company": 1}

    async def count_orders(reference):
        domain = [("reference", "=", reference), ("state", "!=", "cancelled")]
        return len(await admin.search_read(call(60), "sale.sale", domain, ["state"], context=company))

    async def begin_work(reference):
        domain = [("moves.origin.sale.reference", "=", reference, "sale.line")]
        found = await admin.search_read(call(60), "stock.shipment.out", domain, ["state"], context=company)
        for button in ("wait", "assign_force", "pick"):
            method = f"model.stock.shipment.out.{button}"
            await admin.write(call(60), method, [row["id"] for row in found], context=company)

    return Counterpart(
        product="tryton",
        url=settings.base_url,
        settings=lambda url: msgspec.structs.replace(settings, base_url=url),
        location="WH-N",
        lines=(("A/B-100", "1", "EA"), ("GRÖßE-Ü-300", "2", "EA"), ("SKU-0182", "1.25", "KGM")),
        items=frozenset(sandbox_data.ODD_SKUS),
        figures={"SKU-0100": sandbox_data.opening_stock("SKU-0100", "WH-N")},
        count_orders=count_orders,
        begin_work=begin_work,
        customer="CUST1",
        supplier="SUP1",
        purchased=(
            ("SKU-0003", Decimal(10), "CS", Decimal("57.00")),
            ("SKU-0182", Decimal("2.5"), "KGM", Decimal("9.5")),
        ),
        session=own_session,
    )


@pytest.fixture
async def tryton_live(tryton):
    async with Outbound() as outbound:
        session = outbound.session("checker", tryton.url, CALM)
        yield tryton_counterpart(tryton.settings(), session, tryton.admin_password)


def record_of(request):
    """The name of a test's record."""
    return f"conformance/{re.sub('[^a-z0-9]+', '_', request.node.name.lower()).strip('_')}"


if os.environ.get("CROSSDOCK_RECORD"):

    @pytest.fixture
    async def tryton_recorded(tryton, request):
        """Records anew: ``CROSSDOCK_RECORD=1 python -m pytest tests/conformance/test_tryton.py -k Recorded``."""
        async with Outbound() as outbound:
            recorder = Recorder(outbound.session("recorded", tryton.url, CALM))
            yield tryton_counterpart(tryton.settings(), recorder, tryton.admin_password, recorder)
            recorder.save(record_of(request))

else:

    @pytest.fixture
    async def tryton_recorded(tmp_path, request):
        (tmp_path / "password").write_text("not asked for")
        settings = TrytonSettings(
            base_url="http://127.0.0.1:1",
            database=sandbox_build.DATABASE,
            user=sandbox_data.INTEGRATION_USER,
            password=f"file:{tmp_path / 'password'}",
            units=sandbox_data.UNITS,
        )
        player = Player(record_of(request))
        return tryton_counterpart(settings, player, Secret("not asked for"), player)


def call(seconds=30.0):
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + seconds)


class Bench:
    """One counterpart, its line, and adapters over it."""

    def __init__(self, counterpart, line, outbound, test):
        self.counterpart = counterpart
        self.line = line
        self._outbound = outbound
        self._test = test
        self._references = 0
        self._module = importlib.import_module(f"system_apis.{counterpart.product}.adapter")
        self.adapter = self._over(counterpart.session or self._session(line.url), counterpart.url)

    def _over(self, session, url):
        return self._module.Adapter("instance", self.counterpart.settings(url), session, SystemClock())

    def _session(self, url):
        return self._outbound.session(f"session to {url}", url, CALM)

    def ref(self, kind):
        self._references += 1
        return reference_of(self._test, kind, self._references)

    def order(self):
        return self.counterpart.order(self.ref("ord"))

    def failing(self, fault, *, at=1):
        session = FailingWrites(self._session(self.line.url), self.line, fault, at=at)
        return self._over(session, self.line.url)

    async def down(self):
        """An adapter whose system is not there."""
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        url = f"http://127.0.0.1:{port}"
        return self._over(self._session(url), url)


@pytest.fixture
async def bench(counterpart, request):
    async with AsyncExitStack() as stack:
        outbound = await stack.enter_async_context(Outbound())
        line = None
        if counterpart.session is None:
            line = Line(counterpart.url)
            await line.open()
            stack.push_async_callback(line.close)
        yield Bench(counterpart, line, outbound, request.node.nodeid)
