"""The pages of purchasing and of returns as a person sees them and acts on them: bright and dark, wide and narrow."""

import asyncio
import os
from pathlib import Path

import pytest

from .browser import until
from .buying import departed, opened
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures
from .test_returning import Returning

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


async def test_a_purchase_is_seen_line_by_line_and_its_price_is_taken(browser, served, store, tmp_path):  # noqa: F811
    world = await opened(store)
    held = await departed(world)
    await world.approve("PO-7002", 1)
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_look, browser, served[0], folder, "purchasing", "PO-7001", "Announced")
    await asyncio.to_thread(_take_price, browser)
    known = await world.purchases.dialogue.get("acme", held)
    assert "ack/A-1/1/1" not in {each.need.key for each in known.needs}
    assert browser.complaints() == []


async def test_a_return_is_seen_and_authorised(browser, served, store, tmp_path):  # noqa: F811
    asked = await Returning(store).come_back()
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_look, browser, served[0], folder, "returns", "RMA-17", "may come")
    await asyncio.to_thread(_authorise, browser)
    await asyncio.to_thread(_go_to_its_order, browser)
    state = "select state from returns.return_order where return_id = $1"
    assert await store.fetchval(state, asked) == "authorised"
    [missing] = browser.complaints()  # the order of this return was never made
    assert "/orders/ord_1" in missing
    assert "404" in missing


def _look(browser, url, folder, place, name, told):  # noqa: F811
    """Pictures of the list, then of the entry `name`, which says `told`; the browser stays there."""
    browser.size(1440, 900)
    sign_in(browser, url)
    browser.click(f"nav a[href='/{place}']")
    until(lambda: name in browser.text("main"))
    _pictures(browser, folder, place)
    browser.click("main li .link")
    until(lambda: told in browser.text("main"))
    _pictures(browser, folder, f"{place}-one")


def _pictures(browser, folder, name):  # noqa: F811
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for size, width, height in (("wide", 1440, 1100), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"{name}-{scheme}-{size}.png", whole=True)
            assert browser.run("return document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways"
    browser.size(1440, 900)


def _take_price(browser):  # noqa: F811
    form = "[data-need='ack/A-1/1/1'] form"
    browser.type(f"{form} input[name='reason']", "agreed by telephone")
    browser.click(f"{form} button")
    until(lambda: "agreed by telephone" in browser.text("[data-document='decision']"))


def _authorise(browser):  # noqa: F811
    form = "form[action*='/authorisation']"
    browser.type(f"{form} input[name='reason']", "a good customer")
    browser.click(f"{form} button")
    until(lambda: "return.authorised" in browser.text(".story"))


def _go_to_its_order(browser):  # noqa: F811
    browser.click("main a[href='/orders/ord_1']")
    until(lambda: browser.url.endswith("/orders/ord_1"))
