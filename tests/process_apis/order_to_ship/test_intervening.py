"""Orders held, served from elsewhere, split and cancelled in part by customer service; guards as in the flow."""

from decimal import Decimal

import pytest
from order_world import CALLER, ask

from gateway.kernel.errors import Conflict, Invalid, NotFound
from process_apis.order_to_ship.models import ReworkLine, TaskKind, TaskState, Verb
from process_apis.order_to_ship.rework_rules import Intervention
from process_apis.order_to_ship.rules import law_holds

pytestmark = pytest.mark.integration


def wanted(verb, *lines, action="a-1", reason="the buyer called", version=None):
    asked = tuple(
        ReworkLine(line=line[0], amount=None if line[1] is None else Decimal(line[1]), location=(*line, None)[2])
        for line in lines
    )
    return Intervention(action=action, verb=Verb(verb), reason=reason, version=version, lines=asked)


async def standing(world, reference):
    """How many sales and works of a reference there are that count."""
    sales, works = await world.sales(reference), await world.works(reference)
    return sum(not sale["cancelled"] for sale in sales), sum(work["state"] == "released" for work in works)


def whatever_fails(test):
    """Each call by which a change takes an order back and hands it over again, failed in each way."""
    slow = [pytest.param(fault, marks=pytest.mark.long) for fault in ("error", "unknown", "crash_before")]
    faults = pytest.mark.parametrize("fault", ["unknown_after", "crash_after", *slow])
    return faults(
        pytest.mark.parametrize("call", ["cancel_work", "cancel_order", "submit_order", "release_work"])(test)
    )


async def placed(world, number, *lines, handed=True):
    await world.stock(100, "itm_1", "itm_2")
    await world.stock(50, "itm_1", "itm_2", location="WH-W")
    order = (await world.process.place_order(ask(number, *lines))).order.order_id
    if handed:
        await world.drain(order)
    return order


def do(world, order, *args, **more):
    return world.process.interventions.intervene(CALLER, order, wanted(*args, **more))


async def lines_of(world, order):
    return {row["reference"]: row["lines"] for row in await world.sales(order)}


def counters(order):
    assert all(law_holds(line) for line in order.lines)
    return [tuple(map(int, (line.open, line.backordered, line.shipped, line.cancelled))) for line in order.lines]


async def audits(world, order):
    rows = await world.store.fetch("select action, detail from store.audit where subject = $1 order by id", order)
    return [row["action"] for row in rows]


async def test_an_order_held_before_anybody_has_it_waits_and_its_terms_decide_when_it_is_let_go(world):
    order = await placed(world, "H-1", handed=False)
    held = await do(world, order, "hold")
    assert (held.state, held.hold_reason, held.hold_kind) == ("held", "the buyer called", "person")
    assert (await world.drain(order)).approved_at is None
    assert await world.sales(order) == []
    await world.store.execute("update fake.customer set hold = true")
    await world.process.release_hold(CALLER, order, reason="it may go")
    assert ((await world.drain(order)).hold_reason, await world.sales(order)) == ("customer_hold", [])
    await world.process.release_hold(CALLER, order, reason="I vouch")
    assert (await world.drain(order)).state == "released"
    assert await audits(world, order) == ["order.place", "order.hold", "order.release_hold", "order.release_hold"]
    assert {"held", "resumed"} < set(await world.events(order))


async def test_a_hold_takes_released_work_back_and_it_goes_on_under_a_reference_of_its_own(world):
    order = await placed(world, "H-2")
    asked = await do(world, order, "hold")
    assert (asked.state, asked.rework.releases) == ("released", (1,))
    held = await world.drain(order)
    assert held.state == "held"
    assert [work["state"] for work in await world.works(order)] == ["cancelled"]
    assert [sale["cancelled"] for sale in await world.sales(order)] == [True]
    assert await world.available("itm_1") == 98
    await world.process.release_hold(CALLER, order, reason="it may go")
    assert (await world.drain(order)).state == "released"
    assert [work["state"] for work in await world.works(f"{order}.2")] == ["released"]
    assert await lines_of(world, f"{order}.2") == {f"{order}.2": '[[1, "itm_1", "2", "WH-N"]]'}
    await world.ship(order, 1, 2)
    released = await world.process.get_order("acme", order)
    assert released.task(TaskKind.ERP_ORDER, "erp_na").state is TaskState.WITHDRAWN


