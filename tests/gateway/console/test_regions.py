"""The page of regions, with availability as it is on a real record."""

import pytest

from gateway.console.app import make_console
from gateway.kernel.clock import SystemClock

from .conftest import TENANT, Messages, Orders, client_of
from .seeding import seed_regions
from .wiring import regions_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def shown(console):
    """The console with regions, and a client signed in to it."""
    store = console.store
    console.app = make_console(
        store=store,
        clock=SystemClock(),
        tenant=TENANT,
        orders=Orders(),
        messages=Messages(),
        regions=regions_of(store),
    )
    await seed_regions(store)
    client, _ = await console.person("view")
    async with client:
        yield client


async def test_each_region_shows_its_confidence_lags_and_silent_sources(shown):
    page = (await shown.get("/regions")).text
    for region, confidence in (("na", "high"), ("emea", "degraded"), ("apac", "stale")):
        assert f'data-region="{region}" data-confidence="{confidence}"' in page
    assert "319 ms" in page  # the middle of slot 60: half of the news
    assert "2.1 s" in page  # that of slot 80: the latest
    assert "was never heard" in page
    assert "&lt;3pl&gt;" in page
    assert "<3pl>" not in page
    assert page.count("<svg") == 2
    assert "style=" not in page


async def test_the_panel_is_sent_again_only_when_it_changed(shown):
    page = (await shown.get("/panels/regions")).text
    digest = page.split('"digest": "')[1].split('"')[0]
    assert (await shown.get("/panels/regions", params={"digest": digest})).status_code == 204
    assert (await shown.get("/panels/regions", params={"digest": "other"})).status_code == 200


async def test_who_is_not_signed_in_sees_no_regions(console, shown):
    async with client_of(console.app) as stranger:
        assert (await stranger.get("/regions")).status_code in (303, 401)


async def test_a_holder_is_switched_by_who_may_approve_and_with_a_reason(console, shown):
    path = "/locations/loc_emea/switch"
    assert path not in (await shown.get("/regions")).text
    approver, token = await console.person("view", "approve")
    asked = {"csrf_token": token, "to": "erp"}
    async with approver:
        assert path in (await approver.get("/regions")).text
        assert (await approver.post(path, data={**asked, "reason": " "})).status_code == 422
        assert (await approver.post(path, data={**asked, "reason": "it burned"})).status_code == 303
        assert (await approver.post(path, data={**asked, "reason": "again"})).status_code == 409
        page = (await approver.get("/regions")).text
        assert "held by <b>erp</b>, its first full snapshot is awaited" in page
        assert "Switch to wms_emea" in page
    row = await console.store.fetchrow("select actor, subject from store.audit where action like '%switched'")
    assert tuple(row) == ("console/view-approve-person", "location/loc_emea")


async def test_who_may_only_view_switches_nothing(console, shown):
    client, token = await console.person("view", "repair")
    async with client:
        asked = {"csrf_token": token, "to": "erp", "reason": "r"}
        assert (await client.post("/locations/loc_emea/switch", data=asked)).status_code == 403
