"""Processes killed around every commit: whoever comes after delivers each command again, and the books are right."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

HOUR = 3600


def life_of_orders(turn):
    """Every verb and every kind of end; 16 commits, each order and event named after `turn`."""

    def order(number):
        return f"ord_{turn}_{number}"

    def named(verb, number):
        return {"do": verb, "action": f"{verb}-{turn}-{number}", "order": order(number)}

    basket = [["A", 3], ["B", 2]]
    return [
        {**named("reserve", 1), "lines": basket},
        {**named("reserve", 2), "lines": basket, "expires_in": HOUR},
        {**named("extend", 2), "by": 2 * HOUR},
        named("allocate", 1),
        {"do": "move", "event": f"pick-{turn}", "kind": "pick_confirmed", "amount": 2, "order": order(1)},
        {"do": "move", "event": f"ship-{turn}", "kind": "shipment_confirmed", "amount": 3, "order": order(1)},
        {**named("release", 1), "lines": [2]},
        named("cancel", 3),
        {**named("reserve", 3), "lines": basket},
        {**named("reserve", 4), "lines": [["A", 1], ["B", 1]], "expires_in": 0},
        {"do": "expire"},
        {**named("transfer", 2), "to": order(5)},
        named("allocate", 5),
        {"do": "move", "event": f"early-{turn}", "kind": "shipment_confirmed", "amount": 1, "order": order(6)},
        {**named("reserve", 6), "lines": [["A", 2], ["B", 1]]},
        {**named("reserve", 7), "lines": [["A", 1_000_000], ["B", 1]]},
    ]


async def stocked(world):
    for sku in ("A", "B"):
        await world.stock(sku, 10_000)
    return life_of_orders


async def books_of(world, turn):
    """What became of the orders of a turn, without what differs by name."""
    rows = await world.store.fetch(
        """select split_part(c.order_id, '_', 3) as order_id, i.sku, c.amount::text, c.consumed::text, c.released::text,
                  c.state from availability.claim c join items.item i using (tenant, item)
           where c.order_id like $1 order by 1, 2, 3""",
        f"ord_{turn}\\_%",
    )
    return [tuple(row) for row in rows]


def differs_by_name(answers):
    """Answers without the ids of claims, in the order of lines."""
    return {
        number: sorted(part[1:] for part in answer) if isinstance(answer, list) and answer else answer
        for number, answer in answers.items()
    }


async def undisturbed(world, processes):
    commands = life_of_orders("whole")
    [result] = await processes.side_by_side({"commands": commands})
    assert not [answer for answer in result["answers"].values() if str(answer).startswith("failed")], result
    return result, await books_of(world, "whole")


async def killed(world, processes, points):
    """One life of orders per point, each killed there and delivered again in full."""
    whole, books = await undisturbed(world, processes)
    expected = differs_by_name(whole["answers"])
    for turn, point in enumerate(points):
        commands = life_of_orders(turn)
        [first] = await processes.side_by_side({"commands": commands, "die": point})
        [second] = await processes.side_by_side({"commands": commands})
        assert first["killed"], point
        answered = {number: answer for number, answer in first["answers"].items() if answer != "recorded"}
        again = second["answers"]
        assert {number: again[number] for number in answered} == answered, f"{point}: what was promised changed"
        told = differs_by_name(again)
        moves = {number for number, answer in expected.items() if answer == "recorded"}
        assert {number: told[number] for number in told if number not in moves} == {
            number: expected[number] for number in expected if number not in moves
        }, point
        assert all(again[number] in ("recorded", "duplicate") for number in moves), point
        assert await books_of(world, turn) == books, point
    assert await processes.wrong() == {}


async def test_a_process_killed_around_a_commit_loses_and_doubles_nothing(world, processes):
    await stocked(world)
    await killed(world, processes, [["before", 5], ["during", 1], ["after", 11]])


@pytest.mark.long
async def test_a_process_killed_around_every_commit_loses_and_doubles_nothing(world, processes):
    await stocked(world)
    [result] = await processes.side_by_side({"commands": life_of_orders("count")})
    points = [[when, nth] for nth in range(1, len(result["seams"]) + 1) for when in ("before", "during", "after")]
    assert len(points) >= 3 * 15
    await killed(world, processes, points)


def shopping(buyer, rounds):
    """Baskets in both orders of a few scarce articles, bulk loads and releases beside them."""
    commands = []
    for turn in range(rounds):
        order = f"ord_{buyer}_{turn}"
        lines = [["A", 1 + turn % 3], ["B", 2]]
        commands.append({
            "do": "reserve", "action": f"r-{order}", "order": order, "lines": lines if turn % 2 else lines[::-1],
            "expires_in": 0 if turn % 5 == 4 else HOUR,
        })  # fmt: skip
        if turn % 3 == 0:
            commands.append({"do": "release", "action": f"x-{order}", "order": order})
        elif turn % 3 == 1:
            commands.append(
                {"do": "move", "event": f"p-{order}", "kind": "pick_confirmed", "amount": 1, "order": order}
            )
        if turn % 5 == 0:
            skus = ["A", "B"] if turn % 2 else ["B", "A"]
            commands.append({"do": "bulk", "event": f"bulk-{order}", "skus": skus * 5})
            commands.append({"do": "expire"})
    return commands


@pytest.mark.long
async def test_several_processes_that_keep_dying_beside_each_other_neither_oversell_nor_lose(world, processes):
    for sku in ("A", "B"):
        await world.stock(sku, 60)
    deaths = [["during", 4], ["after", 9], ["before", 14], ["during", 21], ["after", 30], ["before", 41]]
    plans = [{"commands": shopping(buyer, 30), "width": 4, "deaths": deaths[buyer:]} for buyer in range(3)]
    ended, died = await processes.until_done(*plans)
    assert died >= 6
    answers = [answer for each in ended for answer in each["answers"].values()]
    assert [answer for answer in answers if str(answer).startswith("failed")] == []
    assert any(isinstance(answer, list) for answer in answers)
    assert await processes.wrong() == {}
