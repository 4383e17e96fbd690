"""Our location codes on one side, a system's own on the other: adapters know only their own, processes only ours.

`Location.codes` names both; a location without a code for an instance goes by our code there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from msgspec import structs

from gateway.canonical.capabilities import (
    BooksFreight,
    BooksReceipts,
    Call,
    CancelsTwins,
    ChangesStatus,
    IssuesCredits,
    OffersFreight,
    PostsShipments,
    ReleasesTransfers,
    ReleasesWork,
    TakesCounts,
    TakesOrders,
)
from gateway.canonical.freight import Booking, Consignment, FreightOption
from gateway.canonical.invoice import CreditOrder, SystemInvoice
from gateway.canonical.order import (
    ExternalReference,
    SalesOrder,
    ShipmentLine,
    SystemOrder,
    SystemShipment,
    WarehouseWork,
)
from gateway.canonical.purchase import GoodsReceipt, SystemReceipt
from gateway.canonical.warehouse import CountOrder, StatusOrder, TransferOrder


class LocationCodes:
    """The codes of one instance, both ways."""

    def __init__(self, codes: Mapping[str, str]) -> None:
        self._theirs = codes
        self._ours = {theirs: ours for ours, theirs in codes.items()}

    def theirs(self, location: str) -> str:
        """The instance's code of our location."""
        return self._theirs.get(location, location)

    def order(self, order: SalesOrder) -> SalesOrder:
        """An order with the instance's codes."""
        lines = tuple(
            line if line.location is None else structs.replace(line, location=self.theirs(line.location))
            for line in order.lines
        )
        return structs.replace(order, lines=lines)

    def consignment(self, consignment: Consignment) -> Consignment:
        """Goods of a location by the instance's code."""
        return structs.replace(consignment, ship_from=self.theirs(consignment.ship_from))

    def shipment(self, shipment: SystemShipment) -> SystemShipment:
        """A shipment with our codes."""
        return structs.replace(shipment, location=self._ours.get(shipment.location, shipment.location))

    def system_order(self, order: SystemOrder) -> SystemOrder:
        """An order of the instance with our codes."""
        return structs.replace(order, shipments=tuple(self.shipment(shipment) for shipment in order.shipments))


