"""A snapshot in parts, its teller and its workers killed around each of their commits: once told, it is the truth."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]


def told(turn):
    figures = ({"A": 100, "A.picked": 5}, {"B": 40}, {"B.damaged": 3})
    return [
        {"do": "part", "event": f"snap-{turn}", "number": number, "of": 3, "figures": some, "sequence": 20 + turn}
        for number, some in enumerate(figures, 1)
    ] + [{"do": "apply_parts"}]


async def figures(world):
    return {sku: await world.positions(sku) for sku in "AB"}


@pytest.mark.parametrize("when", ["before", "during", "after"])
async def test_a_death_around_any_commit_leaves_the_old_truth_or_the_new_one(world, processes, when):
    await world.stock("A", 9)
    await world.record(world.movement("hold", 2, "stock_adjusted", 4, sku="B", lot="gone"))
    [whole] = await processes.side_by_side({"commands": told(0)})
    truth = await figures(world)
    assert truth == {"A": {"sellable": 100, "picked": 5}, "B": {"sellable": 40, "damaged": 3}}
    assert len(whole["seams"]) >= 7  # a commit for each part told and applied, and one for the end
    for nth in range(1, len(whole["seams"]) + 1):
        await world.record(world.movement(f"off-{nth}", 19 + nth, "stock_adjusted", 1_000 + nth))
        before = await figures(world)
        [first] = await processes.side_by_side({"commands": told(nth), "die": [when, nth]})
        assert first["killed"], nth
        if nth < 3:
            assert await figures(world) == before, "it was not told to its end"
        both = await processes.side_by_side({"commands": told(nth)}, {"commands": told(nth)})
        assert [result["code"] for result in both] == [0, 0]
        await processes.side_by_side({"commands": [{"do": "apply_parts"}]})
        assert await figures(world) == truth, (when, nth)
        assert await world.broken_invariants() == []
        assert await processes.wrong() == {}
