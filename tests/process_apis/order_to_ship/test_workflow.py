import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from order_world import CALLER, ask

from gateway.canonical.order import ExternalReference, OrderState
from gateway.kernel.errors import Conflict, NotFound
from gateway.store.postgres import Store
from process_apis.order_to_ship.models import TaskKind, TaskState

pytestmark = pytest.mark.integration


async def accepted(world, number="PO-1", *lines, **changes):
    await world.stock(100, "itm_1", "itm_2")
    return (await world.process.place_order(ask(number, *lines, **changes))).order.order_id


async def test_an_order_goes_through_erp_and_warehouse_and_is_complete_when_shipped(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "2"), ("SKU-2", "3"))
    order = await world.drain(order_id)
    assert order.state is OrderState.RELEASED
    assert await world.called(order_id) == ["submit_order", "release_work"]
    await world.ship(order_id, 1, 2)
    order = await world.process.get_order("acme", order_id)
    assert order.state is OrderState.PARTIALLY_SHIPPED
    await world.drain(order_id)
    await world.ship(order_id, 2, 3, event="e2")
    order = await world.drain(order_id)
    assert order.state is OrderState.COMPLETED
    assert [(line.open, line.shipped) for line in order.lines] == [(0, 2), (0, 3)]
    assert [row["lines"] for row in await world.postings(order_id)] == ['[[1, "itm_1", "2"]]', '[[2, "itm_2", "3"]]']
    assert await world.events(order_id) == [
        "accepted", "submitted", "released", "shipment_confirmed", "shipment_confirmed", "completed",
    ]  # fmt: skip


async def test_a_clean_order_costs_one_workflow_and_no_durable_step(world):
    order_id = await accepted(world)
    await world.drain(order_id)
    assert await world.store.fetchval("select count(*) from dbos.workflow_status") == 1
    assert await world.store.fetchval("select count(*) from dbos.operation_outputs") == 0


async def test_lines_of_one_document_are_posted_together_and_movements_count_once(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "2"), ("SKU-2", "3"))
    await world.drain(order_id)
    movement = await world.ship(order_id, 1, 2)
    await world.ship(order_id, 2, 3)
    await world.ship(order_id, 1, 2, movement=movement)
    order = await world.drain(order_id)
    assert [(line.shipped, line.over_shipped) for line in order.lines] == [(2, 0), (3, 0)]
    [posting] = await world.postings(order_id)
    assert posting["lines"] == '[[1, "itm_1", "2"], [2, "itm_2", "3"]]'


async def test_movements_that_come_together_are_counted_as_one_by_one(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "2"), ("SKU-2", "3"))
    other_id = await accepted(world, "PO-2", ("SKU-1", "1"))
    for each in (order_id, other_id):
        await world.drain(each)
    wrong = world.shipped(order_id, 1, 1)
    await world.hear(
        wrong,
        world.shipped(other_id, 1, 1),
        world.shipped(order_id, 2, 3),
        wrong,
        world.shipped("so_unknown", 1, 1),
        world.shipped(order_id, 1, 2, replaces=wrong.event.data["movement"]),
    )
    order = await world.process.get_order("acme", order_id)
    assert [(line.shipped, line.over_shipped) for line in order.lines] == [(2, 0), (3, 0)]
    assert (await world.events(order_id))[-3:] == ["shipment_confirmed"] * 3
    [unknown] = await world.process.list_exceptions("acme")
    assert (unknown.code, unknown.order_id) == ("order.unknown", "so_unknown")
    assert (await world.drain(order_id)).state is (await world.drain(other_id)).state is OrderState.COMPLETED
    assert len(await world.postings(order_id)) == 1


async def test_the_turns_of_orders_that_have_begun_go_before_the_first_turns_of_others(world):
    begun = await accepted(world, "PO-1")
    await world.drain(begun)
    await accepted(world, "PO-2")
    await world.ship(begun, 1, 2)
    rows = await world.store.fetch(
        "select workflow_uuid from dbos.workflow_status where status in ('ENQUEUED', 'DELAYED') order by priority"
    )
    assert [row["workflow_uuid"].startswith(begun) for row in rows] == [True, False]


async def test_postings_keep_the_order_of_the_shipments(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "3"))
    await world.drain(order_id)
    await world.fault("post_shipment", "error", "unknown_after", "error")
    for event in ("e1", "e2", "e3"):
        await world.ship(order_id, 1, 1, event=event)
    order = await world.drain(order_id)
    assert order.state is OrderState.COMPLETED
    wanted = [shipment.shipment_id for shipment in order.shipments]
    assert [row["posting"] for row in await world.postings(order_id)] == wanted


