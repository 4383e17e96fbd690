"""The page of master data, with items on a real record."""

import pytest

from gateway.canonical.item import ReportedItem
from gateway.console.app import make_console
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.reference import readings
from gateway.reference.outcomes import Refusal
from gateway.reference.readings import Read
from gateway.reference.survivorship import Ownership
from process_apis.items.process import Items

from .conftest import TENANT, Messages, Orders, client_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def shown(console):
    """The console with an item of which an ERP and a PIM speak, and whose name the PIM owns."""
    clock, store = SystemClock(), console.store
    items = Items(store, clock)
    for source, name in (("erp", "Bolt <b>"), ("pim", "Bolt, 8 mm")):
        reported = [ReportedItem(source_code="1", sku="MD/1 #é", name=name, base_uom="EA")]
        await items.adopt(TENANT, source, reported, correlation_id="c")
    principal = Principal(
        subject="kim", tenant=TENANT, zones=frozenset({Zone.PROCESS}), scopes=frozenset(), credential="key"
    )
    caller = Caller(principal=principal, correlation_id="c", request_id="r", deadline=float("inf"))
    owned = {"name": Ownership(publishes=("pim",), validates=("erp",), consumes=("shop",))}
    await items.change_ownership(caller, owned, expected=1, note="the PIM is in use")
    console.app = make_console(
        store=store, clock=clock, tenant=TENANT, orders=Orders(), messages=Messages(), masters={"items": items}
    )
    return console


async def test_who_owns_what_and_where_each_value_comes_from_are_on_one_page(shown):
    client, _ = await shown.person("view")
    async with client:
        page = (await client.get("/master-data", params={"kind": "items", "name": "MD/1 #é"})).text
        unknown = (await client.get("/master-data", params={"kind": "<none>", "name": "<none>"})).text
        links = (await client.get("/")).text
    assert 'href="/master-data"' in links
    assert "the PIM is in use" in page
    row = page.split('data-attribute="name"')[1].split("</tr>")[0]
    assert "Bolt, 8 mm" in row
    assert "disputed by erp" in row
    assert "erp: Bolt &lt;b&gt; <span" in row
    owned = page.split('data-owned="name"')[1].split("</tr>")[0]
    assert [each in owned for each in ("pim", "erp", "shop")] == [True] * 3
    assert "There is no item &lt;none&gt;" in unknown


async def test_what_a_systems_list_came_to_and_what_of_it_is_refused_is_told_until_it_is_mended(shown):
    reading, began = await readings.begin(shown.store, TENANT, "item", "erp<1>"), SystemClock().now()
    refused = [Refusal("<X>", "number", "item.sku_unfit", "clean it & try again")]
    async with shown.store.transaction() as connection:
        await readings.tell(connection, reading, ["<X>"], refused, began)
        read = Read(source="erp<1>", whole=True, listed=7, created=6, refused=tuple(refused))
        await readings.end(connection, reading, read, began, began)
    client, _ = await shown.person("view")
    async with client:
        page = (await client.get("/master-data", params={"kind": "items"})).text
    row = page.split('data-read="erp&lt;1&gt;"')[1].split("</tr>")[0]
    assert [each in row for each in (">7<", ">6<", ">1<")] == [True] * 3
    assert "clean it &amp; try again" in page.split('data-refused="&lt;X&gt;"')[1].split("</tr>")[0]


async def test_who_is_not_signed_in_sees_nothing_of_it(shown):
    async with client_of(shown.app) as stranger:
        assert (await stranger.get("/master-data")).status_code in (303, 401)
