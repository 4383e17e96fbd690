from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.canonical.stock import ClaimLine, ClaimRequest, DemandLine
from gateway.kernel.errors import Conflict, Rejected
from gateway.store.together import Together
from process_apis.availability.models import ChannelTerms, LocationTerms

pytestmark = pytest.mark.integration


def placed(claims):
    return [(claim.line, claim.location, int(claim.amount)) for claim in claims]


async def test_a_claim_takes_all_lines_from_one_location_where_one_has_them(world):
    await world.stock("A", 10)
    await world.stock("B", 1)
    await world.stock("A", 5, "wms_s")
    await world.stock("B", 5, "wms_s")
    assert placed(await world.claim("ord_1", ("A", 4), ("B", 2))) == [(1, "loc_s", 4), (2, "loc_s", 2)]
    assert placed(await world.claim("ord_2", ("A", 4))) == [(1, "loc_n", 4)]
    assert placed(await world.claim("ord_3", ("A", 7))) == [(1, "loc_n", 6), (1, "loc_s", 1)]
    assert await world.broken_invariants() == []


async def test_a_claim_that_does_not_fit_promises_nothing_and_names_the_lines(world):
    await world.stock("A", 10)
    await world.stock("B", 1)
    with pytest.raises(Conflict) as refused:
        await world.claim("ord_1", ("A", 4), ("B", 2))
    assert refused.value.code == "stock.insufficient"
    assert [line["line"] for line in refused.value.context["lines"]] == [2]
    assert (await world.figures("A"))["reserved"] == 0
    assert await world.events("claim.made") == []
    assert placed(await world.claim("ord_1", ("A", 4), ("B", 1))) == [(1, "loc_n", 4), (2, "loc_n", 1)]


async def test_orders_claimed_together_are_decided_one_after_the_other(world):
    await world.stock("A", 10)
    await world.stock("B", 5)
    terms = ChannelTerms(share=Decimal("0.5"))
    await world.availability.set_rule("acme", "web", terms, actor="test")
    earlier = await world.claim("ord_0", ("A", 1))

    def asks(order, *lines, channel="web", action=None):
        return ClaimRequest(
            action=action or f"{order}:claim", order=order, channel=channel, correlation_id=order,
            lines=[ClaimLine(line=n, item=world.id[sku], amount=Decimal(a)) for n, (sku, a) in enumerate(lines, 1)],
        )  # fmt: skip

    requests = [
        asks("ord_1", ("A", 3), ("B", 2)),
        asks("ord_2", ("A", 2)),  # the channel's share of A is 5, and 4 of it are taken
        asks("ord_3", ("A", 6), ("B", 3), channel="other"),
        asks("ord_4", ("B", 1), channel="other"),
        asks("ord_0", ("A", 1), action=await world.store.fetchval("select action from availability.action")),
    ]
    writes = Together()
    async with world.store.transaction() as connection:
        first, refused, other, late, again = await world.availability.claim_all(
            connection, tenant="acme", requests=requests, writes=writes
        )
        await writes.run(connection)
    assert placed(first) == [(1, "loc_n", 3), (2, "loc_n", 2)]
    assert placed(other) == [(1, "loc_n", 6), (2, "loc_n", 3)]
    assert [answer.code for answer in (refused, late)] == ["stock.insufficient"] * 2
    assert list(again) == list(earlier)
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [10, 5]
    assert await world.broken_invariants() == []


async def test_two_lines_of_one_item_are_counted_together(world):
    await world.stock("A", 10)
    with pytest.raises(Conflict):
        await world.claim("ord_1", ("A", 6), ("A", 5))
    await world.claim("ord_2", ("A", 6), ("A", 4))
    assert (await world.figures())["reserved"] == 10


async def test_a_line_may_name_its_location(world):
    await world.stock("A", 10)
    await world.stock("A", 10, "wms_s")
    assert placed(await world.claim("ord_1", ("A", 4, "loc_s"))) == [(1, "loc_s", 4)]
    with pytest.raises(Conflict):
        await world.claim("ord_2", ("A", 7, "loc_s"))


async def test_impossible_lines_are_rejected(world):
    with pytest.raises(Rejected):
        await world.claim("ord_1", ("A", 0))
    with pytest.raises(Conflict):
        await world.claim("ord_1", ("A", 1))


async def test_each_verb_answers_a_repeated_action_as_it_did_first(world):
    await world.stock("A", 10)
    first = await asyncio.gather(*(world.claim("ord_1", ("A", 4)) for _ in range(10)))
    assert all(answer == first[0] for answer in first)
    allocated = await asyncio.gather(*(world.allocate("ord_1") for _ in range(10)))
    assert all(answer == allocated[0] and answer[0].state == "allocated" for answer in allocated)
    line = await world.figures()
    assert (line["reserved"], line["allocated"]) == (0, 4)
    released = await asyncio.gather(*(world.release("ord_1") for _ in range(10)))
    assert all(answer == released[0] and answer[0].amount == 4 for answer in released)
    again = await world.claim("ord_1", ("A", 4))
    assert again == first[0]
    line = await world.figures()
    assert (line["reserved"], line["allocated"]) == (0, 0)
    assert len(await world.events("claim.ended")) == 1
    assert await world.broken_invariants() == []


