"""The pages of regions and channels as a person sees them: bright and dark, wide and narrow."""

import asyncio
import os
from pathlib import Path

import pytest

from .browser import until
from .seeding import seed_channels, seed_regions
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


async def test_regions_and_channels_are_seen_and_acted_on(browser, served, store, tmp_path):  # noqa: F811
    await seed_regions(store)
    await seed_channels(store)
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_look, browser, served[0], folder)
    await asyncio.to_thread(_act, browser)
    switched = "select count(*) from store.audit where action like '%switched' and subject = 'location/loc_emea'"
    assert await store.fetchval(switched) == 1
    swept = await store.fetch("select channel from channel_publication.channel where swept_at is null")
    assert [row["channel"] for row in swept] == ["eu"]
    assert browser.complaints() == []


def _look(browser, url, folder):  # noqa: F811
    browser.size(1440, 900)
    sign_in(browser, url)
    for page, told in (("regions", "was never heard"), ("channels", "SKU <1>")):
        browser.click(f"nav a[href='/{page}']")
        until(lambda told=told: told in browser.text("main"))
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            for name, width, height in (("wide", 1440, 1100), ("narrow", 390, 844)):
                browser.size(width, height)
                browser.picture(folder / f"{page}-{scheme}-{name}.png", whole=True)
                assert browser.run("return document.documentElement.scrollWidth") <= width, f"{page} scrolls sideways"
        browser.size(1440, 900)


def _act(browser):  # noqa: F811
    browser.click("[data-channel='eu'] button")
    until(lambda: browser.url.endswith("/channels"))
    browser.click("nav a[href='/regions']")
    until(lambda: "was never heard" in browser.text("main"))
    browser.type("form[action='/locations/loc_emea/switch'] input[name='reason']", "it burned")
    browser.click("form[action='/locations/loc_emea/switch'] button")
    until(lambda: "its first full snapshot is awaited" in browser.text("main"))