async def test_shipping_too_much_or_something_else_keeps_the_law_and_is_shown(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "3"))
    await world.drain(order_id)
    await world.ship(order_id, 1, 5)
    await world.ship(order_id, 7, 1, item="itm_9", event="e2")
    order = await world.process.get_order("acme", order_id)
    assert (order.lines[0].shipped, order.lines[0].over_shipped) == (3, 2)
    assert [finding.code for finding in order.exceptions] == ["order.shipment_mismatch"] * 2
    await world.ship("ord_00000000000000000000000000", 1, 1)
    codes = [found.code for found in await world.process.list_exceptions("acme")]
    assert codes == ["order.unknown", "order.shipment_mismatch", "order.shipment_mismatch"]


# --- terms ------------------------------------------------------------------------------------------------------------


async def test_credit_counts_the_balance_and_every_open_order(world):
    await world.store.execute("update fake.customer set credit_limit = 20, balance = 9")
    first = await accepted(world, "PO-1")
    second = await accepted(world, "PO-2")
    third = await accepted(world, "PO-3")
    states = [(await world.drain(order)).state for order in (first, second, third)]
    assert states == [OrderState.RELEASED, OrderState.RELEASED, OrderState.HELD]
    held = await world.process.get_order("acme", third)
    assert held.hold_reason == "credit_limit"
    assert await world.events(third) == ["accepted", "held"]
    assert await world.called(third) == []
    await world.process.release_hold(CALLER, third, reason="paid by phone")
    assert (await world.drain(third)).state is OrderState.RELEASED
    with pytest.raises(Conflict, match="not held"):
        await world.process.release_hold(CALLER, third, reason="again")


async def test_orders_decided_at_once_cannot_share_the_rest_of_a_limit(world):
    await world.store.execute("update fake.customer set credit_limit = 15")
    orders = [await accepted(world, f"PO-{n}") for n in range(6)]
    await asyncio.gather(*(world.drain(order) for order in orders))
    states = [(await world.process.get_order("acme", order)).state for order in orders]
    assert sorted(states) == [OrderState.HELD] * 3 + [OrderState.RELEASED] * 3


async def test_a_customer_on_hold_or_unknown_stops_the_order(world):
    await world.store.execute("insert into fake.customer (code, hold) values ('BAD', true)")
    held = await world.drain(await accepted(world, "PO-1", sold_to="BAD"))
    assert (held.state, held.hold_reason) == (OrderState.HELD, "customer_hold")
    unknown = await world.drain(await accepted(world, "PO-2", sold_to="NOBODY"))
    assert unknown.state is OrderState.EXCEPTION
    [found] = await world.process.list_exceptions("acme", order_id=unknown.order_id)
    assert (found.code, found.fault_domain, found.blocking) == ("erp.customer_not_found", "erp_na", True)
    await world.store.execute("insert into fake.customer (code) values ('NOBODY')")
    resolved = await world.process.retry_exception(CALLER, found.exception_id)
    assert (resolved.state, resolved.resolved_by) == ("resolved", "app")
    assert (await world.drain(unknown.order_id)).state is OrderState.RELEASED
    with pytest.raises(Conflict, match="resolved already"):
        await world.process.retry_exception(CALLER, found.exception_id)


# --- refusals and cancels ---------------------------------------------------------------------------------------------


async def test_an_order_the_erp_refuses_gives_its_stock_back(world):
    await world.fault("submit_order", "rejected")
    order_id = await accepted(world)
    order = await world.drain(order_id)
    assert (order.state, order.reject_reason) == (OrderState.REJECTED, "no")
    assert await world.available("itm_1") == 100
    assert await world.called(order_id) == ["submit_order", "find_order"]
    assert await world.events(order_id) == ["accepted", "rejected"]


async def test_a_cancel_before_anything_was_handed_over_is_done_at_once(world):
    order_id = await accepted(world)
    cancelled = await world.process.cancel_order(CALLER, order_id, reason="mistake")
    assert cancelled.state is OrderState.CANCELLED
    assert await world.available("itm_1") == 100
    again = await world.process.cancel_order(CALLER, order_id, reason="twice")
    assert again.version == cancelled.version
    await world.drain(order_id)
    assert await world.sales(order_id) == []
    assert await world.available("itm_1") == 100


