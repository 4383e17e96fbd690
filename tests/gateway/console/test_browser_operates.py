"""The page of stock operations as a person sees it and acts on it: bright and dark, wide and narrow."""

import asyncio
import os
from pathlib import Path

import pytest

from .browser import until
from .seeding import seed_operations
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]
_TOLD = ("lot L-2031-04", "80 in transit", "900 of lot P-7", "that no books know", "A-01-3: 30", "of partner")


async def test_operations_are_seen_by_line_and_lot_and_acted_on(browser, served, store, tmp_path):  # noqa: F811
    await seed_operations(store)
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_look, browser, served[0], folder)
    await asyncio.to_thread(_act, browser)
    states = "select array(select state from stock_operations.{} where tenant = 'acme')"
    assert await store.fetchval(states.format("stock_count")) == ["rejected"]
    assert await store.fetchval(states.format("status_change")) == ["withdrawn"]
    assert browser.complaints() == []


def _look(browser, url, folder):  # noqa: F811
    browser.size(1440, 900)
    sign_in(browser, url)
    browser.click("nav a[href='/operations']")
    until(lambda: all(text in browser.text("main") for text in _TOLD))
    assert "of line 2: PIPE-22/3M" in browser.text("select[name='line']")
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for name, width, height in (("wide", 1440, 1100), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"operations-{scheme}-{name}.png", whole=True)
            assert browser.run("return document.documentElement.scrollWidth") <= width, "operations scrolls sideways"
    browser.size(1440, 900)


def _act(browser):  # noqa: F811
    for kind, button, gone in (("count", "button.quiet", "VALVE-#7"), ("change", "button.quiet", "swollen")):
        form = f"[data-{kind}] form"
        browser.type(f"{form} input[name='reason']", "looked at it")
        browser.click(f"{form} {button}")
        until(lambda gone=gone: gone not in browser.text("main"))