async def test_lines_are_served_from_elsewhere_once_their_work_is_taken_back(world):
    order = await placed(world, "R-1", ("SKU-1", "2"), ("SKU-2", "5"))
    await do(world, order, "reallocate", (2, None, "WH-W"))
    moved = await world.drain(order)
    assert {(part.line, part.location, int(part.amount)) for part in moved.allocations} == {
        (1, "WH-N", 2), (2, "WH-W", 5),
    }  # fmt: skip
    assert (await world.available("itm_2"), await world.available("itm_2", "WH-W")) == (100, 45)
    works = {(work["location"], work["lines"]) for work in await world.works(f"{order}.2")}
    assert works == {("WH-N", '[[1, "itm_1", "2"]]'), ("WH-W", '[[2, "itm_2", "5"]]')}
    assert (await world.events(order))[-1] == "released"


async def test_what_is_not_there_is_refused_at_once_or_told_when_the_work_is_back(world):
    free = await placed(world, "R-2", ("SKU-1", "60"), handed=False)
    with pytest.raises(Conflict) as refused:
        await do(world, free, "reallocate", (1, None, "WH-W"))
    assert refused.value.code == "stock.insufficient"
    await world.drain(free)
    await do(world, free, "reallocate", (1, None, "WH-W"))
    after = await world.drain(free)
    [found] = after.exceptions
    assert (found.code, found.blocking, after.state) == ("stock.insufficient", False, "released")
    assert await lines_of(world, f"{free}.2") == {f"{free}.2": '[[1, "itm_1", "60", "WH-N"]]'}
    assert await world.available("itm_1") == 40
    assert "change_refused" in await world.events(free)


async def test_an_order_is_split_by_lines_and_amounts_and_its_parts_ship_apart(world):
    order = await placed(world, "S-1", ("SKU-1", "6"), ("SKU-2", "5"))
    await do(world, order, "split", (1, 4))
    split = await world.drain(order)
    assert await lines_of(world, f"{order}.2") == {f"{order}.2": '[[1, "itm_1", "4", "WH-N"]]'}
    rest = '[[1, "itm_1", "2", "WH-N"], [2, "itm_2", "5", "WH-N"]]'
    assert await lines_of(world, f"{order}.3") == {f"{order}.3": rest}
    assert (split.state, counters(split)) == ("released", [(6, 0, 0, 0), (5, 0, 0, 0)])
    assert (await world.available("itm_1"), await world.available("itm_2")) == (94, 95)


async def test_part_of_a_line_is_cancelled_before_and_after_it_is_handed_over(world):
    order = await placed(world, "C-1", ("SKU-1", "6"), ("SKU-2", "5"), handed=False)
    assert counters(await do(world, order, "cancel", (1, 1))) == [(5, 0, 0, 1), (5, 0, 0, 0)]
    await world.drain(order)
    assert await lines_of(world, order) == {order: '[[1, "itm_1", "5", "WH-N"], [2, "itm_2", "5", "WH-N"]]'}
    await do(world, order, "cancel", (1, 3), (2, None), action="a-2")
    after = await world.drain(order)
    assert counters(after) == [(2, 0, 0, 4), (0, 0, 0, 5)]
    assert await lines_of(world, f"{order}.2") == {f"{order}.2": '[[1, "itm_1", "2", "WH-N"]]'}
    assert (await world.available("itm_1"), await world.available("itm_2")) == (98, 100)
    await do(world, order, "cancel", (1, None), action="a-3")
    assert (await world.drain(order)).state == "cancelled"
    assert await world.available("itm_1") == 100


