"""A person asks why a request was answered so, in a real browser."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from .browser import until
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures
from .test_explaining import kept, refused

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


async def test_a_person_types_an_id_and_reads_why(browser, served, store, tmp_path):  # noqa: F811
    record = refused(datetime.now(UTC))
    await kept(store, record)
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_ask, browser, served[0], record.request_id, folder)
    assert browser.complaints() == []


def _ask(browser, url, request_id, folder):  # noqa: F811
    browser.size(1440, 900)
    sign_in(browser, url)
    browser.click("nav a[href='/explain']")
    until(lambda: "X-Request-Id" in browser.text("#explanation"))
    browser.run("window.mark = 1")
    browser.type("#request", request_id)
    browser.click("#ask button")
    until(lambda: "refused by validate_request" in browser.text("#explanation"))
    assert browser.run("return window.mark") == 1  # put in place, not loaded again
    assert browser.url.endswith(f"/explain?request={request_id}")
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for name, width, height in (("wide", 1440, 1100), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"explain-{scheme}-{name}.png", whole=True)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    browser.go(browser.url)
    until(lambda: "refused by validate_request" in browser.text("#explanation"))
