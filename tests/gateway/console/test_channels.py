"""The page of channels, with channel publication on a real record."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.canonical.location import LocationMap
from gateway.console.app import make_console
from gateway.kernel.clock import SystemClock
from process_apis.availability.process import Availability
from process_apis.channel_publication.models import PublishedChannel
from process_apis.channel_publication.process import ChannelPublication
from process_apis.items.process import Items

from .conftest import TENANT, Messages, Orders, client_of

pytestmark = pytest.mark.integration


class Shop:
    compares, figures_per_call = True, 250


async def _no_rule(_tenant, _channel):
    return 0


class Sold:
    async def oversold(self, _tenant):
        return [
            {"channel": "mart", "units": Decimal(7), "orders": 2, "waiting": Decimal(3), "last_at": datetime.now(UTC)}
        ]


@pytest.fixture
async def shown(console):
    """The console with two channels, one of them in trouble."""
    clock, store = SystemClock(), console.store
    items = Items(store, clock)
    availability = Availability(store=store, cache=None, items=items, locations=LocationMap({TENANT: []}), clock=clock)
    channels = [PublishedChannel(name=name, system=f"shop_{name}", shows=Shop(), orders=None) for name in ("eu", "us")]
    console.app = make_console(
        store=store,
        clock=clock,
        tenant=TENANT,
        orders=Orders(),
        messages=Messages(),
        channels=ChannelPublication(
            store,
            clock,
            tenant=TENANT,
            channels=channels,
            items=items,
            availability=availability,
            claims=availability,
            rules=_no_rule,
        ),
        oversold=Sold(),
    )
    await store.execute(
        "insert into channel_publication.channel (tenant, channel, swept_at, failures, last_error) values "
        "($1, 'eu', now(), 0, null), ($1, 'us', now(), 3, 'shop.refused_credentials: <check> access_key')",
        TENANT,
    )
    await store.execute(
        "insert into channel_publication.disagreement (tenant, channel, item, sku, cause, expected, found) "
        "values ($1, 'eu', 'itm_1', 'SKU <1>', 'changed_there', 20, 35)",
        TENANT,
    )
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