class TranslatedOrders:
    """`TakesOrders` in our codes."""

    def __init__(self, inner: TakesOrders, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    @property
    def external_reference(self) -> ExternalReference:
        """What the instance guarantees."""
        return self._inner.external_reference

    @property
    def settle_time(self) -> timedelta:
        """How long it may take to settle."""
        return self._inner.settle_time

    async def find_order(self, call: Call, *, reference: str) -> SystemOrder | None:
        """See `TakesOrders`."""
        found = await self._inner.find_order(call, reference=reference)
        return None if found is None else self._codes.system_order(found)

    async def submit_order(self, call: Call, *, order: SalesOrder) -> SystemOrder:
        """See `TakesOrders`."""
        return self._codes.system_order(await self._inner.submit_order(call, order=self._codes.order(order)))

    async def cancel_order(self, call: Call, *, reference: str) -> SystemOrder:
        """See `TakesOrders`."""
        return self._codes.system_order(await self._inner.cancel_order(call, reference=reference))


class TranslatedTwinOrders(TranslatedOrders):
    """`TakesOrders` and `CancelsTwins` in our codes."""

    def __init__(self, inner: TakesOrders, twins: CancelsTwins, codes: LocationCodes) -> None:
        super().__init__(inner, codes)
        self._twins = twins

    async def cancel_twins(self, call: Call, *, reference: str) -> SystemOrder:
        """See `CancelsTwins`."""
        return self._codes.system_order(await self._twins.cancel_twins(call, reference=reference))


class TranslatedPostings:
    """`PostsShipments` in our codes."""

    def __init__(self, inner: PostsShipments, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    async def find_posting(self, call: Call, *, reference: str, posting: str) -> SystemShipment | None:
        """See `PostsShipments`."""
        found = await self._inner.find_posting(call, reference=reference, posting=posting)
        return None if found is None else self._codes.shipment(found)

    async def post_shipment(
        self, call: Call, *, reference: str, posting: str, location: str, lines: Sequence[ShipmentLine]
    ) -> SystemShipment:
        """See `PostsShipments`."""
        made = await self._inner.post_shipment(
            call, reference=reference, posting=posting, location=self._codes.theirs(location), lines=lines
        )
        return self._codes.shipment(made)


class TranslatedWork:
    """`ReleasesWork` in our codes."""

    def __init__(self, inner: ReleasesWork, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    async def find_work(self, call: Call, *, reference: str) -> WarehouseWork | None:
        """See `ReleasesWork`."""
        return await self._inner.find_work(call, reference=reference)

    async def release_work(self, call: Call, *, order: SalesOrder, location: str) -> WarehouseWork:
        """See `ReleasesWork`."""
        return await self._inner.release_work(
            call, order=self._codes.order(order), location=self._codes.theirs(location)
        )

    async def cancel_work(self, call: Call, *, reference: str) -> WarehouseWork:
        """See `ReleasesWork`."""
        return await self._inner.cancel_work(call, reference=reference)


class TranslatedTransfers:
    """`ReleasesTransfers` in our codes."""

    def __init__(self, inner: ReleasesTransfers, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    async def find_transfer(self, call: Call, *, reference: str) -> WarehouseWork | None:
        """See `ReleasesTransfers`."""
        return await self._inner.find_transfer(call, reference=reference)

    async def release_transfer(self, call: Call, *, order: TransferOrder) -> WarehouseWork:
        """See `ReleasesTransfers`. A destination that the instance has no code for goes by ours."""
        origin, destination = self._codes.theirs(order.origin), self._codes.theirs(order.destination)
        theirs = structs.replace(order, origin=origin, destination=destination)
        return await self._inner.release_transfer(call, order=theirs)

    async def cancel_transfer(self, call: Call, *, reference: str) -> WarehouseWork:
        """See `ReleasesTransfers`."""
        return await self._inner.cancel_transfer(call, reference=reference)


class TranslatedStatus:
    """`ChangesStatus` in our codes."""

    def __init__(self, inner: ChangesStatus, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    async def find_status_change(self, call: Call, *, reference: str) -> str | None:
        """See `ChangesStatus`."""
        return await self._inner.find_status_change(call, reference=reference)

    async def change_status(self, call: Call, *, order: StatusOrder) -> str:
        """See `ChangesStatus`."""
        return await self._inner.change_status(
            call, order=structs.replace(order, location=self._codes.theirs(order.location))
        )


class TranslatedCounts:
    """`TakesCounts` in our codes."""

    def __init__(self, inner: TakesCounts, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    async def find_count(self, call: Call, *, reference: str) -> str | None:
        """See `TakesCounts`."""
        return await self._inner.find_count(call, reference=reference)

    async def post_count(self, call: Call, *, order: CountOrder) -> str:
        """See `TakesCounts`."""
        theirs = structs.replace(order, location=self._codes.theirs(order.location))
        return await self._inner.post_count(call, order=theirs)


class TranslatedCredits:
    """`IssuesCredits` in our codes."""

    def __init__(self, inner: IssuesCredits, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes
        self.settle_time = getattr(inner, "settle_time", None)

    async def find_credit(self, call: Call, *, credit: str) -> SystemInvoice | None:
        """See `IssuesCredits`."""
        return await self._inner.find_credit(call, credit=credit)

    async def issue_credit(self, call: Call, *, order: CreditOrder) -> SystemInvoice:
        """See `IssuesCredits`."""
        there = structs.replace(order, location=self._codes.theirs(order.location))
        return await self._inner.issue_credit(call, order=there)


class TranslatedReceipts:
    """`BooksReceipts` in our codes."""

    def __init__(self, inner: BooksReceipts, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes
        self.settle_time = getattr(inner, "settle_time", None)

    async def find_receipt(self, call: Call, *, receipt: str) -> SystemReceipt | None:
        """See `BooksReceipts`."""
        return await self._inner.find_receipt(call, receipt=receipt)

    async def book_receipt(self, call: Call, *, receipt: GoodsReceipt) -> SystemReceipt:
        """See `BooksReceipts`."""
        there = structs.replace(receipt, location=self._codes.theirs(receipt.location))
        return await self._inner.book_receipt(call, receipt=there)


class TranslatedOffers:
    """`OffersFreight` in our codes."""

    def __init__(self, inner: OffersFreight, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    async def quote_freight(self, call: Call, *, consignment: Consignment) -> Sequence[FreightOption]:
        """See `OffersFreight`."""
        return await self._inner.quote_freight(call, consignment=self._codes.consignment(consignment))


class TranslatedBookings:
    """`BooksFreight` in our codes."""

    def __init__(self, inner: BooksFreight, codes: LocationCodes) -> None:
        self._inner = inner
        self._codes = codes

    async def find_booking(self, call: Call, *, reference: str) -> Booking | None:
        """See `BooksFreight`."""
        return await self._inner.find_booking(call, reference=reference)

    async def book_freight(self, call: Call, *, consignment: Consignment, service: str) -> Booking:
        """See `BooksFreight`."""
        return await self._inner.book_freight(call, consignment=self._codes.consignment(consignment), service=service)

    async def cancel_booking(self, call: Call, *, reference: str) -> Booking:
        """See `BooksFreight`."""
        return await self._inner.cancel_booking(call, reference=reference)
