"""The page of backlogs, with places on a real record."""

import pytest

from gateway.pacing.options import SystemPace, Work
from gateway.pacing.visits import Visits

from .seeding import seed_order, seed_places

pytestmark = pytest.mark.integration


@pytest.fixture
def shown(console):
    visits = Visits(console.store, {"erp": SystemPace(calls=5, visits=2), "<quiet>": SystemPace()})
    console.app = console.made(pacing=visits)
    return console


async def test_each_system_shows_its_limits_what_is_used_and_who_waits_by_priority(shown):
    await seed_places(shown.store, "erp", called=2, waiting={Work.ORDINARY: 3, Work.POSTING: 1})
    client, _ = await shown.person("view")
    async with client:
        page = (await client.get("/backlog")).text
        again = await client.get("/panels/backlog")
    assert 'data-system="erp" data-state="waiting"' in page
    assert "2 of 2 under way" in page
    assert page.index('data-work="posting">1<') < page.index('data-work="ordinary">3<')
    assert 'data-system="&lt;quiet&gt;" data-state="flowing"' in page
    assert again.status_code == 200


async def test_an_order_that_waits_tells_its_place_and_what_for(shown):
    order = await seed_order(shown.store, "PO-1", "promised")
    await seed_places(shown.store, "erp", called=2, waiting={Work.POSTING: 2})
    await seed_places(shown.store, "erp", called=0, waiting={Work.ORDINARY: 1}, subject=order)
    client, _ = await shown.person("view")
    async with client:
        page = (await client.get(f"/orders/{order}")).text
    assert 'data-place="3"' in page
    assert "for ordinary" in page
