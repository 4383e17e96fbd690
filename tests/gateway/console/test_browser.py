"""A person at the console: in a real browser, on a real record. Pictures are left in the test's temporary folder."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.identity.console_users import ConsoleUsers, OutsidePerson

from . import seeding
from .browser import Browser, free_port, until
from .conftest import BOOTSTRAP, PASSWORD

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


@pytest.fixture
def browser(tmp_path):
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        reason = "no chromium and chromedriver: run tests/install_outside_tools.sh"
        (pytest.fail if os.environ.get("CROSSDOCK_ALL") else pytest.skip)(reason)
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


@pytest.fixture
def served(console_url):
    port = free_port(set())
    command = [sys.executable, str(Path(__file__).with_name("serve_console.py")), console_url, str(port)]
    process = subprocess.Popen(command, env=os.environ | {"CONSOLE_RECORD": console_url})
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: httpx.get(f"{url}/sign-in", trust_env=False).status_code == 200)
        yield url, process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)


def sign_in(browser, url):
    browser.go(url)
    browser.type("#token", BOOTSTRAP)
    browser.click(".token button")
    until(lambda: browser.url.endswith("/password"))
    browser.type("#password", PASSWORD)
    browser.type("#again", PASSWORD)
    browser.click("main button")
    until(lambda: "Orders today" in browser.text())


def focused(browser):
    return browser.run("return document.activeElement.id || document.activeElement.tagName")


async def test_a_person_signs_in_and_watches_and_repairs(browser, served, store, tmp_path):
    url, _ = served
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_first_look, browser, url, folder)
    await seeding.seed_everything(store)
    await asyncio.to_thread(_see_it_come, browser)
    await asyncio.to_thread(_pictures, browser, folder)
    await asyncio.to_thread(_look_closer, browser)
    await asyncio.to_thread(_repair, browser)
    assert browser.complaints() == []


def _first_look(browser, url, folder):
    browser.size(1440, 900)
    browser.go(url)
    browser.picture(folder / "console-first.png")
    sign_in(browser, url)
    assert "No orders here yet" in browser.text("#orders")
    browser.picture(folder / "console-empty.png")


def _see_it_come(browser):
    """Without a reload: a mark left on the page is still there."""
    browser.run("window.mark = 1; document.querySelector('#filter-positions input').focus()")
    until(lambda: "PO-49002" in browser.text("#orders") and "PO-49002" in browser.text("#failures"))
    until(lambda: "TAP-15-CHR" in browser.text("#positions") and "order.exception_raised" in browser.text("#events"))
    assert browser.run("return window.mark") == 1
    assert browser.run("return document.activeElement.name") == "sku"
    browser.type("#filter-positions input", "pump")
    until(lambda: "PUMP-X400" in browser.text("#positions") and "VALVE" not in browser.text("#positions"))
    browser.run("document.querySelector('#orders .scroll').scrollTop = 150")
    before = browser.run("return document.querySelector('#heard').textContent")
    until(lambda: browser.run("return document.querySelector('#heard').textContent") != before)
    assert browser.run("return document.querySelector('#orders .scroll').scrollTop") == 150
    browser.run("document.querySelector('#orders .scroll').scrollTop = 0")
    browser.clear("#filter-positions input")
    until(lambda: "VALVE" in browser.text("#positions"))


def _look_closer(browser):
    browser.click("#orders tbody tr:first-child a")
    until(lambda: "What happened" in browser.text("#detail"))
    assert focused(browser) == "H2"
    browser.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    assert browser.text("#detail") == ""
    assert focused(browser).startswith("order-")


def _repair(browser):
    browser.click("#failures .failures form button")
    until(lambda: "goes on from where it stopped" in browser.text("#notice"))
    until(lambda: "Order exceptions" not in browser.text("#failures"))


def _pictures(browser, folder):
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for name, width, height in (("wide", 1440, 1300), ("tablet", 820, 1180), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"console-{scheme}-{name}.png", whole=name == "narrow")
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    browser.size(1440, 900)
    browser.click("#orders tbody tr:first-child a")
    until(lambda: "What happened" in browser.text("#detail"))
    for scheme in ("dark", "light"):
        browser.scheme(scheme)
        browser.picture(folder / f"console-{scheme}-order.png")
    browser.click("#detail [data-close]")


async def test_the_page_says_so_when_answers_stay_away(browser, served):
    url, process = served
    await asyncio.to_thread(sign_in, browser, url)
    process.terminate()
    await asyncio.to_thread(until, lambda: "No answer from the console" in browser.text("#connection"))


async def test_an_administrator_adds_somebody_and_gives_them_a_role(browser, served, store, tmp_path):
    url, _ = served
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    person = OutsidePerson(issuer="https://login.example", subject="u-1", name="lee@corp", roles=frozenset({"view"}))
    await ConsoleUsers(store).sign_in_from_outside(person)
    await asyncio.to_thread(sign_in, browser, url)
    await asyncio.to_thread(_administer, browser, folder)
    roles = await store.fetchval("select roles from identity.console_user where name = 'Kim'")
    assert roles == ["approve", "repair", "view"]
    assert browser.complaints() == []


def _administer(browser, folder):
    browser.size(1440, 900)
    browser.click("a[href='/people']")
    browser.type(".add input[type=text]", "Kim")
    browser.click(".add input[name=repair]")
    browser.click(".add button")
    until(lambda: len(browser.text("#token")) > 20)
    browser.click("[data-person=Kim] input[name=approve]")
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for name, width, height in (("wide", 1440, 900), ("narrow", 390, 844)):
            browser.size(width, height)
            browser.picture(folder / f"people-{scheme}-{name}.png", whole=name == "narrow")
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} scrolls sideways"
    browser.size(1440, 900)
    browser.click("[data-person=Kim] .roles-of button")
    until(lambda: browser.url.endswith("/people") and not browser.text("#token"))
    assert browser.run("return document.querySelector('[data-person=Kim] input[name=approve]').checked")
