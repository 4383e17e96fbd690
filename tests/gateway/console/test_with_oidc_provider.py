"""People of the real oidc-provider from npm sign in to the served console in a real browser."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.console.openid import CALLBACK

from .browser import Browser, free_port, until

TOOLS = Path(os.environ.get("OIDC_TOOLS", Path(__file__).parents[3] / ".crossdock" / "oidc-provider"))
NEEDED = [shutil.which(name) for name in ("node", "chromium", "chromedriver")]
pytestmark = [
    pytest.mark.long,
    pytest.mark.integration,
    pytest.mark.skipif(
        not (TOOLS / "node_modules" / "oidc-provider").exists() or None in NEEDED,
        reason="no oidc-provider or no chromium: run tests/install_outside_tools.sh",
    ),
]


@pytest.fixture
def provider(tmp_path):
    port = free_port(set())
    console_port = free_port({port})
    folder = tmp_path / "provider"
    folder.mkdir()
    shutil.copyfile(Path(__file__).with_name("oidc_provider.mjs"), folder / "provider.mjs")
    (folder / "node_modules").symlink_to(TOOLS / "node_modules")
    # The two are different sites to the browser, as they are in life: cookies that are ``strict`` stay behind.
    back = f"http://localhost:{console_port}{CALLBACK}"
    process = subprocess.Popen(
        ["node", str(folder / "provider.mjs"), str(port), back], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    issuer = f"http://127.0.0.1:{port}"
    until(lambda: httpx.get(f"{issuer}/jwks", trust_env=False).status_code == 200, 60)
    yield issuer, console_port
    process.kill()
    process.wait(15)


@pytest.fixture
def console(provider, console_url):
    issuer, port = provider
    environment = os.environ | {"CONSOLE_ISSUER": issuer, "CONSOLE_URL": f"http://localhost:{port}"}
    script = Path(__file__).with_name("serve_console.py")
    process = subprocess.Popen([sys.executable, str(script), console_url, str(port)], env=environment)
    url = f"http://localhost:{port}"
    until(lambda: httpx.get(f"{url}/sign-in", trust_env=False).status_code == 200)
    yield url
    process.terminate()
    process.wait(15)


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


async def test_a_person_signs_in_at_a_real_provider_and_out_again(browser, console, store, tmp_path):
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    await asyncio.to_thread(_sign_in_and_out, browser, console, folder)
    assert await store.fetchval("select name from identity.console_user where subject = 'leads'") == "leads@corp"
    assert await store.fetchval("select count(*) from identity.console_session") == 0
    await asyncio.to_thread(_refused, browser, console)


def _sign_in_and_out(browser, url, folder):
    browser.size(1440, 900)
    browser.go(f"{url}/sign-in")
    browser.picture(folder / "console-openid.png")
    _at_provider(browser, "leads")
    until(lambda: "Orders today" in browser.text())
    assert browser.url == f"{url}/"
    assert "leads@corp" in browser.text(".who")
    assert "approve, repair, view" in browser.text(".roles")
    browser.click(".top form button")
    # The provider asks the person first, because we keep no ID token to show it (RP-Initiated Logout 1.0, section 2).
    until(lambda: "/session/end" in browser.url)
    browser.click("button[name=logout]")
    until(lambda: browser.url == f"{url}/sign-in")
    browser.click("a[href='/sign-in/openid']")
    until(lambda: "/interaction/" in browser.url)
    assert browser.run("return !!document.querySelector('input[name=login]')"), "its session is over, there too"


def _at_provider(browser, name):
    browser.click("a[href='/sign-in/openid']")
    until(lambda: "/interaction/" in browser.url)
    if browser.run("return !!document.querySelector('input[name=login]')"):
        browser.type("input[name=login]", name)
        browser.type("input[name=password]", "anything")
        browser.click("button[type=submit]")
    until(lambda: "/interaction/" not in browser.url or "Authorize" in browser.text())
    if "/interaction/" in browser.url:
        browser.click("button[type=submit]")


def _refused(browser, url):
    browser.forget_cookies()
    browser.go(f"{url}/sign-in")
    _at_provider(browser, "guests")
    until(lambda: "has no role here" in browser.text(".notice"))
    browser.go(f"{url}/")
    until(lambda: browser.url.endswith("/sign-in"))
