"""Against mock-sap in its own process: twins, requests that still work when the retry looks, faults of its own."""

import asyncio
import time
from decimal import Decimal

import msgspec
import pytest
from msgspec import structs

from gateway.canonical.capabilities import Call
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, CrossdockError, OutcomeUnknown, Unavailable
from gateway.kernel.ids import new_id
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.sap_s4.adapter import Adapter
from system_apis.sap_s4.settings import Settings
from tests.system_apis.sap_s4.sap_looks import SapLooks
from tests.system_apis.sap_s4.test_mapping import line, order

pytestmark = pytest.mark.integration


def call(seconds=60.0):
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + seconds)


@pytest.fixture
async def adapter(sap):
    async with Outbound() as outbound:
        session = outbound.session("s4", sap.url, SystemLimits(breaker_failures=10_000, retries=0))
        yield Adapter("s4", msgspec.convert(sap.settings(), Settings), session, SystemClock())


@pytest.fixture
async def faults(sap):
    """Has SAP fail by its own rules; they are gone afterwards."""

    async def fail(**rule):
        await sap.control("faults", **rule)

    yield fail
    await asyncio.to_thread(_clear, sap.url)


def _clear(url):
    import urllib.request  # noqa: PLC0415

    asked = urllib.request.Request(f"{url}/_mock/faults", method="DELETE")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30).close()


def fresh(*lines):
    return order(*(lines or (line(sku="SKU-0010"),)), order=new_id("ord"), sold_to="CUST1")


async def test_everything_of_an_order_arrives(sap, adapter):
    wanted = structs.replace(
        fresh(line(1, "GRÖßE 'Ü' #3"), line(2, "SKU-0003", "0.001", "KGM", price="9.9513"), line(7, location="1720")),
    )
    wanted = structs.replace(wanted, lines=(*wanted.lines[:2], structs.replace(wanted.lines[2], sku="SKU-0011")))
    await adapter.submit_order(call(), order=wanted)
    (there,) = await SapLooks(sap).orders(wanted.order)
    items = [
        (i["SalesOrderItem"], i["Material"], i["RequestedQuantity"], i["RequestedQuantityUnit"], i["ProductionPlant"])
        for i in there["to_Item"]["results"]
    ]
    assert items == [
        ("000010", "GRÖßE 'Ü' #3", "2.000", "EA", "1710"),
        ("000020", "SKU-0003", "0.001", "KG", "1710"),
        ("000070", "SKU-0011", "2.000", "EA", "1720"),
    ]
    assert (there["SoldToParty"], there["TransactionCurrency"]) == ("CUST1", "USD")
    (partner,) = there["to_Partner"]["results"]
    assert partner["to_Address"]["results"][0]["OrganizationName1"] == "Zoë"


async def test_of_two_orders_under_one_reference_one_stays(sap, adapter):
    wanted = fresh()
    first = await adapter.submit_order(call(), order=wanted)
    (there,) = await SapLooks(sap).orders(wanted.order)
    twin = {
        "SalesOrderType": "OR", "SalesOrganization": "1710", "SoldToParty": "CUST1",
        "PurchaseOrderByCustomer": wanted.order,
        "to_Item": [{"Material": "SKU-0010", "RequestedQuantity": "2", "ProductionPlant": "1710"}],
    }  # fmt: skip
    await SapLooks(sap).post("API_SALES_ORDER_SRV/A_SalesOrder", twin)
    with pytest.raises(Conflict, match=r"more than once") as twins:
        await adapter.find_order(call(), reference=wanted.order)
    assert twins.value.code == "erp.twin_orders"
    assert (await adapter.cancel_twins(call(), reference=wanted.order)).number == first.number
    assert there["SalesOrder"].lstrip("0") == first.number
    assert await SapLooks(sap).count_live_orders(wanted.order) == 1


@pytest.mark.long
async def test_sap_still_works_on_the_first_request_while_we_look_and_one_order_comes_of_it(sap, adapter, faults):
    wanted = fresh()
    await adapter.check_health(call())
    await faults(match="A_SalesOrder$", method="POST", scenario="slow", count=1)
    with pytest.raises(OutcomeUnknown):
        await adapter.submit_order(call(1.0), order=wanted)
    async with asyncio.timeout(60):
        while await adapter.find_order(call(), reference=wanted.order) is None:  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.1)
    await adapter.submit_order(call(), order=wanted)
    assert await SapLooks(sap).count_live_orders(wanted.order) == 1


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [("busy", Unavailable), ("lock", Unavailable), ("error", OutcomeUnknown), ("precondition", Unavailable)],
)
async def test_saps_own_faults_are_sorted(adapter, faults, scenario, kind):
    wanted = fresh()
    await faults(match="A_SalesOrder$", method="POST", scenario=scenario, count=1)
    with pytest.raises(kind):
        await adapter.submit_order(call(), order=wanted)
    assert await adapter.find_order(call(), reference=wanted.order) is None


async def test_a_token_that_sap_no_longer_takes_is_renewed(sap, adapter, faults):
    wanted = fresh()
    await faults(match="A_SalesOrder$", method="POST", scenario="csrf", count=1)
    await adapter.submit_order(call(), order=wanted)
    assert await SapLooks(sap).count_live_orders(wanted.order) == 1


async def test_an_order_that_differs_is_not_taken_for_ours(adapter):
    wanted = fresh()
    await adapter.submit_order(call(), order=wanted)
    other = structs.replace(wanted, lines=(structs.replace(wanted.lines[0], amount=Decimal(3)),))
    with pytest.raises(Conflict) as differs:
        await adapter.submit_order(call(), order=other)
    assert differs.value.code == "erp.order_differs"


async def test_looking_before_repeating_makes_one_order_however_often_sap_fails(sap, adapter, faults):
    await faults(match="API_SALES_ORDER_SRV/A_SalesOrder", scenario="error", count=6)
    wanted = fresh()
    async with asyncio.timeout(60):
        while True:
            try:
                made = await adapter.submit_order(call(), order=wanted)
                break
            except CrossdockError:
                await asyncio.sleep(0.01)
    assert made.ready
    assert await SapLooks(sap).count_live_orders(wanted.order) == 1
