"""The Regional ERP as a process: its limit, its journal, and its books after SIGKILL."""

import asyncio
import time
from decimal import Decimal

import msgspec
import pytest

from gateway.canonical.capabilities import Call
from gateway.canonical.order import ShipmentLine
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, NotFound, Rejected, Throttled
from gateway.outbound.door import Outbound
from system_apis.regional_erp.adapter import Adapter
from system_apis.regional_erp.settings import Settings
from tests.conformance.counterpart import Counterpart

pytestmark = pytest.mark.integration
_ORDER = Counterpart(product="regional_erp", url="", settings=lambda _: None, location="NOR1", customer="CUST1",
                     lines=(("SKU-0001", "10", "EA"),)).order  # fmt: skip


@pytest.fixture
async def adapter(regional_erp_sandbox):
    erp = regional_erp_sandbox
    settings = msgspec.convert(erp.settings(), Settings)
    async with Outbound() as outbound:
        yield Adapter("erp", settings, outbound.session("erp", erp.url), SystemClock())


def call():
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + 30)


async def test_beyond_its_limit_it_answers_429_and_its_journal_shows_who_was_refused(regional_erp_sandbox, adapter):
    await regional_erp_sandbox.control("limit", calls_per_second=2)
    answers = await asyncio.gather(*(adapter.check_health(call()) for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if answer is not None]
    assert refused
    assert all(isinstance(each, Throttled) and each.retry_after >= 1 for each in refused)
    entries = (await regional_erp_sandbox.look("requests"))["entries"]
    assert {entry["status"] for entry in entries} == {200, 429}


async def test_its_books_outlive_a_kill_and_what_is_owed_counts_open_orders(regional_erp_sandbox, adapter):
    before = await adapter.read_customer(call(), code="CUST1")
    made = await adapter.submit_order(call(), order=_ORDER("ord_1"))
    part = ShipmentLine(line=1, item="", amount=Decimal(4))
    posted = await adapter.post_shipment(call(), reference="ord_1", posting="pst_1", location="NOR1", lines=[part])
    await regional_erp_sandbox.kill()
    await regional_erp_sandbox.restart()
    found = await adapter.find_order(call(), reference="ord_1")
    assert (found.number, found.state) == (made.number, "in_fulfilment")
    assert [(each.state, each.lines[0].amount) for each in found.shipments] == [("done", 4), ("planned", 6)]
    assert await adapter.find_posting(call(), reference="ord_1", posting="pst_1") == posted
    owed = (await adapter.read_customer(call(), code="CUST1")).balance.amount - before.balance.amount
    assert owed == Decimal("99.5130")


async def test_what_it_refuses_says_why(adapter):
    for order, code in (
        (msgspec.structs.replace(_ORDER("ord_2"), sold_to="nobody"), "erp.unknown_customer"),
        (msgspec.structs.replace(_ORDER("ord_3"), sold_to="C/2 #é"), "erp.customer_blocked"),
    ):
        with pytest.raises((Rejected, NotFound)) as refused:
            await adapter.submit_order(call(), order=order)
        assert refused.value.code == code
    blocked = await adapter.read_customer(call(), code="C/2 #é")
    assert (blocked.hold, str(blocked.balance.amount)) == (True, "12.50")


async def test_what_stands_under_our_reference_is_compared(adapter):
    order = _ORDER("ord_4")
    await adapter.submit_order(call(), order=order)
    more = msgspec.structs.replace(order.lines[0], amount=Decimal(11))
    with pytest.raises(Conflict) as differs:
        await adapter.submit_order(call(), order=msgspec.structs.replace(order, lines=(more,)))
    assert differs.value.code == "erp.order_differs"
    part = ShipmentLine(line=1, item="", amount=Decimal(4))
    post = {"reference": "ord_4", "posting": "pst_4", "location": "NOR1"}
    await adapter.post_shipment(call(), **post, lines=[part])
    with pytest.raises(Conflict) as other:
        await adapter.post_shipment(call(), **post, lines=[ShipmentLine(line=1, item="", amount=Decimal(5))])
    assert other.value.code == "erp.posting_differs"
