"""Panels and details on a real record."""

import re

import pytest

from gateway.console.pages import PANELS
from gateway.console.reading import EVENT_FILTERS, ORDER_VIEWS
from gateway.kernel.ids import new_id

from . import seeding

pytestmark = pytest.mark.integration
HTMX = {"hx-request": "true"}


async def test_an_empty_record_shows_empty_panels_that_say_what_comes(console):
    client, _ = await console.person("view")
    async with client:
        page = await client.get("/")
    assert page.status_code == 200
    for text in ("No orders here yet", "Nothing waits for a person", "No stock is known yet", "The log is empty"):
        assert text in page.text


async def test_the_page_shows_orders_positions_events_and_failures(console):
    ids = await seeding.seed_everything(console.store)
    client, _ = await console.person("view", "repair")
    async with client:
        page = (await client.get("/")).text
        for text in (
            "PO-49002",
            "PIPE-22/3M",
            "stock.movement_recorded",
            "item.not_found",
            "item.unmapped",
            "erp.timeout",
        ):
            assert text in page
        assert page.index("PO-49002") < page.index("PO-49001") < page.index("PO-48023")  # the most troubled first
        order = (await client.get(f"/orders/{ids['stuck']}")).text
        for text in ("order.exception_raised", "erp order", "SO-77", "VALVE-#7"):
            assert text in order
        event = await console.store.fetchval("select max(id) from store.told where type = 'availability.changed'")
        for path in (f"/dead-letters/{ids['letter']}", f"/parked/{ids['parked']}", f"/events/{event}"):
            assert (await client.get(path)).status_code == 200
            assert "<html" not in (await client.get(path, headers=HTMX)).text


async def test_every_filter_answers(console):
    await seeding.seed_everything(console.store)
    client, _ = await console.person("view")
    async with client:
        for view in (*ORDER_VIEWS, "nonsense"):
            assert (await client.get("/panels/orders", params={"view": view})).status_code == 200
        for kind in (*EVENT_FILTERS, "nonsense"):
            assert (await client.get("/panels/events", params={"type": kind})).status_code == 200
        for asked in ("PO-49001", "ord_x", "\0", "%", "' or 1=1"):
            assert (await client.get("/panels/orders", params={"order": asked})).status_code == 200
        found = await client.get("/panels/orders", params={"order": "PO-49001", "view": "done"})
        assert "PO-49001" in found.text
        assert "PO-49002" not in found.text
        for search, hits in (("pipe-22/3", 2), ("copper", 2), ("%", 0), ("\\", 0), ("_____", 0), ("\0valve-#", 2)):
            text = (await client.get("/panels/positions", params={"sku": search})).text
            assert len(re.findall(r'<th scope="row" class="name">', text)) == hits


async def test_a_panel_that_has_not_changed_is_not_sent_again(console):
    await seeding.seed_stock(console.store)
    client, _ = await console.person("view")
    async with client:
        for name in PANELS:
            first = await client.get(f"/panels/{name}")
            digest = re.search(r'"digest": "(\w+)"', first.text).group(1)
            assert (await client.get(f"/panels/{name}", params={"digest": digest})).status_code == 204
            assert (await client.get(f"/panels/{name}", params={"digest": "other"})).status_code == 200


async def test_hostile_names_are_shown_as_text(console):
    hostile = "<script>alert(1)</script>'\"&{{7*7}}"
    order = await seeding.seed_order(console.store, hostile, "exception", sold_to="<img src=x onerror=alert(1)>")
    await seeding.seed_exception(console.store, order, hostile)
    await seeding.seed_letter(console.store, hostile)
    await seeding.seed_parked(console.store, hostile)
    await seeding.seed_webhook(console.store, hostile)
    client, _ = await console.person("view", "repair")
    async with client:
        for path in (
            "/",
            f"/orders/{order}",
            "/?sku=<script>&order=<script>",
            "/dead-letters/1",
            "/parked/1",
            "/events/1",
        ):
            text = (await client.get(path)).text
            assert "<script>alert" not in text
            assert "<script>" not in text
            assert "<img src=x" not in text
        assert "&lt;script&gt;alert(1)" in (await client.get("/")).text
        assert "{{7*7}}" in (await client.get("/")).text


async def test_no_page_has_anything_inline(console):
    ids = await seeding.seed_everything(console.store)
    client, _ = await console.person("view", "repair")
    async with client:
        for path in (
            "/",
            "/sign-in",
            "/nowhere",
            f"/orders/{ids['stuck']}",
            f"/dead-letters/{ids['letter']}",
            "/password",
        ):
            text = (await client.get(path)).text
            assert "style=" not in text
            assert not re.search(r"<style|\son\w+=|javascript:|hx-on|<script(?! src=)", text)


async def test_payloads_show_the_business_and_hide_people_and_secrets(console):
    ids = await seeding.seed_everything(console.store)
    client, _ = await console.person("view")
    async with client:
        accepted = await console.store.fetchval("select id from store.event where type = 'order.accepted' limit 1")
        pages = [
            (await client.get(path)).text
            for path in ("/", f"/orders/{ids['stuck']}", f"/events/{accepted}", f"/parked/{ids['parked']}")
        ]
        movement = await console.store.fetchval(
            "select id from store.event where type = 'stock.movement_recorded' limit 1"
        )
        pages.append((await client.get(f"/events/{movement}")).text)
    for text in pages:
        for hidden in ("Jane Roe", "Secret Lane", "hunter2", "sam@wms.test", "Sam Picker", "4111 1111"):
            assert hidden not in text
    assert "X-9" in pages[3]
    assert "pick_confirmed" in pages[4]


async def test_another_tenant_is_not_there(console):
    await seeding.seed_order(console.store, "PO-1", "held")
    letter = await seeding.seed_letter(console.store, "theirs", tenant="other")
    order = await seeding.seed_order(console.store, "PO-2", "held")
    await console.store.execute("update order_to_ship.sales_order set tenant = 'other' where order_id = $1", order)
    await console.store.execute("update store.event set tenant = 'other' where aggregate = $1", order)
    event = await console.store.fetchval("select id from store.event where tenant = 'other' limit 1")
    client, token = await console.person("view", "repair")
    async with client:
        assert "PO-2" not in (await client.get("/")).text
        for path in (f"/orders/{order}", f"/events/{event}", f"/dead-letters/{letter}"):
            assert (await client.get(path)).status_code == 404
        form = {"csrf_token": token, "reason": "mine now"}
        for verb in ("replay", "resolve"):
            assert (await client.post(f"/dead-letters/{letter}/{verb}", data=form)).status_code == 404


@pytest.mark.parametrize(
    "path", ["/orders/nothing", "/orders/%00", "/events/99999999999999999999", "/events/0", "/panels/x"]
)
async def test_what_does_not_exist_is_not_found(console, path):
    client, _ = await console.person("view")
    async with client:
        assert (await client.get(path)).status_code == 404
        assert (await client.get(f"/orders/{new_id('ord')}")).status_code == 404
