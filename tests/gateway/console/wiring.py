"""Processes that the console's pages tell of, put together as the pages' tests need them."""

from datetime import UTC, datetime
from decimal import Decimal

from gateway.backbone.letter_troubles import LetterTroubles
from gateway.canonical.location import Location, LocationMap
from gateway.kernel.clock import SystemClock
from process_apis.availability.freshness import Objective, SourceObjectives
from process_apis.availability.process import Availability
from process_apis.availability.troubles import ParkedTroubles
from process_apis.channel_publication.models import PublishedChannel
from process_apis.channel_publication.process import ChannelPublication
from process_apis.exceptions.process import Exceptions
from process_apis.exceptions.rules import effect_of_letter
from process_apis.items.process import Items
from process_apis.order_to_ship.selling import Sold as SoldOrders
from process_apis.procure_to_pay.process import ProcureToPay
from process_apis.returns.process import Returns
from process_apis.stock_operations.process import StockOperations

TENANT = "acme"
PLACES = [
    Location(
        location=f"loc_{region}",
        name=region,
        region=region,
        time_zone="UTC",
        holder=holder,
        codes={holder: "X", "erp": region},
        stand_by="erp" if region == "emea" else None,
    )
    for region, holder in (("na", "wms_na"), ("emea", "wms_emea"), ("apac", "<3pl>"))
]


class Shop:
    compares, figures_per_call = True, 250


class Sold:
    async def oversold(self, _tenant):
        return [
            {"channel": "mart", "units": Decimal(7), "orders": 2, "waiting": Decimal(3), "last_at": datetime.now(UTC)}
        ]


def regions_of(store):
    """Availability of three regions: one has an objective, one a stand-by, one a name to be escaped."""
    clock = SystemClock()
    return Availability(
        store=store,
        cache=None,
        items=Items(store, clock),
        locations=LocationMap({TENANT: PLACES}),
        clock=clock,
        freshness={"wms_emea": SourceObjectives(stock=Objective(degraded_after_seconds=60))},
    )


def channels_of(store):
    """Publication to two shops."""
    clock = SystemClock()
    items = Items(store, clock)
    availability = Availability(store=store, cache=None, items=items, locations=LocationMap({TENANT: []}), clock=clock)
    return ChannelPublication(
        store,
        clock,
        tenant=TENANT,
        channels=[
            PublishedChannel(name=name, system=f"shop_{name}", shows=Shop(), orders=None) for name in ("eu", "us")
        ],
        items=items,
        availability=availability,
        claims=availability,
        rules=_no_rule,
    )


async def _no_rule(_tenant, _channel):
    return 0


class Nobody:
    """No warehouse system takes anything from us."""

    def __getattr__(self, _name):
        return lambda *_: None


def operations_of(store):
    """Stock operations of three regions, none of whose warehouses is asked for anything."""
    availability, clock = regions_of(store), SystemClock()
    return StockOperations(
        store,
        clock,
        items=Items(store, clock),
        locations=LocationMap({TENANT: PLACES}),
        claims=availability,
        records=availability,
        positions=availability,
        lots=availability,
        warehouses=Nobody(),
    )


def queue_of(store):
    """The exceptions with the owners of dead letters and of parked reports."""
    return Exceptions(store, [LetterTroubles(effect_of_letter), ParkedTroubles(SystemClock())])


def returns_of(store):
    """Returns to three regions, none of whose systems is asked for anything."""
    return Returns(
        store, SystemClock(), orders=SoldOrders(), locations=LocationMap({TENANT: PLACES}), records=regions_of(store),
        warehouses=Nobody(), creditors=Nobody(),
    )  # fmt: skip


def purchases_of(store):
    """Purchases of an ERP whose books people keep."""
    return ProcureToPay(
        store, items=Items(store, SystemClock()), locations=LocationMap({TENANT: PLACES}), supply=regions_of(store),
        books=Nobody(), clock=SystemClock(),
    )  # fmt: skip
