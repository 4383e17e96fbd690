from decimal import Decimal

import pytest

from gateway.canonical.capabilities import CancelsTwins, ReadsCustomers, ReadsStock, SendsWebhooks
from gateway.canonical.location import Location
from gateway.canonical.order import SalesLine, SalesOrder, ShipmentLine
from gateway.canonical.party import Address
from gateway.kernel.errors import Misconfigured, NotFound
from gateway.kernel.money import Money
from gateway.systems.directory import Directory

from .conftest import NOW, call


def order(*locations):
    lines = tuple(
        SalesLine(
            line=number,
            item="itm",
            sku="A",
            amount=Decimal(1),
            uom="EA",
            unit_price=Money(Decimal(1), "USD"),
            location=location,
        )
        for number, location in enumerate(locations, start=1)
    )
    ship_to = Address(name="n", street="s", city="c", postal_code="p", country="US")
    return SalesOrder(
        order="ord_1",
        tenant="acme",
        sold_to="C",
        external_number="1",
        currency="USD",
        placed_at=NOW,
        ship_to=ship_to,
        lines=lines,
    )


def test_instances_are_found_by_what_they_offer_and_where(directory):
    assert [name for name, _ in directory.find(ReadsStock)] == ["erp", "wms_north"]
    assert [name for name, _ in directory.find(ReadsStock, location="west")] == ["erp"]
    assert [name for name, _ in directory.find(SendsWebhooks, location="north")] == ["wms_north"]
    assert directory.find(ReadsCustomers, location="north")[0][0] == "erp"


def test_roles_follow_the_location(directory):
    assert (directory.erp_of("acme", "north"), directory.erp_of("acme", "west")) == ("erp", "erp")
    assert (directory.poster_of("acme", "north"), directory.poster_of("acme", "west")) == ("erp", None)
    assert (directory.warehouse_of("acme", "north"), directory.warehouse_of("acme", "west")) == ("wms_north", None)


def test_what_settings_do_not_define_is_misconfigured_and_what_callers_invent_is_not_found(directory):
    with pytest.raises(Misconfigured):
        directory.erp_of("acme", "moon")
    with pytest.raises(Misconfigured):
        directory.releases_work("erp")
    with pytest.raises(NotFound):
        directory.ask("erp", SendsWebhooks)
    with pytest.raises(NotFound):
        directory.ask("no_such", SendsWebhooks)
    lost = Location(location="x", name="X", region="na", time_zone="UTC", holder="nobody", poster_to="nobody")
    with pytest.raises(Misconfigured):
        Directory([], [lost], tenant="acme").poster_of("acme", "x")
    with pytest.raises(Misconfigured):
        Directory([], [lost], tenant="acme").erp_of("acme", "x")


@pytest.mark.parametrize("ask", ["erp_of", "poster_of", "warehouse_of"])
def test_no_system_takes_the_orders_of_another_tenant(directory, ask):
    with pytest.raises(Misconfigured, match="other has no location 'north'"):
        getattr(directory, ask)("other", "north")


async def test_systems_hear_their_own_location_codes_and_processes_ours(directory, erp, wms_memory):
    made = await directory.takes_orders("erp").submit_order(call(), order=order("north", "west", None))
    assert [line.location for line in erp.submitted[0].lines] == ["WH-N", "WH-W", None]
    assert made.shipments[0].location == "north"
    found = await directory.takes_orders("erp").find_order(call(), reference="ord_1")
    assert found.shipments[0].location == "north"

    await directory.releases_work("wms_north").release_work(call(), order=order("north"), location="north")
    released, location = wms_memory.released[0]
    assert (released.lines[0].location, location) == ("NOR1", "NOR1")

    line = ShipmentLine(line=1, item="itm", amount=Decimal(1))
    postings = directory.posts_shipments("erp")
    posted = await postings.post_shipment(call(), reference="o", posting="p", location="west", lines=[line])
    assert (erp.postings["p"].location, posted.location) == ("WH-W", "west")


def test_an_erp_that_cancels_twins_still_does_so_in_our_codes(directory):
    assert isinstance(directory.takes_orders("erp"), CancelsTwins)
