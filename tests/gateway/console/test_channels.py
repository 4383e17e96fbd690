"""The page of channels, with channel publication on a real record."""

import pytest

from gateway.console.app import make_console
from gateway.kernel.clock import SystemClock

from .conftest import TENANT, Messages, Orders, client_of
from .seeding import seed_channels
from .wiring import Sold, channels_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def shown(console):
    """The console with two channels, one of them in trouble."""
    store = console.store
    console.app = make_console(
        store=store,
        clock=SystemClock(),
        tenant=TENANT,
        orders=Orders(),
        messages=Messages(),
        channels=channels_of(store),
        oversold=Sold(),
    )
    await seed_channels(store)
    return console


async def test_each_channel_shows_how_far_it_is_and_what_it_shows_otherwise(shown):
    client, _ = await shown.person("view")
    async with client:
        page = (await client.get("/channels")).text
    assert 'data-channel="eu" data-state="disagrees"' in page
    assert 'data-channel="us" data-state="not_answering"' in page
    assert "&lt;check&gt;" in page
    assert "SKU &lt;1&gt;" in page
    assert 'data-oversold="mart"' in page
    assert "Compare every figure" not in page  # a viewer repairs nothing


async def test_who_may_repair_has_every_figure_compared_and_that_is_audited(shown):
    client, token = await shown.person("view", "repair")
    async with client:
        assert "Compare every figure" in (await client.get("/channels")).text
        answer = await client.post("/channels/comparisons", data={"csrf_token": token, "channel": "eu"})
        assert answer.status_code == 303
        unknown = await client.post("/channels/comparisons", data={"csrf_token": token, "channel": "asia"})
        assert unknown.status_code == 404
    swept = await shown.store.fetch("select channel from channel_publication.channel where swept_at is null")
    assert [row["channel"] for row in swept] == ["eu"]
    [audited] = await shown.store.fetch("select subject from store.audit where action = 'publication.compare'")
    assert audited["subject"] == "channel/eu"


async def test_who_is_not_signed_in_or_may_only_view_changes_nothing(shown):
    async with client_of(shown.app) as stranger:
        assert (await stranger.get("/channels")).status_code in (303, 401)
    client, token = await shown.person("view")
    async with client:
        refused = await client.post("/channels/comparisons", data={"csrf_token": token, "channel": "eu"})
    assert refused.status_code == 403