async def test_an_action_id_used_for_something_else_is_a_conflict(world):
    await world.stock("A", 10)
    await world.claim("ord_1", ("A", 4), action="act")
    for attempt in (world.claim("ord_1", ("A", 5), action="act"), world.claim("ord_2", ("A", 4), action="act")):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.code == "claim.action_reused"
    assert (await world.figures())["reserved"] == 4


async def test_releasing_one_line_leaves_the_others(world):
    await world.stock("A", 10)
    await world.stock("B", 10)
    await world.claim("ord_1", ("A", 4), ("B", 3))
    await world.release("ord_1", [2])
    assert [(await world.figures(sku))["reserved"] for sku in "AB"] == [4, 0]
    assert await world.broken_invariants() == []


async def test_picks_consume_unpicks_restore_and_shipping_ends_the_claim(world):
    await world.stock("A", 10)
    await world.claim("ord_1", ("A", 4))
    await world.allocate("ord_1")
    await world.record(world.movement("p", 2, "pick_confirmed", 3, order="ord_1"))
    line = await world.figures()
    assert (line["sellable"], line["allocated"]) == (7, 1)
    await world.record(world.movement("u", 3, "unpicked", 2, order="ord_1"))
    line = await world.figures()
    assert (line["sellable"], line["allocated"]) == (9, 3)
    await world.record(world.movement("s", 4, "shipment_confirmed", 4, order="ord_1"))
    line = await world.figures()
    assert (line["sellable"], line["allocated"], line["on_hand"]) == (6, 0, 6)
    assert await world.store.fetchval("select state from availability.claim") == "fulfilled"
    assert await world.broken_invariants() == []


async def test_a_pick_at_or_before_the_snapshot_consumes_the_allocation_all_the_same_once(world):
    await world.stock("A", 10)
    await world.claim("ord_1", ("A", 4))
    await world.record(world.snapshot("s1", 10, {"A": 6, "A.picked": 4}, full=True))
    assert (await world.figures())["short"] == 0
    late = world.movement("p", 9, "pick_confirmed", 4, order="ord_1")
    await asyncio.gather(*(world.record(late) for _ in range(5)))
    line = await world.figures()
    assert (line["sellable"], line["reserved"], line["on_hand"]) == (6, 0, 10)
    assert await world.broken_invariants() == []


async def test_handling_that_came_before_the_claim_waits_for_it(world):
    await world.stock("A", 10)
    await world.record(world.movement("p", 2, "pick_confirmed", 3, order="ord_1"))
    await world.claim("ord_1", ("A", 4))
    line = await world.figures()
    assert (line["sellable"], line["reserved"]) == (7, 1)
    assert await world.broken_invariants() == []


async def test_a_shipment_from_elsewhere_consumes_the_line_wherever_it_was_promised(world):
    await world.stock("A", 10)
    await world.stock("A", 10, "wms_s")
    await world.claim("ord_1", ("A", 4, "loc_n"))
    await world.record(world.movement("s", 2, "shipment_confirmed", 4, order="ord_1", source="wms_s"))
    assert (await world.figures())["reserved"] == 0
    assert (await world.figures("A", "loc_s"))["sellable"] == 6
    assert await world.broken_invariants() == []


async def test_a_release_and_a_late_pick_commute(world):
    for order, late in (("ord_1", True), ("ord_2", False)):
        await world.stock("A", 10, event_id=f"opening-{order}")
        await world.claim(order, ("A", 4))
        pick = world.movement(f"p-{order}", 5, "pick_confirmed", 3, order=order)
        if late:
            await world.release(order)
        await world.record(pick)
        if not late:
            await world.release(order)
        await world.record(world.movement(f"u-{order}", 6, "unpicked", 3, order=order))
    rows = await world.store.fetch("select consumed, released, state from availability.claim order by order_id")
    assert [tuple(row) for row in rows] == [(0, 4, "released")] * 2
    assert await world.broken_invariants() == []


async def test_a_count_below_what_is_promised_leaves_claims_and_publishes_zero(world):
    await world.stock("A", 10)
    await world.claim("ord_1", ("A", 8))
    await world.record(world.movement("c", 5, "cycle_counted", 5))
    line = await world.figures()
    assert (line["sellable"], line["reserved"], line["short"]) == (5, 8, 3)
    answer = await world.availability.availability("acme", channel="web", items=[world.id["A"]])
    assert answer[0].available_to_sell == 0
    with pytest.raises(Conflict):
        await world.claim("ord_2", ("A", 1))
    await world.release("ord_1")
    assert (await world.figures())["short"] == 0
    assert await world.broken_invariants() == []