async def test_a_cancel_takes_back_the_work_then_the_sale_then_the_claims(world):
    order_id = await accepted(world)
    await world.drain(order_id)
    waiting = await world.process.cancel_order(CALLER, order_id, reason="mistake")
    assert waiting.state is OrderState.RELEASED
    assert (await world.process.monitor("acme", order_id)).cancelling
    assert await world.available("itm_1") == 98, "claims go only when nobody holds the work"
    order = await world.drain(order_id)
    assert order.state is OrderState.CANCELLED
    assert (await world.called(order_id))[2:] == ["cancel_work", "cancel_order"]
    assert [line.cancelled for line in order.lines] == [2]
    assert await world.available("itm_1") == 100
    assert (await world.events(order_id))[-1] == "cancelled"


async def test_ten_cancels_at_once_release_once(world):
    order_id = await accepted(world)
    await world.drain(order_id)
    await asyncio.gather(*(world.process.cancel_order(CALLER, order_id, reason="again") for _ in range(10)))
    assert (await world.drain(order_id)).state is OrderState.CANCELLED
    assert await world.available("itm_1") == 100


async def test_after_picking_began_an_order_cannot_be_cancelled(world):
    order_id = await accepted(world)
    await world.drain(order_id)
    await world.ship(order_id, 1, 2, kind="pick_confirmed")
    with pytest.raises(Conflict) as refused:
        await world.process.cancel_order(CALLER, order_id, reason="late")
    assert refused.value.code == "order.picking_began"


async def test_a_cancel_that_the_warehouse_refuses_keeps_claims_and_is_shown_and_the_order_goes_on(world):
    order_id = await accepted(world)
    await world.drain(order_id)
    await world.store.execute("update fake.work set state = 'picking'")
    await world.process.cancel_order(CALLER, order_id, reason="late")
    order = await world.drain(order_id)
    assert order.state is OrderState.RELEASED
    assert [finding.code for finding in order.exceptions] == ["wms.picking_started"]
    assert await world.available("itm_1") == 98
    assert not any(row["cancelled"] for row in await world.sales(order_id))
    await world.ship(order_id, 1, 2)
    assert (await world.drain(order_id)).state is OrderState.COMPLETED
    assert await world.process.list_exceptions("acme") == []


async def test_a_cancel_refused_half_way_waits_for_a_person_and_retry_takes_the_order_up_again(world):
    await world.stock(2, "itm_1", location="WH-N")
    await world.stock(5, "itm_2", location="WH-W")
    placed = await world.process.place_order(ask("PO-1", ("SKU-1", "2"), ("SKU-2", "3")))
    order_id = placed.order.order_id
    order = await world.drain(order_id)
    assert sorted(row["location"] for row in await world.works(order_id)) == ["WH-N", "WH-W"]
    await world.fault("cancel_work", "none")
    await world.store.execute("update fake.sale set picking = true")
    await world.process.cancel_order(CALLER, order_id, reason="late")
    order = await world.drain(order_id)
    assert order.state is OrderState.EXCEPTION
    assert await world.available("itm_1") == 0
    [found] = await world.process.list_exceptions("acme", order_id=order_id)
    await world.process.retry_exception(CALLER, found.exception_id)
    order = await world.drain(order_id)
    assert order.state is OrderState.RELEASED
    assert [task.state for task in order.of_kind(TaskKind.WAREHOUSE_WORK)] == [TaskState.DONE] * 2


async def test_a_cancel_while_the_erp_is_asked_wins_afterwards(world):
    order_id = await accepted(world)
    await world.fault("submit_order", "unknown_after")
    run = world.process.workflows()[0].run
    await run(order_id, 1)
    assert len(await world.sales(order_id)) == 1
    await world.process.cancel_order(CALLER, order_id, reason="mistake")
    order = await world.drain(order_id)
    assert order.state is OrderState.CANCELLED
    assert [row["cancelled"] for row in await world.sales(order_id)] == [True]
    assert await world.works(order_id) == []


