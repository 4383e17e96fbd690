"""Promises on supply: several processes after one purchase order, and deaths around everything that happens to it."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HOUR = 3600


def life_of_supply(turn):
    """Ordered, promised, received in part, moved, cancelled, shipped: 12 commits, and nothing is left of it."""

    def order(number):
        return f"ord_{turn}_{number}"

    def named(verb, number):
        return {"do": verb, "action": f"{verb}-{turn}-{number}", "order": order(number)}

    def moved(event, kind, amount, **more):
        return {"do": "move", "event": f"{event}-{turn}", "kind": kind, "amount": amount, **more}

    document = f"PO-{turn}"
    return [
        {"do": "supply", "document": document, "ordered": 10},
        {**named("ahead", 1), "amount": 4},
        {**named("ahead", 2), "amount": 4, "days": 9, "expires_in": HOUR},
        {**named("ahead", 3), "amount": 2, "expires_in": 0},
        {"do": "expire"},
        {**named("ahead", 4), "amount": 1_000_000},
        moved("in", "receipt_posted", 6, document=document, to_bucket="sellable"),
        {"do": "supply", "document": document, "ordered": 10, "sequence": 2, "days": 20, "cancelled": "3"},
        {**named("transfer", 2), "to": order(5)},
        moved("ship", "shipment_confirmed", 4, order=order(1)),
        {**named("cancel", 5)},
        {"do": "supply", "document": document, "ordered": 10, "sequence": 3, "cancelled": "10"},
        moved("away", "stock_adjusted", -2),
    ]


async def books_of(world, turn):
    rows = await world.store.fetch(
        """select split_part(order_id, '_', 3) as order_id, amount::text, consumed::text, released::text, state
           from availability.claim where order_id like $1 order by 1, 2, 3, 4""",
        f"ord_{turn}\\_%",
    )
    return [tuple(row) for row in rows]


def told(answers):
    """What claims were answered, without their ids; events are told as recorded or as known already."""
    return {
        number: sorted(part[1:] for part in answer) if isinstance(answer, list) and answer else answer
        for number, answer in answers.items()
        if answer not in ("recorded", "duplicate", "superseded")
    }


async def killed(world, processes, points):
    [whole] = await processes.side_by_side({"commands": life_of_supply("whole")})
    assert not [answer for answer in whole["answers"].values() if str(answer).startswith("failed")], whole
    books = await books_of(world, "whole")
    for turn, point in enumerate(points):
        commands = life_of_supply(turn)
        [first] = await processes.side_by_side({"commands": commands, "die": point})
        [second] = await processes.side_by_side({"commands": commands})
        assert first["killed"], point
        again = {number: second["answers"][number] for number in told(first["answers"])}
        assert told(again) == told(first["answers"]), f"{point}: what was promised changed"
        assert told(second["answers"]) == told(whole["answers"]), point
        assert await books_of(world, turn) == books, point
    assert await processes.wrong() == {}
    assert (await world.figures())["waiting"] == 0


async def test_one_purchase_order_is_promised_once_over_several_processes(world, processes):
    await world.order_supply("PO-1", 10)
    buyers = [
        [{"do": "ahead", "action": f"a-{name}-{n}", "order": f"o-{name}-{n}", "amount": 1} for n in range(8)]
        for name in "abc"
    ]
    results = await processes.side_by_side(*({"commands": some, "width": 4} for some in buyers))
    answers = [answer for result in results for answer in result["answers"].values()]
    assert answers.count("stock.insufficient") == 14
    assert len([answer for answer in answers if isinstance(answer, list)]) == 10
    assert (await world.figures())["waiting"] == 10
    assert await processes.wrong() == {}


async def test_goods_that_come_in_go_to_who_waits_and_to_no_buyer_beside(world, processes):
    await world.order_supply("PO-1", 12)
    for number in range(6):
        await world.claim_ahead(f"waits-{number}", 2)
    moves = [
        {"do": "move", "event": f"in-{n}", "kind": "receipt_posted", "amount": 3, "document": "PO-1",
         "to_bucket": "sellable", "sequence": 10 + n}
        for n in range(4)
    ]  # fmt: skip
    buyers = [
        [{"do": "reserve", "action": f"b-{name}-{n}", "order": f"b-{name}-{n}", "lines": [["A", 1]]} for n in range(12)]
        for name in "ab"
    ]
    ends = [{"do": "release", "action": "r", "order": "waits-5"}, {"do": "cancel", "action": "c", "order": "waits-4"}]
    plans = [{"commands": moves, "deaths": [["during", 2], ["before", 1]]}]
    plans += [{"commands": some, "width": 3} for some in [*buyers, ends]]
    await processes.until_done(*plans)
    assert await processes.wrong() == {}
    rows = await world.store.fetch(
        "select order_id, sum(amount - consumed - released) as open from availability.claim"
        " where state = 'allocated' group by 1 order by 1"
    )
    assert [(row["order_id"], row["open"]) for row in rows] == [(f"waits-{number}", 2) for number in range(4)]


@pytest.mark.long
async def test_a_process_killed_while_supply_lives_loses_and_doubles_nothing(world, processes):
    await killed(world, processes, [["before", 7], ["during", 2], ["after", 8]])


@pytest.mark.long
async def test_a_process_killed_at_every_commit_of_supply_loses_and_doubles_nothing(world, processes):
    [result] = await processes.side_by_side({"commands": life_of_supply("count")})
    points = [[when, nth] for nth in range(1, len(result["seams"]) + 1) for when in ("before", "during", "after")]
    await killed(world, processes, points)