async def test_expired_reservations_fall_in_a_transaction_and_allocations_do_not(world):
    await world.stock("A", 10)
    soon = world.clock.now() + timedelta(minutes=5)
    await world.claim("ord_1", ("A", 4), expires_at=soon)
    await world.claim("ord_2", ("A", 3), expires_at=soon)
    await world.allocate("ord_2")
    world.clock.ahead = timedelta(minutes=6)
    assert await world.availability.expire() == 0, "the record's clock decides, not ours"
    await world.store.execute("update availability.claim set expires_at = now() where expires_at is not null")
    assert sum(await asyncio.gather(*(world.availability.expire() for _ in range(3)))) >= 1
    line = await world.figures()
    assert (line["reserved"], line["allocated"]) == (0, 3)
    told = [json.loads(row["data"])["reason"] for row in await world.events("claim.ended")]
    assert told == ["expired"]
    assert await world.broken_invariants() == []


async def test_rules_of_the_channel_hold_under_the_claim(world):
    await world.stock("A", 100)
    terms = ChannelTerms(
        locations=(LocationTerms(location="loc_n", safety_stock=Decimal(10)),), buffer=Decimal(5), share=Decimal("0.5")
    )
    assert await world.availability.set_rule("acme", "web", terms, actor="test") == 1
    item = [world.id["A"]]
    assert (await world.availability.availability("acme", channel="web", items=item))[0].available_to_sell == 45
    await world.claim("ord_1", ("A", 40))
    with pytest.raises(Conflict):
        await world.claim("ord_2", ("A", 6))
    await world.claim("ord_3", ("A", 5))
    with pytest.raises(Conflict):
        await world.claim("ord_4", ("A", 1))
    await world.claim("ord_5", ("A", 45), channel="other")
    assert (await world.availability.availability("acme", channel="web", items=item))[0].available_to_sell == 0
    assert await world.broken_invariants() == []


async def test_a_rule_takes_effect_on_its_date(world):
    await world.stock("A", 100)
    tomorrow = world.clock.now() + timedelta(days=1)
    await world.availability.set_rule(
        "acme", "web", ChannelTerms(buffer=Decimal(100)), actor="t", effective_from=tomorrow
    )
    await world.claim("ord_1", ("A", 1))
    world.clock.ahead = timedelta(days=2)
    with pytest.raises(Conflict):
        await world.claim("ord_2", ("A", 1))


async def test_demand_of_other_systems_lowers_what_may_be_promised(world):
    await world.stock("A", 10)

    def line(reference, amount, uom="EA"):
        return DemandLine(
            source_reference=reference, source_item="X-A", source_location="WH-N", amount=Decimal(amount), uom=uom
        )

    receipt = await world.availability.record_demand("acme", "erp", [line("S1", 3), line("S2", 4), line("S3", 1, "??")])
    assert [other.cause for other in receipt.others] == ["stock.unit_unknown"]
    assert (await world.figures())["external"] == 7
    with pytest.raises(Conflict):
        await world.claim("ord_1", ("A", 4))
    await world.availability.record_demand("acme", "erp", [line("S2", 4)])
    await world.claim("ord_1", ("A", 6))
    await world.availability.record_demand("acme", "erp", [line("S2", 9)])
    assert (await world.figures())["short"] == 5
    assert await world.broken_invariants() == []


async def test_cancel_and_restore_again_and_again_leaves_nothing_behind(world):
    await world.stock("A", 20)

    async def again(buyer):
        for turn in range(12):
            order = f"ord_{buyer}_{turn}"
            await world.claim(order, ("A", 2))
            if turn % 3:
                await world.allocate(order)
            await world.release(order)

    await asyncio.gather(*(again(buyer) for buyer in range(10)))
    line = await world.figures()
    assert (line["reserved"], line["allocated"], line["sellable"]) == (0, 0, 20)
    assert await world.broken_invariants() == []


async def test_an_order_that_may_be_filled_in_part_gets_what_there_is(world):
    await world.stock("A", 5)
    await world.stock("B", 9)

    def asked(order, fill, *amounts):
        lines = [
            ClaimLine(line=number, item=world.id[sku], amount=Decimal(amount))
            for number, (sku, amount) in enumerate(zip("AB", amounts, strict=True), start=1)
        ]
        return ClaimRequest(action=f"a-{order}", order=order, channel="web", lines=lines, correlation_id="c", fill=fill)

    async def reserve(*what):
        made = await world.availability.claims.reserve("acme", asked(*what))
        return [(claim.line, int(claim.amount)) for claim in made]

    with pytest.raises(Conflict):
        await reserve("ord_1", "complete", 6, 4)
    assert await reserve("ord_2", "line_complete", 6, 4) == [(2, 4)]
    assert await reserve("ord_3", "partial", 6, 9) == [(1, 5), (2, 5)]
    assert await reserve("ord_3", "partial", 6, 9) == [(1, 5), (2, 5)], "once per action, whatever there is by now"
    with pytest.raises(Conflict) as nothing:
        await reserve("ord_4", "partial", 1, 1)
    assert nothing.value.code == "stock.insufficient"
    assert await world.broken_invariants() == []
