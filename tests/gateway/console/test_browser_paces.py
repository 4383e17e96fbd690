"""A person sees what waits for paced systems and who works, and has a worker end, in a real browser."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.durable.schema import migrate_durable
from gateway.pacing.options import Work

from .browser import until
from .conftest import MIGRATIONS
from .seeding import seed_places
from .test_browser import browser, served, sign_in  # noqa: F401  # fixtures
from .test_browser_queues import _pictures
from .test_working import at_work, run_a_turn

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(1_200)]


@pytest.fixture
async def console_url(records):
    async with records.lent(MIGRATIONS, migrate_durable) as url:
        yield url


async def test_a_person_sees_backlogs_and_has_a_worker_end(browser, served, store, console_url, tmp_path):  # noqa: F811
    await seed_places(store, "erp", called=2, waiting={Work.ORDINARY: 31, Work.POSTING: 12, Work.UNCERTAIN: 2})
    await seed_places(store, "wms_north", called=1, waiting={Work.ORDINARY: 4, Work.UNDO: 3})
    for call in range(4):
        await store.execute("insert into pacing.call values ('erp', $1, now() + interval '1 hour')", str(call))
    for seconds in (50, 30, 10):
        await store.execute("insert into pacing.visit values ('erp', now() - make_interval(secs => $1))", seconds)
    folder = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    async with at_work(console_url) as slot, at_work(console_url):
        for number in range(3):
            await run_a_turn(store, f"ord_{number}", slot=slot)
        await run_a_turn(store, "ord_9", shape="9", slot=77)
        await asyncio.to_thread(_look, browser, served[0], slot, folder)
        asked = "select slot from durable.worker where drain_asked_at is not null"
        assert await store.fetchval(asked) == slot
    assert browser.complaints() == []


def _look(browser, url, slot, folder):  # noqa: F811
    browser.size(1440, 900)
    sign_in(browser, url)
    browser.click("nav a[href='/backlog']")
    until(lambda: "45 wait" in browser.run("return document.querySelector('[data-system=erp]').innerHTML"))
    _pictures(browser, folder, "backlog")
    browser.click("nav a[href='/workers']")
    until(lambda: "Nobody runs 1 turn of shape 9." in browser.text("main"))
    _pictures(browser, folder, "workers")
    browser.click(f"[data-slot='{slot}'] a.button")
    until(lambda: "1 more of its shape goes on" in browser.text("main"))
    _pictures(browser, folder, "worker-drain")
    browser.click("main form button")
    until(lambda: browser.run("return document.querySelectorAll('[data-state=draining]').length") == 1)
