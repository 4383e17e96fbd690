"""A person looks at what differs, sees why, and decides, in a real browser."""

import asyncio
import os
from pathlib import Path

import pytest

from .browser import until
from .seeding import seed_findings
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


async def test_a_person_sees_why_figures_differ_and_decides(browser, served, store, tmp_path):  # noqa: F811
    found = await seed_findings(store)
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_look, browser, served[0], folder)
    await asyncio.to_thread(_decide, browser, found["erp"])
    state = "select state from reconciliation.finding where finding = $1"
    assert await store.fetchval(state, found["erp"]) == "rejected"
    assert browser.complaints() == []


def _look(browser, url, folder):  # noqa: F811
    browser.size(1440, 900)
    sign_in(browser, url)
    browser.click("nav a[href='/reconciliation']")
    until(lambda: "PUMP-X400" in browser.text("main"))
    browser.click(".findings summary")
    until(lambda: "wms_north:e-17" in browser.text("main"))
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for name, width, height in (("wide", 1440, 1100), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"reconciliation-{scheme}-{name}.png", whole=True)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    browser.size(1440, 900)


def _decide(browser, finding):  # noqa: F811
    browser.click(".trend[href*='class=loss']")
    until(lambda: "VALVE-20" in browser.text("main") and "PUMP-X400" not in browser.text("main"))
    browser.click("nav a[href='/reconciliation'], a[href='/']")
    until(lambda: "Orders today" in browser.text())
    browser.click("nav a[href='/reconciliation']")
    until(lambda: "PUMP-X400" in browser.text("main"))
    browser.type(f"[data-finding='{finding}'] input[name='reason']", "counted on Monday")
    browser.click(f"[data-finding='{finding}'] button[formaction]")
    until(lambda: "PUMP-X400" not in browser.text("main"))
