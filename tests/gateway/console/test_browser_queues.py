"""A person finds what stands still, takes it and says why it need not be done, in a real browser."""

import asyncio
import os
from pathlib import Path

import pytest

from .browser import until
from .conftest import TENANT
from .seeding import seed_letter, seed_movements, seed_parked
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures
from .wiring import queue_of

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


async def test_a_person_finds_what_stands_still_and_decides(browser, served, store, tmp_path):  # noqa: F811
    await seed_movements(store, 5)
    await seed_letter(store, "the item is not known")
    await seed_parked(store, "item X-9 is unknown")
    await queue_of(store).sweep.look(TENANT)
    entry = await store.fetchval("select entry from exceptions.entry where kind = 'parked'")
    await asyncio.to_thread(_look, browser, served[0], entry, Path(os.environ.get("CONSOLE_PICTURES", tmp_path)))
    assert await store.fetchval("select state from exceptions.entry where entry = $1", entry) == "ignored"
    assert browser.complaints() == []


def _look(browser, url, entry, folder):  # noqa: F811
    browser.size(1440, 900)
    sign_in(browser, url)
    browser.click("nav a[href='/queue']")
    until(lambda: "item X-9 is unknown" in browser.text("main"))
    _pictures(browser, folder, "exceptions")
    browser.click(f"[data-entry='{entry}'] a")
    until(lambda: "What stands still, redacted" in browser.text("main"))
    _pictures(browser, folder, "exception")
    browser.click("form[action$='/take'] button")
    until(lambda: "assigned" in browser.text("main"))
    browser.type("form[action$='/ignore'] input[name='reason']", "a test of theirs")
    browser.click("form[action$='/ignore'] button")
    until(lambda: "a test of theirs" in browser.text("main"))


def _pictures(browser, folder, name):  # noqa: F811
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for width_name, width, height in (("wide", 1440, 1000), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"{name}-{scheme}-{width_name}.png", whole=True)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    browser.size(1440, 900)
