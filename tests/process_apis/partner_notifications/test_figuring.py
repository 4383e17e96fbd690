"""What many messages ask for at once is read together, and after it was asked."""

import asyncio
from types import SimpleNamespace

from process_apis.partner_notifications.figuring import Figures


class World:
    """Items and availability; the figure counts up with every reading."""

    def __init__(self, *items):
        self.items = set(items)
        self.readings = []
        self.begun = asyncio.Event()

    async def by_id(self, tenant, items):
        return {item: SimpleNamespace(item=item) for item in items if item in self.items}

    async def availability(self, tenant, *, channel, items, locations, from_record):
        self.readings.append((tenant, channel, tuple(items), locations, from_record))
        self.begun.set()
        await asyncio.sleep(0)
        return [SimpleNamespace(item=item, channel=channel, reading=len(self.readings)) for item in items]


async def test_many_at_once_are_one_reading_for_each_channel():
    world = World("i1", "i2")
    figures = Figures(world, world, locations=True)
    first = asyncio.create_task(figures.of("acme", "web", "i1"))
    await asyncio.sleep(0)  # it is read at once: nobody waits for others
    asked = [("web", "i2"), ("web", "i1"), ("edi", "i2"), ("web", "i2")]
    found = await asyncio.gather(first, *(figures.of("acme", channel, item) for channel, item in asked))
    assert [(each.item.item, each.availability.channel) for each in found[1:]] == [(i, c) for c, i in asked]
    assert world.readings == [
        ("acme", "web", ("i1",), True, True),
        ("acme", "web", ("i2", "i1"), True, True),
        ("acme", "edi", ("i2",), True, True),
    ]


async def test_who_asks_while_one_is_read_gets_a_later_reading():
    world = World("i1")
    figures = Figures(world, world, locations=False)
    first = asyncio.create_task(figures.of("acme", "web", "i1"))
    await world.begun.wait()
    second = await figures.of("acme", "web", "i1")
    assert ((await first).availability.reading, second.availability.reading) == (1, 2)


async def test_an_item_that_is_gone_has_nothing_to_tell_and_spoils_nothing():
    world = World("i1")
    figures = Figures(world, world, locations=False)
    gone, there = await asyncio.gather(figures.of("acme", "web", "i0"), figures.of("acme", "web", "i1"))
    assert gone is None
    assert there.item.item == "i1"
