"""Who answers what, for which location: the only place where a role meets an instance.

Implements `FindsSystems`, `FindsWarehouses`, `FindsCreditors`, `FindsPurchaseBooks` and `FindsAccounts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from gateway.canonical.capabilities import (
    BillsShipments,
    BooksFreight,
    BooksReceipts,
    BooksSupplierInvoices,
    CancelsTwins,
    ChangesStatus,
    IssuesCredits,
    OffersFreight,
    PostsAdjustments,
    PostsShipments,
    ReadsCustomers,
    ReadsInvoices,
    ReadsStock,
    ReadsSupplierInvoices,
    ReleasesTransfers,
    ReleasesWork,
    ReportsMovements,
    StockAccount,
    TakesCounts,
    TakesOrders,
)
from gateway.canonical.location import Location, LocationMap
from gateway.kernel.errors import Misconfigured, NotFound
from gateway.systems.loader import LoadedSystem
from gateway.systems.translation import (
    LocationCodes,
    TranslatedBookings,
    TranslatedCounts,
    TranslatedCredits,
    TranslatedOffers,
    TranslatedOrders,
    TranslatedPostings,
    TranslatedReceipts,
    TranslatedStatus,
    TranslatedTransfers,
    TranslatedTwinOrders,
    TranslatedWork,
)

Capability = TypeVar("Capability")


class Directory:
    """The configured systems and locations, all of them `tenant`'s: nobody else's orders or work reach them.

    `orders` names the ERP that takes orders where a location names none.
    """

    def __init__(
        self,
        systems: Sequence[LoadedSystem],
        locations: Sequence[Location] | LocationMap = (),
        *,
        tenant: str,
        orders: str | None = None,
    ) -> None:
        self._tenant = tenant
        self._systems: Mapping[str, LoadedSystem] = {system.name: system for system in systems}
        self._places = locations if isinstance(locations, LocationMap) else LocationMap({tenant: locations})
        self._orders = orders

    @property
    def systems(self) -> Sequence[LoadedSystem]:
        """All instances, in the order of the settings."""
        return tuple(self._systems.values())

    @property
    def locations(self) -> Sequence[Location]:
        """All locations, as they are known now."""
        return tuple(self._places.of(self._tenant))

    def system(self, name: str) -> LoadedSystem:
        """The instance `name`; raises `NotFound`."""
        try:
            return self._systems[name]
        except KeyError:
            raise NotFound(f"no system is configured as {name[:60]!r}", code="system.not_found") from None

    def ask(self, name: str, capability: type[Capability]) -> Capability:
        """The instance `name` as `capability`; raises `NotFound` when it is unknown or does not offer it."""
        system = self.system(name)
        if not system.offers(capability) or not isinstance(system.adapter, capability):
            raise NotFound(f"{name} does not offer this ({capability.__name__})", code="system.not_offered")
        return system.adapter

    def instance(self, name: str, capability: type[Capability]) -> Capability:
        """The same for what settings name: raises `Misconfigured`."""
        try:
            return self.ask(name, capability)
        except NotFound as error:
            raise Misconfigured(f"{error.detail}: check [systems] in the settings") from None

    def find(self, capability: type[Capability], *, location: str | None = None) -> Sequence[tuple[str, Capability]]:
        """Instances that offer `capability`, by name; of one location its holder and its poster's target only."""
        names = list(self._systems) if location is None else self._around(location)
        return [
            (name, self.ask(name, capability))
            for name in dict.fromkeys(names)
            if self._systems[name].offers(capability)
        ]

    def held_by(self, name: str) -> Sequence[Location]:
        """The locations whose physical stock the instance `name` owns."""
        return [location for location in self._places.of(self._tenant) if location.holder == name]

    def erp_of(self, tenant: str, location: str) -> str:
        """The ERP that takes orders for `location`."""
        poster = self.poster_of(tenant, location)
        if poster is not None and self._systems[poster].offers(TakesOrders):
            return poster
        if self._orders is None:
            raise Misconfigured(f"no ERP takes orders for {location}: set orders.erp, or poster_to of the location")
        return self._orders

    def poster_of(self, tenant: str, location: str) -> str | None:
        """The ERP that is told what `location` ships; None when nobody is."""
        return self._known(self._location(tenant, location).poster_to)

    def warehouse_of(self, tenant: str, location: str) -> str | None:
        """The warehouse system that work for `location` is released to; None when its holder takes no work."""
        return self._holder_offering(tenant, location, ReleasesWork)

    def transferring(self, tenant: str, location: str) -> str | None:
        """The warehouse system that is asked to send goods elsewhere; None when the holder takes no such orders."""
        return self._holder_offering(tenant, location, ReleasesTransfers)

    def restating(self, tenant: str, location: str) -> str | None:
        """The warehouse system that is asked to hold or release goods; None when the holder takes no such orders."""
        return self._holder_offering(tenant, location, ChangesStatus)

    def takes_orders(self, instance: str) -> TakesOrders:
        """The instance as an ERP that takes orders, in our location codes."""
        inner, codes = self.instance(instance, TakesOrders), self._codes(instance)
        if self._systems[instance].offers(CancelsTwins):
            return TranslatedTwinOrders(inner, self.instance(instance, CancelsTwins), codes)
        return TranslatedOrders(inner, codes)

    def reads_customers(self, instance: str) -> ReadsCustomers:
        """The instance as an ERP that knows customers."""
        return self.instance(instance, ReadsCustomers)

    def posts_shipments(self, instance: str) -> PostsShipments:
        """The instance as an ERP that is told of shipments, in our location codes."""
        return TranslatedPostings(self.instance(instance, PostsShipments), self._codes(instance))

    def bills_shipments(self, instance: str) -> BillsShipments:
        """The instance as an ERP that bills shipments."""
        return self.instance(instance, BillsShipments)

    def releases_work(self, instance: str) -> ReleasesWork:
        """The instance as a warehouse that takes work, in our location codes."""
        return TranslatedWork(self.instance(instance, ReleasesWork), self._codes(instance))

    def issues_credits(self, instance: str) -> IssuesCredits | None:
        """The instance as one that issues credit notes, in our location codes; None where it does not."""
        if not self.system(instance).offers(IssuesCredits):
            return None
        return TranslatedCredits(self.instance(instance, IssuesCredits), self._codes(instance))

    def books_receipts(self, instance: str) -> BooksReceipts | None:
        """The instance as one that is told what came in, in our location codes; None where it is not."""
        if not self.system(instance).offers(BooksReceipts):
            return None
        return TranslatedReceipts(self.instance(instance, BooksReceipts), self._codes(instance))

    def books_supplier_invoices(self, instance: str) -> BooksSupplierInvoices | None:
        """The instance as one that books suppliers' invoices; None where it does not."""
        offered = self.system(instance).offers(BooksSupplierInvoices)
        return self.instance(instance, BooksSupplierInvoices) if offered else None

    def reads_supplier_invoices(self, instance: str) -> ReadsSupplierInvoices | None:
        """The instance as one that tells how far suppliers' invoices are in its books, if it does."""
        offered = self.system(instance).offers(ReadsSupplierInvoices)
        return self.instance(instance, ReadsSupplierInvoices) if offered else None

    def offers_freight(self, instance: str) -> OffersFreight:
        """The instance as a carrier that says what goods cost, in our location codes."""
        return TranslatedOffers(self.instance(instance, OffersFreight), self._codes(instance))

    def books_freight(self, instance: str) -> BooksFreight:
        """The instance as a carrier that takes goods on, in our location codes."""
        return TranslatedBookings(self.instance(instance, BooksFreight), self._codes(instance))

    def business_day(self, tenant: str, location: str, at: datetime) -> date:
        """The day at a location at an instant."""
        return at.astimezone(ZoneInfo(self._location(tenant, location).time_zone)).date()

    def counting(self, tenant: str, location: str) -> str | None:
        """The warehouse system whose figures can be set to a count; None when the holder takes no counts."""
        return self._holder_offering(tenant, location, TakesCounts)

    def takes_counts(self, instance: str) -> TakesCounts:
        """The instance as a warehouse that takes counts, in our location codes."""
        return TranslatedCounts(self.instance(instance, TakesCounts), self._codes(instance))

    def releases_transfers(self, instance: str) -> ReleasesTransfers:
        """The instance as a warehouse that sends goods to other locations, in our location codes."""
        return TranslatedTransfers(self.instance(instance, ReleasesTransfers), self._codes(instance))

    def changes_status(self, instance: str) -> ChangesStatus:
        """The instance as a warehouse that holds and releases goods, in our location codes."""
        return TranslatedStatus(self.instance(instance, ChangesStatus), self._codes(instance))

    # --- who is held against whom (`FindsAccounts`) ---------------------------------------------------------------

    def journals(self, tenant: str) -> Mapping[str, ReportsMovements]:
        """Every system whose movements can be read again."""
        return dict(self.find(ReportsMovements)) if tenant == self._tenant else {}

    def owners(self, tenant: str) -> Sequence[StockAccount]:
        """Systems that hold stock and tell it whole, with the locations that they hold."""
        return self._accounts(tenant, lambda location: location.holder)

    def ledgers(self, tenant: str) -> Sequence[StockAccount]:
        """Systems that are told about stock that others hold, with those locations."""
        return self._accounts(
            tenant, lambda location: location.poster_to if location.poster_to != location.holder else None
        )

    def posts_adjustments(self, instance: str) -> PostsAdjustments | None:
        """The instance as an ERP whose figures can be corrected, in its own codes; None where it cannot."""
        if not self.system(instance).offers(PostsAdjustments):
            return None
        return self.instance(instance, PostsAdjustments)

    def reads_invoices(self, instance: str) -> ReadsInvoices | None:
        """The instance as an ERP whose invoices can be read; None where they cannot."""
        if not self.system(instance).offers(ReadsInvoices):
            return None
        return self.instance(instance, ReadsInvoices)

    def _accounts(self, tenant: str, whose: Callable[[Location], str | None]) -> Sequence[StockAccount]:
        if tenant != self._tenant:
            return ()
        return [
            StockAccount(name=name, reads=reads, codes=codes)
            for name, reads in self.find(ReadsStock)
            if (
                codes := {
                    each.location: each.codes.get(name, each.location) for each in self.locations if whose(each) == name
                }
            )
        ]

    def translated(self, name: str, capability: type[Capability]) -> Capability:
        """`ask`, in our location codes where the capability speaks of locations."""
        self.ask(name, capability)
        made: object = {
            TakesOrders: self.takes_orders,
            PostsShipments: self.posts_shipments,
            ReleasesWork: self.releases_work,
        }[capability](name)
        if not isinstance(made, capability):
            raise TypeError(capability)
        return made

    def _holder_offering(self, tenant: str, location: str, capability: type) -> str | None:
        holder = self._location(tenant, location).holder
        return holder if holder in self._systems and self._systems[holder].offers(capability) else None

    def _codes(self, instance: str) -> LocationCodes:
        return LocationCodes(
            {
                location.location: location.codes[instance]
                for location in self._places.of(self._tenant)
                if instance in location.codes
            }
        )

    def _location(self, tenant: str, location: str) -> Location:
        found = self._places.by_id(tenant, location) if tenant == self._tenant else None
        if found is None:
            raise Misconfigured(f"{tenant} has no location {location!r}: add it to the locations of its own gateway")
        return found

    def _around(self, location: str) -> Sequence[str]:
        known = self._location(self._tenant, location)
        return [name for name in (known.holder, known.poster_to) if name is not None and name in self._systems]

    def _known(self, name: str | None) -> str | None:
        if name is not None and name not in self._systems:
            raise Misconfigured(f"a location names the system {name!r}, which [systems] does not define")
        return name
