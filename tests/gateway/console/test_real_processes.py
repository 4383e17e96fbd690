"""The buttons on the processes themselves: what the composition root wires behind the console does fit it."""

import pytest

from gateway.console.app import make_console
from gateway.durable.schema import migrate_durable
from gateway.kernel.clock import SystemClock
from process_apis.order_to_ship.process import OrderToShip
from process_apis.partner_notifications.process import PartnerNotifications

from .conftest import TENANT, Console
from .seeding import seed_exception, seed_order, seed_webhook, task

pytestmark = pytest.mark.integration


@pytest.fixture
async def real(console_url, store):
    await migrate_durable(console_url)
    clock = SystemClock()
    console = Console(store)
    console.app = make_console(
        store=store,
        clock=clock,
        tenant=TENANT,
        # What they ask of others is not needed for a repair: a repair only changes the record.
        orders=OrderToShip(store, clock, items=None, claims=None, systems=None),
        messages=PartnerNotifications(store, None, renderer=None, sender=None),
    )
    return console


async def test_a_retried_exception_is_resolved_in_the_persons_name_and_the_order_woken(real):
    order = await seed_order(real.store, "PO-1", "exception")
    await task(real.store, order, "terms", "erp_na", "erp_na", "pending", error="erp.timeout")
    exception = await seed_exception(real.store, order, "no answer")
    client, token = await real.person("view", "repair")
    async with client:
        assert exception in (await client.get("/panels/failures")).text
        done = await client.post(f"/exceptions/{exception}/retry", data={"csrf_token": token})
        again = await client.post(f"/exceptions/{exception}/retry", data={"csrf_token": token})
        assert (done.status_code, again.status_code) == (303, 409)
        assert "Nothing waits for a person" in (await client.get("/panels/failures")).text
    row = await real.store.fetchrow("select * from order_to_ship.exception where exception_id = $1", exception)
    assert (row["state"], row["resolved_by"]) == ("resolved", "console/view-repair-person")
    assert await real.store.fetchval("select count(*) from dbos.workflow_status") == 1
    actors = await real.store.fetch("select actor, action from store.audit where actor <> 'cli'")
    assert [tuple(row) for row in actors] == [("console/view-repair-person", "exception.retry")]


async def test_a_lost_webhook_is_sent_again(real):
    message = await seed_webhook(real.store, "503")
    client, token = await real.person("view", "repair")
    async with client:
        assert (await client.post(f"/webhooks/{message}/redeliver", data={"csrf_token": token})).status_code == 303
        assert (await client.post(f"/webhooks/{message}/redeliver", data={"csrf_token": token})).status_code == 404
    state = await real.store.fetchval("select state from partner_notifications.message where message = $1", message)
    assert state == "waiting"
