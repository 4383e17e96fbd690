"""What is parked, told to the queue of exceptions and put right from there."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.backbone.consumer import Subscription
from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.item import ReportedItem
from gateway.kernel.context import Caller, Principal
from gateway.kernel.errors import Conflict, Invalid
from process_apis.availability.subscriptions import subscriptions
from process_apis.availability.troubles import ParkedTroubles

pytestmark = pytest.mark.integration
CALLER = Caller(
    principal=Principal(tenant="acme", subject="ada", credential="k", zones=frozenset(), scopes=frozenset()),
    request_id="r",
    correlation_id="c",
    deadline=float("inf"),
)


async def told(world):
    async with world.store.connection() as connection:
        return await ParkedTroubles(world.clock).troubles(connection, "acme", limit=10)


async def decide(world, verb, *given):
    async with world.store.transaction() as connection:
        return await getattr(ParkedTroubles(world.clock), verb)(connection, CALLER, *given)


async def mend(world):
    """What the worker does about the newest event that asks for it."""
    mending: Subscription = next(each for each in subscriptions(world.availability) if "mending" in each.name)
    row = await world.store.fetchrow(
        "select * from store.event where type = 'stock.movement_parked' order by id desc limit 1"
    )
    event = Event(
        tenant="acme", type=row["type"], aggregate=row["aggregate"], aggregate_version=row["aggregate_version"],
        occurred_at=datetime.now(UTC), data=json.loads(row["data"]), correlation_id="c",
    )  # fmt: skip
    async with world.store.connection() as connection:
        recorded = Recorded(position=Position(1, 1, row["id"]), recorded_at=datetime.now(UTC), event=event)
        await mending.handler(connection, recorded)


async def test_reports_that_wait_for_one_code_are_one_trouble_and_lowering_ones_are_the_worst(world):
    await world.record(
        *(world.movement(f"e{n}", n, "stock_adjusted", 5, source_item="X-NEW") for n in (2, 3)),
        world.movement("e4", 4, "pick_confirmed", 1, source_item="X-OTHER", order="ord_1"),
    )
    new, other = sorted(await told(world), key=lambda each: each.count, reverse=True)
    assert (new.count, new.effect, new.error_class, new.fault_domain) == (2, "hides_stock", "mapping", "wms_n")
    assert (other.count, other.effect, "edit" in other.verbs, "edit" in new.verbs) == (1, "oversells", True, False)


async def test_a_retry_lets_in_what_can_be_mapped_by_now(world):
    await world.record(world.movement("e2", 2, "stock_adjusted", 5, source_item="X-NEW"))
    [trouble] = await told(world)
    await world.items.adopt(
        "acme", "wms_n", [ReportedItem(source_code="X-NEW", sku="NEW", name="N", base_uom="EA")], correlation_id="c"
    )
    await decide(world, "retry", trouble.key)
    await mend(world)
    assert await told(world) == []
    item = (await world.items.by_sku("acme", ["NEW"]))["NEW"].item
    assert await world.store.fetchval("select sellable from availability.stock_line where item = $1", item) == 5


async def test_an_edited_movement_is_recorded_as_a_later_revision_and_the_sources_own_changes_nothing(world):
    reported = world.movement("e2", 2, "stock_adjusted", 5, source_item="X-TYPO")
    await world.record(reported)
    [trouble] = await told(world)
    async with world.store.connection() as connection:
        payload = await ParkedTroubles(world.clock).payload(connection, "acme", trouble.key)
    with pytest.raises(Invalid):
        await decide(world, "edit", trouble.key, {**payload, "event_id": "e3"})
    with pytest.raises(Invalid):
        await decide(world, "edit", trouble.key, {**payload, "no_such": 1})
    before = await decide(world, "edit", trouble.key, {**payload, "source_item": "X-A"})
    assert before["source_item"] == "X-TYPO"
    await mend(world)
    assert await told(world) == []
    assert (await world.figures())["sellable"] == 5
    await world.record(reported)
    assert (await world.figures())["sellable"] == 5
    assert await world.broken_invariants() == []


async def test_what_is_ignored_waits_no_more_and_is_not_recorded(world):
    await world.record(world.movement("e2", 2, "stock_adjusted", 5, source_item="X-NEW"))
    [trouble] = await told(world)
    await decide(world, "ignore", trouble.key, "a test of theirs")
    assert await told(world) == []
    assert await world.store.fetchval("select resolution from availability.parked") == "ignored: a test of theirs"
    with pytest.raises(Conflict):
        await decide(world, "retry", trouble.key)
