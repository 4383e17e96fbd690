"""History is condensed by a worker that dies at each of its commits, beside one that goes on: no figure changes."""

from __future__ import annotations

import pytest

from tests.concurrency.deaths import WHENS

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]


def told(turn):
    """Of a turn: a count, handling of a closed and of an open group, and what follows them."""
    at = 100 * turn

    def move(event, kind, amount, after, **more):
        return {
            "do": "move",
            "event": f"{event}-{turn}",
            "kind": kind,
            "amount": amount,
            "sequence": at + after,
            **more,
        }

    return [
        move("in", "stock_adjusted", 50, 1),
        move("count", "cycle_counted", 40, 2),
        move("pick", "pick_confirmed", 5, 3, document=f"closed-{turn}"),
        move("ship", "shipment_confirmed", 5, 4, document=f"closed-{turn}"),
        move("wait", "pick_confirmed", 3, 5, document=f"open-{turn}"),
        move("other", "stock_adjusted", 7, 6, sku="B"),
        move("south", "stock_adjusted", 2, 7, source="wms_s"),
    ]


async def figures(world):
    now = await world.store.fetchval("select clock_timestamp()")
    items = [world.id[sku] for sku in "AB"]
    found = []
    for instants in ({}, {"as_known_at": now}):
        rows = await world.availability.positions("acme", items=items, location=None, **instants)
        found.append({(row["item"], row["location"], row["bucket"]): row["amount"] for row in rows if row["amount"]})
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("when", WHENS)
async def test_a_death_at_any_commit_of_condensing_changes_no_figure(world, processes, when):
    [whole] = await processes.side_by_side({"commands": [*told(1), {"do": "condense"}]})
    recorded = len((await processes.side_by_side({"commands": told(2)}))[0]["seams"])
    condensing = len(whole["seams"]) - recorded
    assert condensing >= 5, whole["seams"]  # it begins, condenses three lines one by one, and ends
    for turn, nth in enumerate(range(1, condensing + 1), start=3):
        await processes.side_by_side({"commands": told(turn)})
        before = await figures(world)
        [killed] = await processes.side_by_side({"commands": [{"do": "condense"}], "die": [when, nth]})
        assert killed["killed"], nth
        assert await figures(world) == before, (when, nth)
        # While somebody else goes on with it, the open group is shipped.
        ship = {"do": "move", "event": f"late-{turn}", "kind": "shipment_confirmed", "amount": 3,
                "sequence": 100 * turn + 8, "document": f"open-{turn}"}  # fmt: skip
        both = await processes.side_by_side({"commands": [{"do": "condense"}]}, {"commands": [ship]})
        assert [result["code"] for result in both] == [0, 0]
        expected = {key: amount - 3 if key[2] == "picked" else amount for key, amount in before.items()}
        assert await figures(world) == {key: amount for key, amount in expected.items() if amount}, (when, nth)
    left = await world.store.fetchval("select count(*) from availability.movement where carried is null and live")
    assert left <= 1  # the last shipment
    assert await processes.wrong() == {}
