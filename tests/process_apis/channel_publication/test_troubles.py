"""Figures that stay apart from ours, in the queue of exceptions."""

import pytest

from gateway.canonical.trouble import Effect, TroubleClass, Verb
from gateway.kernel.errors import Conflict
from process_apis.channel_publication.troubles import FigureTroubles
from process_apis.exceptions.models import State
from tests.process_apis.channel_publication.test_at_once import calm, change
from tests.process_apis.queued import Queue

pytestmark = pytest.mark.integration


@pytest.fixture
def queue(world):
    return Queue(world.store, "acme", FigureTroubles({"shop": "shop_eu"}))


async def test_a_figure_that_the_shop_refuses_is_tried_again_when_a_person_asks_and_ends_when_it_is_taken(world, queue):
    watched = await calm(world)
    watched.refuses = {"A"}
    await change(world, A=21)
    for _ in range(3):
        await world.publication.step("shop")
    [entry] = await queue.look()
    assert (entry.code, entry.error_class, entry.effect, entry.fault_domain, entry.about, entry.verbs) == (
        "channel.refused", TroubleClass.VALIDATION, Effect.OVERSELLS, "shop_eu", "A", (Verb.RETRY, Verb.IGNORE),
    )  # fmt: skip
    assert "ours is 21" in entry.detail
    assert entry.state is State.RETRYING, "it is tried again by itself, in a minute"
    calls = len(watched.calls)
    await world.publication.step("shop")
    assert len(watched.calls) == calls
    await queue.retry(entry)
    for _ in range(3):
        await world.publication.step("shop")
    assert len(watched.calls) == calls + 1
    assert await queue.state(entry) is State.RETRYING
    watched.refuses = set()
    await queue.retry(entry)
    for _ in range(3):
        await world.publication.step("shop")
    assert (await world.shown())["A"] == 21
    assert await queue.state(entry) is State.RESOLVED
    assert await queue.story(entry) == ["raised", "retry", "retry_failed", "retry", "resolved"]
    assert await world.store.fetchval("select count(*) from store.event where type = 'channel.disagreed'") == 1


async def test_an_item_that_vanished_from_the_shop_waits_until_it_is_there_again_or_is_let_be(world, queue):
    watched = await calm(world)
    await world.shop.control("remove", sku="A")
    await change(world, A=21)
    await world.settle()
    [entry] = await queue.look()
    assert (entry.code, entry.error_class, entry.state) == ("channel.vanished", TroubleClass.MAPPING, State.OPEN)
    asked = len(watched.calls)
    await queue.retry(entry)
    await world.settle()
    assert len(watched.calls) == asked, "there is nothing to set"
    assert await queue.state(entry) is State.OPEN, "it was looked for and is still away"
    await queue.ignore(entry, "sold out for good")
    assert await queue.look() == []
    assert (await world.publication.standing("acme"))[0]["disagreements"] == 0
    with pytest.raises(Conflict):
        await queue.retry(entry)


async def test_what_somebody_changed_in_the_shop_is_for_a_person_only_where_it_stays(world, queue):
    await calm(world)
    await world.shop.control("adjust", sku="A", amount=15)
    assert await world.publication.read_back("shop") == 1
    for _ in range(2):
        await world.publication.step("shop")
    assert await queue.look() == []
    await world.store.execute(
        "insert into channel_publication.disagreement (tenant, channel, item, sku, cause, expected, found, found_at)"
        " values ('acme', 'shop', $1, 'B', 'changed_there', 5, 9, now() - interval '6 minutes')",
        world.id["B"],
    )
    [entry] = await queue.look()
    assert (entry.code, entry.effect, entry.about) == ("channel.changed_there", Effect.OVERSELLS, "B")
    await world.publication._lanes[0]._publisher._disagreements.resolve([world.id["B"]])
    assert await queue.state(entry) is State.RESOLVED
