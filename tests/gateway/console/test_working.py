"""The page of workers, on a real record with turns and slots."""

import re
from contextlib import asynccontextmanager

import pytest

from gateway.console.working import WorkerDesk
from gateway.durable.schema import migrate_durable
from gateway.durable.shapes import Shape
from gateway.durable.slots import claim_slot
from gateway.durable.workers import registration, sql
from tests.records import enqueue_now

from .conftest import MIGRATIONS, TENANT

pytestmark = pytest.mark.integration


@pytest.fixture
async def console_url(records):
    async with records.lent(MIGRATIONS, migrate_durable) as url:
        yield url


@asynccontextmanager
async def at_work(url, shape="1"):
    slot = await claim_slot(url, on_lost=print)
    await slot.fetch(sql.register, *registration(slot.number, Shape(name=shape), ()))
    try:
        yield slot.number
    finally:
        await slot.release()


@pytest.fixture
def shown(console):
    console.app = console.made(workers=WorkerDesk(console.store, TENANT))
    return console


async def run_a_turn(store, subject, *, shape="1", slot=1):
    async with store.transaction() as connection:
        await enqueue_now(connection, workflow="order_to_ship.advance", workflow_id=f"{subject}:1", args=[], queue="q",
                      shape=shape)  # fmt: skip
        await connection.execute(
            "update dbos.workflow_status set status = 'PENDING', executor_id = $2,"
            " started_at_epoch_ms = extract(epoch from now()) * 1000 where workflow_uuid = $1",
            f"{subject}:1", f"slot-{slot}",
        )  # fmt: skip


async def test_the_page_tells_who_works_on_what_and_which_turns_nobody_runs(shown, console_url):
    client, _ = await shown.person("view")
    async with at_work(console_url) as slot, client:
        await run_a_turn(shown.store, "ord_1", slot=slot)
        async with shown.store.transaction() as connection:
            await enqueue_now(connection, workflow="w", workflow_id="ord_2:1", args=[], queue="q", shape="9")
        page = (await client.get("/workers")).text
    assert f'data-slot="{slot}" data-state="at_work"' in page
    assert "ord_1" in page
    assert "Nobody runs 1 turn of shape 9." in page
    assert 'data-shape="9"' in page
    assert "Drain" not in page, "a viewer ends nothing"


async def test_draining_asks_first_is_audited_and_never_takes_the_last(shown, console_url):
    client, token = await shown.person("view", "approve")
    async with at_work(console_url) as first, client:
        asked = await client.get(f"/workers/{first}/drain")
        assert "No other worker runs its shape" in asked.text
        since = re.search(r'name="since" value="([^"]+)"', asked.text).group(1)
        form = {"csrf_token": token, "since": since}
        refused = await client.post(f"/workers/{first}/drain", data=form)
        assert refused.status_code == 409
        assert "start another one first" in refused.text
        async with at_work(console_url):
            other = await client.post(f"/workers/{first}/drain", data=form | {"since": "2020-01-01T00:00:00+00:00"})
            assert other.status_code == 409
            assert "another worker" in other.text
            done = await client.post(f"/workers/{first}/drain", data=form)
            assert done.status_code == 303
            assert f'data-slot="{first}" data-state="draining"' in (await client.get("/workers")).text
    [audited] = await shown.store.fetch("select actor, subject from store.audit where action = 'worker.drain_asked'")
    assert (audited["actor"], audited["subject"]) == ("console/view-approve-person", f"slot-{first}")


async def test_who_may_only_view_drains_nobody_and_an_empty_slot_is_told(shown, console_url):
    client, token = await shown.person("view")
    async with at_work(console_url) as slot, client:
        assert (await client.get(f"/workers/{slot}/drain")).status_code == 403
        assert (await client.post(f"/workers/{slot}/drain", data={"csrf_token": token})).status_code == 403
    client, _ = await shown.person("view", "approve")
    async with client:
        assert (await client.get("/workers/77/drain")).status_code == 404
        assert "No worker runs" in (await client.get("/workers")).text
