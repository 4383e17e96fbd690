"""One verb for many entries: a plan, a second person, progress, a cancel; killed in the middle, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gateway.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from process_apis.exceptions.models import Wanted
from process_apis.exceptions.options import ExceptionOptions

from .conftest import Desk

pytestmark = pytest.mark.integration


@pytest.fixture
async def desk(store):
    desk = Desk(store, ExceptionOptions(alone=3))
    for number in range(8):
        await desk.put(f"k{number}", code="c" if number < 6 else "other")
    await desk.look()
    return desk


async def plan(desk, verb="retry", name="ada", **wanted):
    return await desk.exceptions.bulks.plan(desk.caller(name), verb, Wanted(**wanted), reason="the ERP is back")


async def test_a_large_bulk_is_begun_by_another_person_than_who_planned_it(desk):
    bulks = desk.exceptions.bulks
    planned = await plan(desk, code="c")
    assert (planned.size, planned.waiting, planned.state) == (6, 6, "planned")
    assert await bulks.run("acme") == 0
    for name, approving in (("ada", False), ("bob", False), ("ada", True)):
        with pytest.raises(NotAllowed) as refused:
            await bulks.begin(desk.caller(name), planned.bulk, approving=approving)
        assert refused.value.code == "exceptions.second_person"
    await bulks.begin(desk.caller("bob"), planned.bulk, approving=True)
    while await bulks.run("acme"):
        pass
    ended = await bulks.get("acme", planned.bulk)
    assert (ended.state, ended.done, ended.waiting, ended.begun_by) == ("done", 6, 0, "bob")
    assert await desk.store.fetchval("select sum(tries) from box") == 6
    assert (await desk.one("k0")).asked_by == "bob"
    assert (await desk.one("k7")).state == "open"
    with pytest.raises(Conflict):
        await bulks.begin(desk.caller("bob"), planned.bulk, approving=True)


async def test_a_small_one_is_begun_by_who_planned_it_and_what_changed_meanwhile_is_skipped(desk):
    bulks = desk.exceptions.bulks
    planned = await plan(desk, "ignore", code="other")
    await desk.exceptions.assign(desk.caller("cy"), (await desk.one("k6")).entry, "cy")
    await bulks.begin(desk.caller(), planned.bulk)
    while await bulks.run("acme"):
        pass
    ended = await bulks.get("acme", planned.bulk)
    assert (ended.state, ended.done, ended.skipped) == ("done", 1, 1)
    assert ((await desk.one("k6")).state, (await desk.one("k7")).state) == ("assigned", "ignored")
    [told] = await bulks.troubled(ended)
    assert told["code"] == "exceptions.changed"


async def test_what_is_cancelled_does_no_more_and_what_was_done_stays(desk, monkeypatch):
    bulks = desk.exceptions.bulks
    monkeypatch.setattr("process_apis.exceptions.bulk._TURN", 2)
    planned = await plan(desk, code="c")
    await bulks.begin(desk.caller("bob"), planned.bulk, approving=True)
    assert await bulks.run("acme") == 2
    cancelled = await bulks.cancel(desk.caller("cy"), planned.bulk)
    assert await bulks.run("acme") == 0
    assert (cancelled.state, cancelled.done, cancelled.waiting) == ("cancelled", 2, 4)
    with pytest.raises(Conflict):
        await bulks.cancel(desk.caller("cy"), planned.bulk)
    assert await desk.store.fetchval("select sum(tries) from box") == 2


async def test_two_workers_and_one_that_dies_try_nothing_twice_and_end_all_of_it(desk):
    bulks = desk.exceptions.bulks
    planned = await plan(desk, code="c")
    await bulks.begin(desk.caller("bob"), planned.bulk, approving=True)
    for pause in (0.0, 0.002, 0.004, 0.008):
        dying = asyncio.ensure_future(bulks.run("acme"))
        await asyncio.sleep(pause)
        dying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await dying
    await asyncio.gather(bulks.run("acme"), bulks.run("acme"))
    while await bulks.run("acme"):
        pass
    ended = await bulks.get("acme", planned.bulk)
    assert (ended.state, ended.done, ended.skipped, ended.failed) == ("done", 6, 0, 0)
    assert await desk.store.fetchval("select max(tries) from box") == 1
    assert await desk.store.fetchval("select count(*) from store.audit where action = 'exceptions.retry'") == 6


async def test_nothing_that_fits_and_another_tenants_bulk_are_refused(desk):
    with pytest.raises(Invalid) as refused:
        await plan(desk, fault_domain="nobody")
    assert refused.value.code == "exceptions.bulk_empty"
    planned = await plan(desk, code="other")
    other = desk.caller(tenant="other")
    for asked in (
        desk.exceptions.bulks.get("other", planned.bulk),
        desk.exceptions.bulks.begin(other, planned.bulk, approving=True),
        desk.exceptions.bulks.cancel(other, planned.bulk),
    ):
        with pytest.raises(NotFound):
            await asked
    assert await desk.exceptions.bulks.listed("other") == []
