"""Orders as their buyers change them, before picking began: quantities up and down, lines given up, delivery."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from order_world import CALLER, SHIP_TO, ask
from test_intervening import counters, lines_of, placed, standing, whatever_fails

from gateway.kernel.errors import Conflict, NotFound
from process_apis.order_to_ship.models import AmendedLine, Amendment, Verb
from process_apis.order_to_ship.rework_rules import Intervention

pytestmark = pytest.mark.integration
ELSEWHERE = SHIP_TO.__class__(name="A", street="Harbour 2", city="C", postal_code="2", country="US")


def wanted(*lines, action="c-1", version=None, **delivery):
    asked = tuple(AmendedLine(line=line[0], amount=Decimal(line[1]), uom=(*line, None)[2]) for line in lines)
    amendment = Amendment(lines=asked, **delivery)
    return Intervention(action=action, verb=Verb.AMEND, reason="buyer", version=version, amendment=amendment)


def amend(world, order, *lines, partner="P1", **more):
    return world.process.interventions.amend(CALLER, order, wanted(*lines, **more), partner=partner)


async def test_an_order_nobody_works_on_yet_is_changed_at_once(world):
    order = await placed(world, "A-1", ("SKU-1", "6"), ("SKU-2", "5"), handed=False)
    after = await amend(world, order, (1, "4"), (2, "8"), requested_date=date(2031, 1, 2))
    assert (after.rework, counters(after)) == (None, [(4, 0, 0, 2), (8, 0, 0, 0)])
    assert (await world.available("itm_1"), await world.available("itm_2")) == (96, 92)
    read = await world.process.get_order("acme", order)
    assert (read.requested_date, read.lines[1].asked_amount) == (date(2031, 1, 2), 8)
    assert read.total == sum(line.ordered * line.unit_price for line in read.lines)
    await world.drain(order)
    assert await lines_of(world, order) == {order: '[[1, "itm_1", "4", "WH-N"], [2, "itm_2", "8", "WH-N"]]'}


async def test_what_is_handed_over_is_taken_back_and_handed_over_anew_as_changed(world):
    order = await placed(world, "A-2", ("SKU-1", "6"), ("SKU-2", "5"))
    asked = await amend(world, order, (1, "9"), ship_to=ELSEWHERE)
    assert (asked.rework.releases, counters(asked)) == ((1,), [(6, 0, 0, 0), (5, 0, 0, 0)])
    after = await world.drain(order)
    assert (after.state, after.ship_to, counters(after)) == ("released", ELSEWHERE, [(9, 0, 0, 0), (5, 0, 0, 0)])
    assert [sale["cancelled"] for sale in await world.sales(order)] == [True]
    whole = '[[1, "itm_1", "9", "WH-N"], [2, "itm_2", "5", "WH-N"]]'
    assert await lines_of(world, f"{order}.2") == {f"{order}.2": whole}
    assert (await world.available("itm_1"), await world.available("itm_2")) == (91, 95)
    assert "changed" in await world.events(order)


async def test_a_larger_order_is_looked_at_anew_by_its_customers_terms(world):
    order = await placed(world, "A-3", ("SKU-1", "2"))
    await world.store.execute("update fake.customer set hold = true")
    await amend(world, order, (1, "5"))
    after = await world.drain(order)
    assert (after.state, after.hold_reason, after.approved_at) == ("held", "customer_hold", None)
    assert await world.sales(f"{order}.2") == []
    await world.process.release_hold(CALLER, order, reason="paid")
    assert (await world.drain(order)).state == "released"
    assert await lines_of(world, f"{order}.2") == {f"{order}.2": '[[1, "itm_1", "5", "WH-N"]]'}


async def test_a_smaller_order_is_not(world):
    order = await placed(world, "A-4", ("SKU-1", "5"))
    await world.store.execute("update fake.customer set hold = true")
    await amend(world, order, (1, "2"))
    after = await world.drain(order)
    assert (after.state, counters(after)) == ("released", [(2, 0, 0, 3)])


async def test_more_than_there_is_is_refused_at_once_or_told_when_the_work_is_back(world):
    free = await placed(world, "A-5", ("SKU-1", "60"), handed=False)
    with pytest.raises(Conflict) as refused:
        await amend(world, free, (1, "600"))
    assert refused.value.code == "stock.insufficient"
    assert (await world.available("itm_1"), counters(await world.process.get_order("acme", free))) == (
        40, [(60, 0, 0, 0)],
    )  # fmt: skip
    await world.drain(free)
    await amend(world, free, (1, "600"), ship_to=ELSEWHERE)
    after = await world.drain(free)
    [found] = after.exceptions
    assert (found.code, found.blocking, after.state, after.ship_to) == (
        "stock.insufficient",
        False,
        "released",
        SHIP_TO,
    )
    assert await lines_of(world, f"{free}.2") == {f"{free}.2": '[[1, "itm_1", "60", "WH-N"]]'}
    assert await world.available("itm_1") == 40
    assert "change_refused" in await world.events(free)


async def test_once_picking_began_nothing_is_changed_any_more(world):
    order = await placed(world, "A-6", ("SKU-1", "6"))
    await world.store.execute("update fake.work set state = 'picking'")
    await amend(world, order, (1, "2"))
    after = await world.drain(order)
    assert (after.rework, counters(after)) == (None, [(6, 0, 0, 0)])
    assert await world.available("itm_1") == 94
    await world.ship(order, 1, 2)
    with pytest.raises(Conflict) as refused:
        await amend(world, order, (1, "2"), action="c-2")
    assert refused.value.code == "order.picking_began"


async def test_an_order_of_which_nothing_is_wanted_is_cancelled(world):
    order = await placed(world, "A-7", ("SKU-1", "6"), ("SKU-2", "5"))
    await amend(world, order, (1, "0"), (2, "0"))
    after = await world.drain(order)
    assert (after.state, await world.available("itm_1"), await world.available("itm_2")) == ("cancelled", 100, 100)


async def test_a_change_happens_once_for_the_buyer_who_saw_the_order_as_it_is(world):
    order = await placed(world, "A-8", ("SKU-1", "6"), handed=False)
    for partner, code in (("P2", NotFound), ("", NotFound)):
        with pytest.raises(code):
            await amend(world, order, (1, "7"), partner=partner)
    with pytest.raises(Conflict) as stale:
        await amend(world, order, (1, "7"), version=9)
    assert stale.value.code == "precondition.failed"
    for _ in range(2):
        assert counters(await amend(world, order, (1, "7"), version=1)) == [(7, 0, 0, 0)]
    assert await world.available("itm_1") == 93
    with pytest.raises(Conflict) as reused:
        await amend(world, order, (1, "8"))
    assert reused.value.code == "order.action_reused"
    process = world.process.interventions
    assert await process.is_amended("acme", order, wanted((1, "7")), partner="P1")
    assert not await process.is_amended("acme", order, wanted((1, "8")), partner="P1")
    assert not await process.is_amended("acme", order, wanted((1, "7")), partner="P2")
    same = await amend(world, order, (1, "7"), action="c-2")
    assert (same.version, counters(same)) == (2, [(7, 0, 0, 0)]), "it is so already"


async def test_the_order_sent_again_stays_the_order_that_was_changed(world):
    order = await placed(world, "A-9", ("SKU-1", "6"), handed=False)
    await amend(world, order, (1, "7"))
    again = await world.process.place_order(ask("A-9", ("SKU-1", "6")))
    assert (again.created, again.order.order_id, counters(again.order)) == (False, order, [(7, 0, 0, 0)])
    with pytest.raises(Conflict) as refused:
        await world.process.place_order(ask("A-9", ("SKU-1", "7")))
    assert refused.value.code == "order.number_reused", "other content is a change, and is asked for as one"


async def test_lines_that_make_no_sense_are_named(world):
    order = await placed(world, "A-10", ("SKU-1", "6"), handed=False)
    with pytest.raises(Conflict) as refused:
        await amend(world, order, (7, "1"), (1, "1", "XX"), (1, "2"))
    assert refused.value.code == "order.lines_changed"
    assert [each.pointer for each in refused.value.problems] == ["/lines/0/line", "/lines/1/uom", "/lines/2/line"]


@whatever_fails
async def test_a_change_is_made_once_whatever_fails_on_the_way(world, call, fault):
    order = await placed(world, f"AF-{call}-{fault}", ("SKU-1", "6"))
    await world.fault(call, fault)
    await amend(world, order, (1, "8"))
    after = await world.drain(order)
    assert (after.state, counters(after)) == ("released", [(8, 0, 0, 0)])
    assert await world.available("itm_1") == 92
    assert [await standing(world, each) for each in (order, f"{order}.2")] == [(0, 0), (1, 1)]
