from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from decimal import Decimal

import asyncpg
import pytest

from gateway.canonical.stock import ClaimLine, ClaimRequest
from gateway.kernel.errors import Conflict
from process_apis.availability.models import ChannelTerms, LocationTerms

pytestmark = pytest.mark.integration

WEEK = timedelta(days=7)
NORTH = "loc_n"


async def promise(world, order, amount, *, place=None, sku="A", soft=False, allocate=True, **more):
    line = ClaimLine(line=1, item=world.id[sku], amount=Decimal(amount), location=place)
    request = ClaimRequest(
        action=f"claim-{order}", order=order, channel="web", lines=[line], correlation_id=order,
        expires_in=WEEK if soft else None, **more,
    )  # fmt: skip
    await world.availability.claims.reserve("acme", request)
    if allocate and not soft:
        await world.allocate(order)


async def count(world, amount, sequence, sku="A"):
    await world.record(world.movement(f"count-{sequence}", sequence, "cycle_counted", amount, sku=sku))


async def relieve(world):
    return await world.availability.shortages.relieve()


async def standing(world):
    rows = await world.store.fetch(
        "select order_id, location, amount - consumed - released as open, short, state from availability.claim"
        " where amount > consumed + released order by order_id, location, open"
    )
    return [(row["order_id"], row["location"], int(row["open"]), int(row["short"])) for row in rows]


async def told(world, kind):
    return [json.loads(row["data"]) for row in await world.events(kind)]


async def test_a_count_below_what_is_promised_gives_way_to_the_line(world):
    await world.stock("A", 30)
    await promise(world, "ord_a", 10, priority=1)
    await promise(world, "ord_b", 5, need_by=date(2026, 12, 1))
    await promise(world, "ord_c", 5, need_by=date(2026, 12, 24))
    await promise(world, "cart_1", 4, soft=True)
    await promise(world, "cart_2", 4, soft=True)
    await count(world, 13, 50)
    answer = await world.availability.availability("acme", channel="web", items=[world.id["A"]])
    assert answer[0].available_to_sell == 0
    assert await relieve(world) == 1
    # 28 were promised and 13 are there: both carts fall, then five of the latest needed, then two of the next.
    assert await standing(world) == [
        ("ord_a", NORTH, 10, 0), ("ord_b", NORTH, 5, 2), ("ord_c", NORTH, 5, 5),
    ]  # fmt: skip
    ended = [(each["order"], each["reason"]) for each in await told(world, "claim.ended")]
    assert sorted(ended) == [("cart_1", "short"), ("cart_2", "short")]
    lacks = {each["order"]: int(each["claims"][0]["short"]) for each in await told(world, "claim.short")}
    assert lacks == {"ord_b": 2, "ord_c": 5}
    assert await relieve(world) == 0, "what was decided stands until something changes"
    audited = await world.store.fetch("select action from store.audit where actor = 'crossdock'")
    assert [row["action"] for row in audited] == ["availability.shortage_decided"]
    assert await world.broken_invariants() == []


async def test_what_another_location_has_is_served_from_there_and_the_rest_waits(world):
    await world.stock("A", 10)
    await promise(world, "ord_1", 6, need_by=date(2026, 12, 1))
    await promise(world, "ord_2", 4)
    await world.stock("A", 5, source="wms_s")
    await world.availability.set_rule(
        "acme", "web", ChannelTerms(locations=(LocationTerms(location="loc_s", safety_stock=Decimal(2)),)), actor="t"
    )
    await count(world, 2, 50)
    await relieve(world)
    # Eight lack: the later order's four, and four of the earlier one, which goes first to what others have.
    assert await standing(world) == [
        ("ord_1", NORTH, 3, 1), ("ord_1", "loc_s", 3, 0), ("ord_2", NORTH, 4, 4),
    ]  # fmt: skip
    assert (await world.figures(location="loc_s"))["allocated"] == 3
    assert (await world.figures())["short"] == 5
    await world.record(world.movement("more", 60, "stock_adjusted", 9, source="wms_s"))
    await relieve(world)
    assert await standing(world) == [
        ("ord_1", NORTH, 2, 0), ("ord_1", "loc_s", 1, 0), ("ord_1", "loc_s", 3, 0), ("ord_2", "loc_s", 4, 0),
    ]  # fmt: skip
    assert (await world.figures())["short"] == 0
    assert {each["order"] for each in await told(world, "claim.covered")} == {"ord_1", "ord_2"}
    assert await world.store.fetchval("select count(*) from availability.shortage") == 0
    assert await world.broken_invariants() == []


async def test_what_was_answered_for_a_claim_stays_the_answer_when_it_moves(world):
    await world.stock("A", 10)
    await promise(world, "ord_1", 6, allocate=False)
    await world.stock("A", 2, source="wms_s")
    line = ClaimLine(line=1, item=world.id["A"], amount=Decimal(6))
    asked = ClaimRequest(action="claim-ord_1", order="ord_1", channel="web", lines=[line], correlation_id="ord_1")
    before = await world.availability.claims.reserve("acme", asked)
    await count(world, 4, 50)
    await relieve(world)
    assert await standing(world) == [("ord_1", NORTH, 4, 0), ("ord_1", "loc_s", 2, 0)]
    assert list(await world.availability.claims.reserve("acme", asked)) == list(before)
    held = await world.allocate("ord_1")
    assert sorted((part.location, int(part.amount)) for part in held) == [(NORTH, 4), ("loc_s", 2)]
    assert await world.broken_invariants() == []


