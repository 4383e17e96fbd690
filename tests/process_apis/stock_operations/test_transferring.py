"""Transfers with a real warehouse system behind them: promised, released, dispatched, received, closed, given up."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from gateway.kernel.errors import Conflict, NotFound, Rejected
from process_apis.stock_operations.handing import Handled
from process_apis.stock_operations.models import TransferState

pytestmark = pytest.mark.integration


async def test_a_transfer_goes_from_its_promise_to_its_receipt_and_every_unit_counts_once(world):
    planned = await world.plan("a", 5, release=True, expected_on=date(2031, 1, 2))
    assert (await world.line())["allocated"] == 5
    await world.work(planned.transfer)
    released = await world.transfer(planned.transfer)
    [order] = await world.orders(planned.transfer)
    assert (released.state, released.task.number) == (TransferState.RELEASED, order["order_number"])
    await world.control("ship", client_reference=planned.transfer, lines=[{"line_number": 1, "quantity": "3"}])
    await world.listen()
    line = await world.line()
    assert (line["sellable"], line["allocated"], line["short"]) == (17, 2, 0)
    moving = await world.transfer(planned.transfer)
    assert (moving.state, moving.lines[0].in_transit) == (TransferState.IN_TRANSIT, 3)
    [(supply, coming, _)] = await world.availability.supply(world.tenant, [world.item])
    assert (supply.location, supply.due, coming) == ("south", date(2031, 1, 2), 3)
    await world.control("ship", client_reference=planned.transfer)
    await world.listen()
    await world.tell("transfer_received", 4, document=planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.PARTLY_RECEIVED
    await world.tell("transfer_received", 1, document=planned.transfer)
    done = await world.transfer(planned.transfer)
    assert (done.state, done.lines[0].in_transit) == (TransferState.COMPLETED, 0)
    line = await world.line()
    assert (line["sellable"], line["allocated"], line["reserved"]) == (15, 0, 0)
    assert await world.buckets("south") == {"receiving": 5}
    assert len(await world.told("stock.transfer.completed")) == 1
    assert [each["amount"] for each in await world.told("stock.transfer.received")] == ["4", "1"]


async def test_what_a_transfer_holds_is_not_sold_twice_and_more_than_there_is_is_refused(world):
    await world.plan("a", 15)
    with pytest.raises(Conflict) as refused:
        await world.plan("b", 6)
    assert refused.value.code == "stock.insufficient"
    await world.plan("c", 5)
    assert (await world.line())["allocated"] == 20


async def test_an_action_is_one_transfer_whoever_repeats_it_and_no_other(world):
    first = await world.plan("a", 5)
    assert (await world.plan("a", 5)).transfer == first.transfer
    with pytest.raises(Conflict) as reused:
        await world.plan("a", 6)
    assert reused.value.code == "operation.action_reused"
    assert (await world.line())["allocated"] == 5


async def test_what_cannot_be_is_refused_with_its_reason(world):
    for more, code in (
        ({"destination": "north"}, "transfer.same_location"),
        ({"destination": "nowhere"}, "location.unknown"),
        ({"lines": ((world.item, 1), (world.item, 1))}, "transfer.item_repeated"),
        ({"lines": (("itm_none", 1),)}, "item.unknown"),
    ):
        with pytest.raises(Rejected) as refused:
            await world.plan("a", **more)
        assert refused.value.code == code


async def test_a_lost_answer_is_looked_up_and_the_warehouse_holds_one_order(world):
    await world.control("faults", rules=[{"match": "POST /api/v2/orders", "do": "drop_after", "times": 1}])
    planned = await world.plan("a", release=True)
    await world.work(planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.RELEASED
    assert len(await world.orders(planned.transfer)) == 1


@pytest.mark.long  # the breaker stays open for a while
async def test_a_warehouse_that_is_down_is_asked_until_it_answers(world):
    rule = {"match": "POST /api/v2/orders", "do": "error_before", "status": 503, "times": 2}
    await world.control("faults", rules=[rule])
    planned = await world.plan("a", release=True)
    await world.work(planned.transfer, until=lambda row: row["attempts"] >= 2 and row["state"] == "pending")
    waiting = await world.operations.transfers.get(world.tenant, planned.transfer)
    assert waiting.state is TransferState.RELEASING
    assert waiting.task.error_code == "wms.unavailable"
    await world.work(planned.transfer)
    done = await world.transfer(planned.transfer)
    assert (done.state, done.task.error_code) == (TransferState.RELEASED, None)


async def test_a_cancel_before_it_is_released_gives_the_promise_back_at_once(world):
    planned = await world.plan("a")
    cancelled = await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="not needed")
    assert cancelled.state is TransferState.CANCELLED
    assert (await world.line())["allocated"] == 0
    again = await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="not needed")
    assert again.version == cancelled.version
    await world.work(planned.transfer)
    assert await world.orders(planned.transfer) == []
    with pytest.raises(Conflict) as over:
        await world.operations.transfers.release(world.caller(), planned.transfer)
    assert over.value.code == "transfer.over"


async def test_a_cancel_keeps_the_promise_until_the_warehouse_confirmed_it(world):
    planned = await world.plan("a", release=True)
    await world.work(planned.transfer)
    asked = await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="not needed")
    assert (asked.state, (await world.line())["allocated"]) == (TransferState.CANCELLING, 5)
    await world.work(planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.CANCELLED
    [order] = await world.orders(planned.transfer)
    assert (order["status"], (await world.line())["allocated"]) == ("CANCELLED", 0)


async def test_a_cancel_after_picking_began_is_refused_and_the_transfer_goes_on(world):
    planned = await world.plan("a", release=True)
    await world.work(planned.transfer)
    await world.control("pick", client_reference=planned.transfer)
    await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="too late")
    await world.work(planned.transfer)
    kept = await world.transfer(planned.transfer)
    assert (kept.state, kept.task.error_code) == (TransferState.RELEASED, "transfer.picking_began")
    assert (await world.line())["allocated"] == 5
    await world.listen()
    with pytest.raises(Conflict) as known:
        await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="too late")
    assert known.value.code == "transfer.not_cancellable"
    await world.control("ship", client_reference=planned.transfer)
    await world.listen()
    assert ((await world.line())["sellable"], (await world.line())["allocated"]) == (15, 0)


async def test_a_cancel_that_overtakes_the_release_leaves_no_work_behind(world):
    planned = await world.plan("a", release=True)
    await world.control("faults", rules=[{"match": "POST /api/v2/orders", "do": "drop_after", "times": 1}])
    await world.turns.run(planned.transfer, 1)  # the answer is lost: nobody knows whether it is there
    await world.operations.transfers.cancel(world.caller(), planned.transfer, reason="not needed")
    await world.work(planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.CANCELLED
    assert [order["status"] for order in await world.orders(planned.transfer)] in ([], ["CANCELLED"])
    assert (await world.line())["allocated"] == 0


async def test_a_refusal_waits_for_a_person_who_mends_it_and_asks_again(world):
    rule = {"match": "POST /api/v2/orders", "do": "error_before", "status": 422, "times": 1}
    await world.control("faults", rules=[rule])
    planned = await world.plan("a", release=True)
    await world.work(planned.transfer)
    refused = await world.transfer(planned.transfer)
    assert (refused.state, refused.task.state) == (TransferState.RELEASING, "refused")
    assert len(await world.told("stock.transfer.refused")) == 1
    await world.operations.transfers.release(world.caller(), planned.transfer)
    await world.work(planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.RELEASED


async def test_what_does_not_arrive_stays_open_until_a_person_says_where_it_is(world):
    planned = await world.plan("a", 5, release=True, expected_on=world.clock.now().date() - timedelta(days=3))
    await world.work(planned.transfer)
    await world.control("ship", client_reference=planned.transfer)
    await world.listen()
    await world.tell("transfer_received", 3, document=planned.transfer)
    assert (await world.transfer(planned.transfer)).lines[0].in_transit == 2
    closed = await world.operations.transfers.close(
        world.caller("anna"), planned.transfer, reason="fell off the truck", missing="lost"
    )
    assert (closed.state, closed.lines[0].written_off, closed.closed_by) == (TransferState.CLOSED, 2, "anna")
    await world.work(planned.transfer)
    [(_, coming, _)] = await world.availability.supply(world.tenant, [world.item])
    assert coming == 0
    [told] = await world.told("stock.transfer.closed")
    assert (told["missing"], told["lines"][0]["amount"]) == ("lost", "2")
    again = await world.operations.transfers.close(world.caller(), planned.transfer, reason="again", missing="lost")
    assert again.version == closed.version
    await world.tell("transfer_received", 2, document=planned.transfer)  # it turns up after all
    late = await world.transfer(planned.transfer)
    assert (late.state, late.lines[0].received) == (TransferState.COMPLETED, 5)


async def test_closing_gives_back_what_was_promised_and_never_left(world):
    planned = await world.plan("a", 5, release=True)
    await world.work(planned.transfer)
    with pytest.raises(Conflict) as refused:
        await world.operations.transfers.close(world.caller(), planned.transfer, reason="x", missing="lost")
    assert refused.value.code == "transfer.not_dispatched"
    await world.control("ship", client_reference=planned.transfer, lines=[{"line_number": 1, "quantity": "2"}])
    await world.listen()
    await world.operations.transfers.close(world.caller(), planned.transfer, reason="enough", missing="lost")
    line = await world.line()
    assert (line["sellable"], line["allocated"]) == (18, 0)


async def test_news_in_any_order_and_twice_and_revised_ends_in_the_same_counters(world):
    planned = await world.plan("a", 5, release=True)
    await world.work(planned.transfer)
    at = world.clock.now()
    first = {"document": planned.transfer, "event_id": f"{planned.transfer}-in", "sequence": 7, "at": at}
    await world.tell("transfer_received", 4, **first)
    await world.tell("transfer_received", 4, **first)
    await world.control("ship", client_reference=planned.transfer)
    await world.listen()
    assert (await world.transfer(planned.transfer)).lines[0].in_transit == 1
    await world.tell("transfer_received", 5, **first, revision=1)
    done = await world.transfer(planned.transfer)
    assert (done.state, done.lines[0].received) == (TransferState.COMPLETED, 5)
    assert await world.buckets("south") == {"receiving": 5}


async def test_what_is_not_on_the_transfer_is_shown_and_moves_none_of_its_lines(world):
    planned = await world.plan("a", 5)
    await world.tell("transfer_received", 1, sku=2, document=planned.transfer)
    found = await world.transfer(planned.transfer)
    assert found.stray
    assert found.lines[0].received == 0


async def test_a_place_without_a_warehouse_system_is_asked_by_nobody_and_its_movements_count(world):
    await world.tell("stock_adjusted", 9)
    planned = await world.plan("a", 4, origin="south", destination="north", release=True)
    await world.work(planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.RELEASED
    await world.tell(
        "transfer_dispatched", 4, document=planned.transfer, order_reference=planned.transfer, order_line=1
    )
    line = await world.line("south")
    assert (line["sellable"], line["allocated"]) == (5, 0)


async def test_a_turn_that_died_after_asking_is_found_and_looked_up_by_the_sweep(world):
    planned = await world.plan("a", release=True)
    await world.control("faults", rules=[{"match": "POST /api/v2/orders", "do": "hang_after", "times": 1}])
    await world.store.execute("update dbos.workflow_status set status = 'ERROR'")
    await world.store.execute(
        "update stock_operations.task set state = 'asked', attempts = 1 where subject = $1", planned.transfer
    )
    await world.control("faults")
    assert await world.operations.sweep() >= 1
    await world.work(planned.transfer)
    assert (await world.transfer(planned.transfer)).state is TransferState.RELEASED
    assert len(await world.orders(planned.transfer)) == 1


async def test_nobody_elses_transfer_is_found(world):
    planned = await world.plan("a")
    with pytest.raises(NotFound):
        await world.operations.transfers.get("elsewhere", planned.transfer)
    listed = await world.operations.transfers.listed(world.tenant, location="south", open_only=True)
    assert [each.transfer for each in listed] == [planned.transfer]
    assert await world.operations.transfers.listed("elsewhere") == []
    row = await world.store.fetchrow("select * from store.audit where subject = $1", planned.transfer)
    assert (row["action"], row["actor"]) == ("transfer.plan", "app")


async def test_what_we_hold_ourselves_leaves_and_comes_as_people_tell_it_and_once(world):
    handling, at = world.operations.handling, world.clock.now()
    await world.tell("stock_adjusted", 9)
    out = await world.plan("a", 4, origin="south", destination="depot", release=True)
    await world.work(out.transfer)
    told = {"action": "x", "at": at, "lines": [Handled(1, Decimal(4))]}
    with pytest.raises(Conflict) as other:
        await handling.tell(world.caller(), out.transfer, "dispatch", **told)
    assert other.value.code == "transfer.not_ours"
    for _ in range(2):
        await handling.tell(world.caller(), out.transfer, "receipt", **told)
    with pytest.raises(Conflict) as reused:
        await handling.tell(world.caller(), out.transfer, "receipt", **told | {"lines": [Handled(1, Decimal(3))]})
    assert reused.value.code == "operation.action_reused"
    with pytest.raises(Rejected) as unknown:
        await handling.tell(world.caller(), out.transfer, "receipt", **told | {"lines": [Handled(2, Decimal(3))]})
    assert unknown.value.code == "transfer.line_unknown"
    await world.hear()
    assert (await world.transfer(out.transfer)).lines[0].received == 4
    back = await world.plan("b", 3, origin="depot", destination="north")
    with pytest.raises(Conflict) as early:
        await handling.tell(world.caller(), back.transfer, "dispatch", **told)
    assert early.value.code == "transfer.not_released"
    await world.operations.transfers.release(world.caller(), back.transfer)
    await world.work(back.transfer)
    await handling.tell(world.caller(), back.transfer, "dispatch", **told | {"lines": [Handled(1, Decimal(3))]})
    await world.hear()
    assert (await world.transfer(back.transfer)).state is TransferState.IN_TRANSIT
    line = await world.line("depot")
    assert (line["sellable"], line["allocated"], await world.buckets("depot")) == (1, 0, {"sellable": 1})