async def test_a_slow_system_starves_nobody_of_the_record_and_a_cancelled_turn_keeps_no_lock(world):
    order_id = await accepted(world)
    await world.fault("submit_order", "hang_after")
    sessions = Store(world.store.url, size=2)
    await sessions.open()
    turn = asyncio.create_task(world.process.workflows(sessions)[0].run(order_id, 1))
    for _ in range(500):
        if "submit_order" in await world.called(order_id):
            break
        await asyncio.sleep(0.02)
    assert sessions.pool.get_size() - sessions.pool.get_idle_size() == 1
    assert world.store.pool.get_size() == world.store.pool.get_idle_size()
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    assert await world.store.fetchval("select pg_try_advisory_xact_lock(hashtextextended($1, 20481))", order_id)
    await sessions.close()


# --- twins and things that cannot be looked up ------------------------------------------------------------------------


async def test_a_sale_that_appears_after_the_look_up_is_cancelled_as_a_twin(world):
    order_id = await accepted(world)
    await world.fault("submit_order", "unknown")
    run = world.process.workflows()[0].run
    await run(order_id, 1)
    await asyncio.sleep(0.12)
    world.process._systems.erp.settle_time = timedelta(seconds=2)  # the twin is there before it is looked for
    await run(order_id, 2)
    await world.store.execute(
        "insert into fake.sale (number, reference, lines) overriding system value values (-1, $1, '[]')", order_id
    )
    order = await world.drain(order_id)
    assert order.state is OrderState.RELEASED
    assert [(row["number"], row["cancelled"]) for row in await world.sales(order_id)] == [(-1, False), (1, True)]
    [task] = order.of_kind(TaskKind.ERP_ORDER)
    assert (task.number, task.verify_at) == ("S-1", None)


async def test_a_twin_that_submitting_stumbles_over_is_cancelled_and_the_order_goes_on(world, monkeypatch):
    order_id = await accepted(world)
    erp = world.process._systems.erp
    submit = erp.submit_order

    async def find(call, *, order):
        return await erp._find(order.order)

    async def delivered_twice(call, *, order):
        monkeypatch.setattr(erp, "submit_order", find)
        await submit(call, order=order)
        await submit(call, order=order)
        return await find(call, order=order)

    monkeypatch.setattr(erp, "submit_order", delivered_twice)
    order = await world.drain(order_id)
    assert order.state is OrderState.RELEASED
    assert order.exceptions == ()
    assert [row["cancelled"] for row in await world.sales(order_id)] == [False, True]


async def test_where_nothing_can_be_looked_up_an_unknown_outcome_goes_to_a_person(world):
    world.process._systems.erp.external_reference = ExternalReference.NONE
    order_id = await accepted(world)
    await world.fault("submit_order", "unknown_after")
    order = await world.drain(order_id)
    assert order.state is OrderState.EXCEPTION
    assert await world.called(order_id) == ["submit_order"]
    assert await world.available("itm_1") == 98


async def test_a_sale_cancelled_in_the_erp_itself_is_not_taken_for_ours(world):
    order_id = await accepted(world)
    await world.fault("submit_order", "unknown_after")
    run = world.process.workflows()[0].run
    await run(order_id, 1)
    await world.store.execute("update fake.sale set cancelled = true")
    order = await world.drain(order_id)
    assert order.state is OrderState.EXCEPTION
    [found] = await world.process.list_exceptions("acme")
    assert found.code == "order.cancelled_elsewhere"


async def test_work_cancelled_in_the_warehouse_itself_is_not_taken_for_released(world, monkeypatch):
    monkeypatch.setattr(world.seams, "unique_work", True)
    order_id = await accepted(world)
    await world.fault("release_work", "unknown_after")
    await world.process.workflows()[0].run(order_id, 1)
    await world.store.execute("update fake.work set state = 'cancelled'")
    order = await world.drain(order_id)
    assert order.state is OrderState.EXCEPTION
    assert "released" not in await world.events(order_id)
    [found] = await world.process.list_exceptions("acme")
    assert (found.code, found.fault_domain) == ("order.cancelled_elsewhere", "wms_n")
    await world.store.execute("update fake.work set state = 'released'")
    await world.process.retry_exception(CALLER, found.exception_id)
    assert (await world.drain(order_id)).state is OrderState.RELEASED
    assert len(await world.works(order_id)) == 1


# --- outages and waking -----------------------------------------------------------------------------------------------


async def test_an_outage_is_shown_ends_by_itself_and_is_resolved_by_the_success(world):
    order_id = await accepted(world)
    await world.fault("submit_order", *["error"] * 5)
    order = await world.drain(order_id)
    assert order.state is OrderState.RELEASED
    assert (await world.process.list_exceptions("acme")) == []
    [found] = await world.process.list_exceptions("acme", state="resolved")
    assert (found.exception, found.seen, found.blocking) == ("system_down", 3, False)
    assert found.resolution == "a later attempt succeeded"
    assert len(await world.sales(order_id)) == 1


