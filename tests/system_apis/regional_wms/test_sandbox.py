"""The sandbox itself: durable, faulty on demand, and honest in its logs."""

import asyncio
import json
from decimal import Decimal

import pytest

from gateway.canonical.warehouse import TransferOrder, TransferOrderLine
from gateway.sandboxes.child import ControlRefused

from .conftest import call, order

pytestmark = pytest.mark.integration


async def receive(wms, times=1):
    for _ in range(times):
        await wms.control("receive", warehouse="NOR1", item_code="W-000001", quantity="1")


async def test_webhooks_arrive_in_order_and_are_repeated_until_they_are_taken(wms, subscriber):
    subscriber.answers = [500, 429, 302]
    await wms.control("webhook", url=subscriber.url)
    await receive(wms, 3)
    await subscriber.until(lambda s: s.first_seen == [1, 2, 3])
    assert subscriber.first_seen == [1, 2, 3]
    assert [status for _, status in subscriber.deliveries][:3] == [500, 429, 302]


async def test_a_kill_keeps_books_and_sends_what_was_not_taken_yet(wms, subscriber):
    await wms.control("webhook", url="http://127.0.0.1:9/in")
    await receive(wms, 5)
    before = await wms.look("stock")
    url = wms.url
    assert await wms.restart() == url
    after = await wms.look("stock")
    assert (after["lines"], after["sequence_cutoff"]) == (before["lines"], 5)
    await wms.control("webhook", url=subscriber.url)
    await subscriber.until(lambda s: s.first_seen == [1, 2, 3, 4, 5])


async def test_silence_sends_nothing_until_it_is_lifted(wms, subscriber):
    await wms.control("faults", webhook_silence=True)
    await wms.control("webhook", url=subscriber.url)
    await receive(wms, 3)
    assert (await wms.look("webhooks"))["backlog"] == 3
    assert subscriber.deliveries == []
    await wms.control("faults")
    await subscriber.until(lambda s: s.first_seen == [1, 2, 3])


async def test_duplicates_reordering_and_loss_happen_on_demand(wms, subscriber):
    await wms.control("faults", webhook_silence=True)
    await receive(wms, 60)
    await wms.control("webhook", url=subscriber.url)
    await wms.control("faults", webhook_duplicate_rate=0.3, webhook_drop_rate=0.1, webhook_reorder=True)
    async with asyncio.timeout(60):
        while (await wms.look("webhooks"))["backlog"]:  # noqa: ASYNC110 - the books are another process's
            await asyncio.sleep(0.02)
    arrived = subscriber.sequences
    assert len(set(arrived)) < 60
    assert len(arrived) > len(set(arrived))
    assert arrived != sorted(arrived)


async def test_the_log_says_what_was_asked_and_what_was_answered_without_the_key(wms, adapter):
    await adapter.release_work(call(), order=order(), location="NOR1")
    await adapter.release_work(call(), order=order(), location="NOR1")
    entries = [json.loads(line) for line in (wms.folder / "received.jsonl").read_text().splitlines()]
    posts = [entry for entry in entries if entry["method"] == "POST"]
    assert [entry["status"] for entry in posts] == [201, 409]
    assert posts[0]["correlation_id"] == "cor_1"
    assert (wms.folder / "api_key").read_text() not in (wms.folder / "received.jsonl").read_text()
    assert (wms.folder / "api_key").stat().st_mode & 0o777 == 0o600


async def test_nothing_is_done_without_the_key_and_nothing_false_in_the_books(wms):
    with pytest.raises(ControlRefused, match="404"):
        await wms.control("ship", client_reference="no-such")
    for body in (
        {"warehouse": "NOR1", "item_code": "W-000001", "quantity": "NaN"},
        {"warehouse": "NOR1", "item_code": "W-000001", "quantity": 1.5},
        {"warehouse": "MOON", "item_code": "W-000001", "quantity": "1"},
        {"warehouse": "NOR1", "item_code": "W-000001", "quantity": "1", "unit": "BX"},
    ):
        with pytest.raises(ControlRefused):
            await wms.control("receive", **body)
    assert (await wms.look("stock"))["sequence_cutoff"] == 0


async def test_it_ends_with_the_process_that_started_it(wms):
    assert (await wms.look("faults"))["faults"]["latency_ms"] == 0
    await wms.stop()
    with pytest.raises(OSError, match="refused"):
        await wms.look("faults")
    await wms.start()


async def test_orders_are_picked_and_shipped_by_lot_and_what_is_asked_of_one_lot_is_of_no_other(wms, adapter):
    for lot, amount in (("A", "3"), ("B", "4"), ("", "1")):
        await wms.control("count", warehouse="NOR1", item_code="W-000001", quantity=amount, lot=lot)
    for reference, amount, lot in (("of-b", 2, "B"), ("any", 5, None)):
        line = TransferOrderLine(line=1, item="i", sku="SKU-0001", amount=Decimal(amount), uom="EA", lot=lot)
        wanted = TransferOrder(transfer=reference, origin="NOR1", destination="S", lines=(line,))
        made = await adapter.release_transfer(call(), order=wanted)
        assert await adapter.release_transfer(call(), order=wanted) == made
    picked = await wms.control("pick", client_reference="any")
    assert [(each.get("lot"), each["quantity"]) for each in picked["lines"]] == [(None, "1"), ("A", "3"), ("B", "1")]
    shipped = await wms.control("ship", client_reference="of-b")
    assert [(each["lot"], each["quantity"]) for each in shipped["lines"]] == [("B", "2")]
    back = await wms.control("unpick", client_reference="any", lines=[{"line_number": 1, "quantity": "2"}])
    assert [(each.get("lot"), each["quantity"]) for each in back["lines"]] == [(None, "1"), ("A", "1")]
    left = await wms.control("ship", client_reference="any", lines=[{"line_number": 1, "quantity": "3"}])
    assert [(each["lot"], each["quantity"]) for each in left["lines"]] == [("A", "2"), ("B", "1")]
