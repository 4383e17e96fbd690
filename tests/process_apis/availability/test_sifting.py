"""What a report tells that is known is sifted out before the rest is recorded, with the same outcome."""

from datetime import timedelta

import msgspec
import pytest

from gateway.canonical.stock import Outcome

pytestmark = pytest.mark.integration
HEARD = "select heard_at from availability.source where source = 'wms_n'"


def outcomes(receipt):
    return {(line.event_id, line.outcome) for line in receipt.others}


async def test_what_is_known_is_told_as_a_duplicate_and_the_rest_is_recorded(world):
    first, second = world.movement("e1", 1, "stock_adjusted", 5), world.movement("e2", 2, "stock_adjusted", 7)
    await world.record(first)
    again = msgspec.structs.replace(first, correlation_id="cor_other")
    receipt = await world.record(again, second, again=True)
    assert (receipt.recorded, outcomes(receipt)) == (1, {("e1", Outcome.DUPLICATE)})
    assert (await world.record(first, second, again=True)).recorded == 0
    assert (await world.figures())["on_hand"] == 12


async def test_a_revision_is_recorded_and_what_it_replaced_is_superseded(world):
    first = world.movement("e1", 1, "stock_adjusted", 5)
    revised = msgspec.structs.replace(first, revision=1, amount=first.amount + 1)
    await world.record(first, again=True)
    assert (await world.record(revised, again=True)).recorded == 1
    assert outcomes(await world.record(first, again=True)) == {("e1", Outcome.SUPERSEDED)}
    assert outcomes(await world.record(revised, again=True)) == {("e1", Outcome.DUPLICATE)}
    assert (await world.figures())["on_hand"] == 6


async def test_other_content_under_a_known_id_is_a_conflict(world):
    first = world.movement("e1", 1, "stock_adjusted", 5)
    await world.record(first)
    other = msgspec.structs.replace(first, amount=first.amount + 1)
    assert outcomes(await world.record(other, again=True)) == {("e1", Outcome.CONFLICT)}
    assert (await world.figures())["on_hand"] == 5


async def test_a_source_that_tells_only_what_is_known_was_heard(world):
    first = world.movement("e1", 1, "stock_adjusted", 5)
    await world.record(first)
    before = await world.store.fetchval(HEARD)
    world.clock.ahead += timedelta(seconds=60)
    await world.record(first, again=True)
    assert (await world.store.fetchval(HEARD) - before).total_seconds() >= 60


async def test_more_than_a_batch_is_sifted_in_its_order(world):
    told = [world.movement(f"e{number}", number, "stock_adjusted", 1) for number in range(1, 1_202)]
    await world.record(*told[::2])
    receipt = await world.record(*told, again=True)
    assert (receipt.recorded, len(receipt.others)) == (600, 601)
    assert [line.event_id for line in receipt.others] == [each.event_id for each in told[::2]]