async def test_turns_of_one_order_at_once_do_everything_once(world):
    order_id = await accepted(world)
    run = world.process.workflows()[0].run
    await asyncio.gather(*(run(order_id, 1) for _ in range(6)))
    order = await world.drain(order_id)
    assert order.state is OrderState.RELEASED
    assert (await world.called(order_id)).count("submit_order") == 1
    assert len(await world.works(order_id)) == 1


async def test_an_order_whose_turn_was_lost_is_found_by_the_sweep(world):
    order_id = await accepted(world)
    assert await world.process.sweep() == 0
    await world.store.execute("update order_to_ship.sales_order set due_at = now() - interval '1 hour'")
    assert await world.process.sweep() == 0, "its turn still waits in the queue"
    await world.store.execute("update dbos.workflow_status set status = 'ERROR'")
    assert await world.process.sweep() == 1
    assert (await world.drain(order_id)).state is OrderState.RELEASED
    assert await world.process.sweep() == 0


async def test_the_stored_state_and_due_time_follow_from_the_facts(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", Decimal(4)))
    await world.drain(order_id)
    row = await world.store.fetchrow("select state, due_at, exposure from order_to_ship.sales_order")
    assert (row["state"], row["due_at"], row["exposure"]) == ("released", None, 10)
    await world.ship(order_id, 1, 4)
    await world.drain(order_id)
    row = await world.store.fetchrow("select state, due_at, exposure from order_to_ship.sales_order")
    assert (row["state"], row["due_at"], row["exposure"]) == ("completed", None, 0)


async def test_a_revised_shipment_takes_back_what_it_replaces(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "5"))
    await world.drain(order_id)
    wrong = await world.ship(order_id, 1, 4)
    await world.ship(order_id, 1, 3, event="e1", replaces=wrong)
    order = await world.drain(order_id)
    assert [(line.open, line.shipped) for line in order.lines] == [(2, 3)]
    assert [row["lines"] for row in await world.postings(order_id)] == ['[[1, "itm_1", "3"]]']
    assert await world.process.list_exceptions("acme") == []


async def test_a_shipment_revised_after_the_erp_was_told_is_a_persons_case(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "5"))
    await world.drain(order_id)
    wrong = await world.ship(order_id, 1, 4)
    await world.drain(order_id)
    await world.ship(order_id, 1, 3, event="e1", replaces=wrong)
    order = await world.process.get_order("acme", order_id)
    assert [(line.open, line.shipped) for line in order.lines] == [(2, 3)]
    [found] = await world.process.list_exceptions("acme")
    assert "correct it there" in found.detail
    await world.drain(order_id)
    assert [row["lines"] for row in await world.postings(order_id)] == ['[[1, "itm_1", "4"]]']
    with pytest.raises(Conflict, match="nothing is left"):
        await world.process.retry_exception(CALLER, found.exception_id)


async def test_a_shipment_that_never_was_is_not_told(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "5"))
    await world.drain(order_id)
    wrong = await world.ship(order_id, 1, 4)
    await world.ship(order_id, 1, 0, replaces=wrong)
    order = await world.drain(order_id)
    assert (order.state, order.lines[0].open) == (OrderState.RELEASED, 5)
    assert await world.postings(order_id) == []


async def test_goods_that_leave_after_the_cancel_are_counted_and_shown(world):
    order_id = await accepted(world, "PO-1", ("SKU-1", "5"))
    await world.process.cancel_order(CALLER, order_id, reason="mistake")
    await world.ship(order_id, 1, 2)
    order = await world.process.get_order("acme", order_id)
    assert (order.lines[0].cancelled, order.lines[0].shipped) == (3, 2)
    [found] = await world.process.list_exceptions("acme")
    assert "given up" in found.detail


async def test_the_history_of_an_order_is_its_events_and_its_partners_only(world):
    order_id = await accepted(world)
    await world.drain(order_id)
    order, events = await world.process.history("acme", order_id, partner="P1")
    assert order.state is OrderState.RELEASED
    assert [recorded.event.type for recorded in events] == ["order.accepted", "order.submitted", "order.released"]
    with pytest.raises(NotFound):
        await world.process.history("acme", order_id, partner="P2")