async def test_a_warehouse_that_began_to_pick_keeps_the_work_and_the_claims(world):
    order = await placed(world, "P-1", ("SKU-1", "6"))
    await world.store.execute("update fake.work set state = 'picking'")
    await do(world, order, "cancel", (1, 2))
    after = await world.drain(order)
    assert (after.rework, counters(after)) == (None, [(6, 0, 0, 0)])
    assert [(found.exception, found.blocking) for found in after.exceptions] == [("cancel_refused", False)]
    assert await world.available("itm_1") == 94
    await world.ship(order, 1, 6)
    assert (await world.drain(order)).state == "completed"


async def test_what_has_left_in_part_is_not_taken_back(world):
    order = await placed(world, "P-2", ("SKU-1", "6"))
    await world.ship(order, 1, 2)
    with pytest.raises(Conflict) as refused:
        await do(world, order, "cancel", (1, 1))
    assert refused.value.code == "order.shipped_in_part"


@whatever_fails
async def test_a_part_is_cancelled_once_whatever_fails_on_the_way(world, call, fault):
    order = await placed(world, f"F-{call}-{fault}", ("SKU-1", "6"))
    await world.fault(call, fault)
    await do(world, order, "cancel", (1, 2))
    after = await world.drain(order)
    assert (after.state, counters(after)) == ("released", [(4, 0, 0, 2)])
    assert await world.available("itm_1") == 96
    assert [await standing(world, each) for each in (order, f"{order}.2")] == [(0, 0), (1, 1)]


async def test_a_cancel_of_the_whole_overtakes_a_change_that_is_under_way(world):
    order = await placed(world, "W-1", ("SKU-1", "6"))
    await do(world, order, "hold")
    with pytest.raises(Conflict, match="under way"):
        await do(world, order, "cancel", (1, 1), action="a-2")
    await world.process.cancel_order(CALLER, order, reason="all of it")
    after = await world.drain(order)
    assert (after.state, after.rework, await world.available("itm_1")) == ("cancelled", None, 100)


async def test_a_command_happens_once_for_who_saw_the_order_as_it_is(world):
    order = await placed(world, "I-1", ("SKU-1", "6"), handed=False)
    with pytest.raises(Conflict) as stale:
        await do(world, order, "cancel", (1, 1), version=7)
    assert stale.value.code == "precondition.failed"
    first = await do(world, order, "cancel", (1, 1), version=1)
    assert counters(await do(world, order, "cancel", (1, 1), version=1)) == counters(first)
    with pytest.raises(Conflict) as reused:
        await do(world, order, "cancel", (1, 2))
    assert reused.value.code == "order.action_reused"
    assert (await audits(world, order)).count("order.cancel") == 1


async def test_what_makes_no_sense_is_refused_and_leaves_no_trace(world):
    order = await placed(world, "N-1", ("SKU-1", "6"), handed=False)
    for lines, code in (
        (((7, None),), "order.lines_changed"), (((1, 7),), "order.lines_changed"), (((1, 0),), "order.lines_changed"),
        (((1, 1), (1, 1)), "order.lines_changed"), ((), "order.lines_missing"),
    ):  # fmt: skip
        with pytest.raises((Conflict, Invalid)) as refused:
            await do(world, order, "cancel", *lines)
        assert refused.value.code == code
    with pytest.raises(Invalid, match="location"):
        await do(world, order, "reallocate", (1, None))
    with pytest.raises(Conflict, match="hold"):
        await do(world, order, "split", (1, 1))
    with pytest.raises(NotFound):
        await do(world, "ord_nobodys", "hold")
    assert counters(await do(world, order, "cancel", (1, 1))) == [(5, 0, 0, 1)]