async def test_what_is_handed_over_picked_or_pinned_is_not_moved(world):
    await world.stock("A", 30)
    for order, place in (("ord_handed", None), ("ord_picked", None), ("ord_pinned", NORTH)):
        await promise(world, order, 5, place=place)
    await world.availability.claims.allocate("acme", action="hand", order="ord_handed", correlation_id="c", handed=True)
    await world.record(world.movement("p", 40, "pick_confirmed", 1, order="ord_picked"))
    await world.stock("A", 50, source="wms_s")
    await count(world, 0, 50)
    await relieve(world)
    assert await standing(world) == [
        ("ord_handed", NORTH, 5, 5), ("ord_picked", NORTH, 4, 4), ("ord_pinned", NORTH, 5, 5),
    ]  # fmt: skip
    [row] = await world.availability.shortages.short_lines("acme", after=("", "", ""), limit=10)
    assert (row["short"], row["marked"], row["handed"]) == (14, 14, 9)
    for order in ("ord_handed", "ord_picked"):
        await world.allocate(order, action=f"again-{order}")
    with pytest.raises(Conflict) as short:
        await world.allocate("ord_pinned", action="again")
    assert short.value.code == "claim.short"
    assert short.value.context["lines"] == [{"line": 1, "item": world.id["A"], "location": NORTH, "amount": "5"}]
    assert await world.broken_invariants() == []


async def test_stock_that_is_found_again_covers_what_was_short_in_turn(world):
    await world.stock("A", 10)
    await promise(world, "ord_1", 5, need_by=date(2026, 12, 1))
    await promise(world, "ord_2", 5)
    await count(world, 0, 50)
    await relieve(world)
    assert await standing(world) == [("ord_1", NORTH, 5, 5), ("ord_2", NORTH, 5, 5)]
    await count(world, 7, 51)
    await relieve(world)
    assert await standing(world) == [("ord_1", NORTH, 5, 0), ("ord_2", NORTH, 5, 3)]
    await world.release("ord_1")
    await relieve(world)
    assert await standing(world) == [("ord_2", NORTH, 5, 0)]
    assert [each["order"] for each in await told(world, "claim.covered")] == ["ord_1", "ord_2"]
    assert await world.broken_invariants() == []


async def test_a_mark_goes_with_the_claim_that_is_handed_over_to_another_order(world):
    await world.stock("A", 5)
    await promise(world, "ord_1", 5)
    await count(world, 2, 50)
    await relieve(world)
    await world.availability.claims.transfer("acme", action="t", order="ord_1", to="ord_2", correlation_id="c")
    assert await standing(world) == [("ord_2", NORTH, 5, 3)]
    assert await world.broken_invariants() == []


async def test_many_processes_decide_once_beside_buyers_and_counts(world):
    await world.stock("A", 40)
    await world.stock("A", 10, source="wms_s")
    for number in range(8):
        await promise(world, f"ord_{number}", 4)

    async def buyer(number):
        try:
            await promise(world, f"late_{number}", 1, soft=number % 2 == 0)
        except Conflict as error:
            assert error.code == "stock.insufficient"  # noqa: PT017 - any other is a failure

    await asyncio.gather(
        count(world, 20, 50),
        *(relieve(world) for _ in range(4)),
        *(buyer(number) for number in range(8)),
        count(world, 25, 51),
        *(relieve(world) for _ in range(4)),
    )
    while await relieve(world):
        pass
    line = await world.figures()
    assert line["short"] == sum(short for _, place, _, short in await standing(world) if place == NORTH)
    other = await world.figures(location="loc_s")
    assert line["short"] == 0 or other["allocated"] + other["reserved"] == 10
    assert await world.broken_invariants() == []


async def test_a_process_that_dies_before_it_commits_leaves_the_line_due(world, monkeypatch):
    await world.stock("A", 10)
    await promise(world, "ord_1", 6)
    await promise(world, "cart", 3, soft=True)
    await world.stock("A", 2, source="wms_s")
    await count(world, 2, 50)
    before = await standing(world)

    async def dies(*_args, **_more):
        raise asyncpg.ConnectionDoesNotExistError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("process_apis.availability.relieving.log.append", dies)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the store makes of it
            await relieve(world)
    assert await standing(world) == before
    assert await relieve(world) == 1
    assert await standing(world) == [("ord_1", NORTH, 4, 2), ("ord_1", "loc_s", 2, 0)]
    assert await world.broken_invariants() == []


async def test_demand_of_other_systems_makes_promises_short_too(world):
    from gateway.canonical.stock import DemandLine  # noqa: PLC0415

    await world.stock("A", 10)
    await promise(world, "ord_1", 8)
    line = DemandLine(source_reference="S1", source_item="X-A", source_location="WH-N", amount=Decimal(5), uom="EA")
    await world.availability.record_demand("acme", "erp", [line])
    await relieve(world)
    assert await standing(world) == [("ord_1", NORTH, 8, 3)]
    await world.availability.record_demand("acme", "erp", [])
    await relieve(world)
    assert await standing(world) == [("ord_1", NORTH, 8, 0)]
    assert await world.broken_invariants() == []
