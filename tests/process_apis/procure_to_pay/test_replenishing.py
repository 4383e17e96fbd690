from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.canonical.events import Event, Position, Recorded
from process_apis.procure_to_pay.options import ReorderPoint
from process_apis.procure_to_pay.replenishing import Replenishing, is_breached

POINT = ReorderPoint(location="north", sku="S", point=Decimal(10), recovers_above=Decimal(15))


def test_without_reorder_points_nobody_listens():
    assert Replenishing(None, ()).subscriptions() == []


@pytest.mark.parametrize(
    ("available", "was", "breached"),
    [(10, False, True), (11, False, False), (12, True, True), (15, True, True), (16, True, False)],
    ids=["at", "above", "between", "still", "recovered"],
)
def test_it_stays_breached_until_it_has_recovered(available, was, breached):
    assert is_breached(POINT, Decimal(available), was=was) is breached


@pytest.mark.integration
async def test_a_threshold_is_told_once_until_it_recovers_whatever_comes_twice_or_late(world):
    sku = f"{world.tenant}-1"
    item = (await world.items.by_sku(world.tenant, [sku]))[sku].item
    point = ReorderPoint(location="north", sku=sku, point=Decimal(10), recovers_above=Decimal(15))
    replenishing = Replenishing(world.items, [point])

    async def hear(sellable, version):
        data = {
            "item": item, "location": "north", "owner": "main", "sellable": str(sellable), "reserved": "0",
            "allocated": "1", "external": "0", "version": version,
        }  # fmt: skip
        event = Event(
            tenant=world.tenant, type="availability.changed", aggregate="a", aggregate_version=version,
            occurred_at=datetime(2026, 11, 22, tzinfo=UTC), data=data, correlation_id="c",
        )  # fmt: skip
        recorded = Recorded(position=Position(1, 1, version), recorded_at=event.occurred_at, event=event)
        async with world.store.transaction() as connection:
            await replenishing.on_change(connection, recorded)

    for sellable, version in ((40, 1), (11, 2), (11, 2), (13, 3), (9, 4), (20, 6), (8, 5), (20, 6), (5, 7)):
        await hear(sellable, version)
    rows = await world.store.fetch(
        "select type, aggregate_version from store.event where tenant = $1 and type like 'replenishment%' order by id",
        world.tenant,
    )
    told = [(row["type"].rpartition(".")[2], row["aggregate_version"]) for row in rows]
    assert told == [("threshold_breached", 1), ("recovered", 2), ("threshold_breached", 3)]
