"""Who read the record and is ahead of what was relayed goes on in the record."""

import asyncio

import pytest

from gateway.backbone.feed import Window
from gateway.backbone.tail import Tail
from gateway.store.log_reader import BEGINNING, LogReader

from .conftest import ACCEPTED, order, write

pytestmark = pytest.mark.integration


class Feed:
    """Live, and told by the test what it heard."""

    stream = "main"
    live = True

    def __init__(self):
        self.window = Window()
        self.changed = asyncio.Event()

    def hear(self, previous, recorded):
        self.window.offer(previous, recorded.position, [recorded])
        self.changed.set()
        self.changed = asyncio.Event()


@pytest.fixture
def feed():
    return Feed()


@pytest.fixture
def tail(store, feed):
    return Tail(store, LogReader(), feed, ACCEPTED)


async def written(store, *numbers):
    await write(store, *(order(f"ord_{number}") for number in numbers))


async def test_what_follows_is_read_from_the_record_while_the_relay_is_far_behind(store, feed, tail):
    await written(store, *range(1, 6))
    first = await tail.after(BEGINNING, 100)
    feed.hear(BEGINNING, first.events[0])
    await written(store, 6)
    later = await tail.after(first.reached, 100)
    assert [each.event.aggregate for each in later.events] == ["ord_6"]


async def test_a_record_with_more_than_was_asked_for_is_read_on_at_once(store, feed, tail, monkeypatch):
    monkeypatch.setattr("gateway.backbone.tail._LOOK_WHEN_BEHIND_S", 3_600)
    await written(store, *range(1, 10))
    first = await tail.after(BEGINNING, 3)
    feed.hear(BEGINNING, first.events[0])
    second = await tail.after(first.reached, 3)
    assert [each.event.aggregate for each in second.events] == ["ord_4", "ord_5", "ord_6"]


async def test_a_relay_that_catches_up_answers_as_soon_as_it_comes_there(store, feed, tail):
    await written(store, 1, 2)
    first = await tail.after(BEGINNING, 100)
    feed.hear(BEGINNING, first.events[0])
    waiting = asyncio.ensure_future(tail.after(first.reached, 100))
    await asyncio.sleep(0)
    feed.hear(first.events[0].position, first.events[1])
    stretch = await waiting
    assert (stretch.events, stretch.reached) == ((), first.reached)
