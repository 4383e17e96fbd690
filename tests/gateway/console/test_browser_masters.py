"""A person asks whose word an item's description is, in a real browser."""

import asyncio
import os
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.canonical.item import ReportedItem
from gateway.kernel.clock import SystemClock
from gateway.kernel.money import Money
from gateway.kernel.quantity import UnitConversion
from process_apis.items.process import Items

from .browser import until
from .conftest import TENANT
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


async def test_a_person_sees_whose_word_counts(browser, served, store, tmp_path):  # noqa: F811
    items = Items(store, SystemClock())
    for source, name, factor in (("erp_na", "PUMP X400", 4), ("pim", "Pump X400, stainless, 230 V", 6)):
        reported = ReportedItem(
            source_code="400", sku="MD-400", name=name, base_uom="EA", group="pumps",
            packs=(UnitConversion("CS", Decimal(factor)),), list_price=Money(Decimal("129.5"), "EUR"),
        )  # fmt: skip
        await items.adopt(TENANT, source, [reported], correlation_id="c")
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_look, browser, served[0], folder)
    assert browser.complaints() == []


def _look(browser, url, folder):  # noqa: F811
    browser.size(1440, 900)
    sign_in(browser, url)
    browser.click("nav a[href='/master-data']")
    until(lambda: "Who owns what of items" in browser.text("main"))
    browser.type("input[name='name']", "MD-400")
    browser.click("main form button")
    until(lambda: "Pump X400, stainless, 230 V" in browser.text("main"))
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for name, width, height in (("wide", 1440, 1100), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"masters-{scheme}-{name}.png", whole=True)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    browser.size(1440, 900)
