"""The S/4HANA adapter: its capabilities, each handed to the part that knows it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from gateway.canonical.capabilities import CustomerPage, Page
from gateway.canonical.order import ExternalReference
from gateway.canonical.stock import OrderKey, ReportedFigure, ReportedSnapshot
from gateway.kernel.errors import NotFound
from gateway.kernel.secrets import resolve_secret
from system_apis.sap_s4 import mapping, wire
from system_apis.sap_s4.client import Client
from system_apis.sap_s4.orders import Orders
from system_apis.sap_s4.postings import Postings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.canonical.capabilities import Call
    from gateway.canonical.order import SalesOrder, ShipmentLine, SystemOrder, SystemShipment
    from gateway.canonical.party import CustomerAccount
    from gateway.kernel.clock import Clock
    from gateway.outbound.session import Session
    from system_apis.sap_s4.settings import Settings

_Row = TypeVar("_Row", bound=Struct)


class Adapter:
    """One S/4HANA client. Locations are plants, items products, customers business partners."""

    def __init__(self, name: str, settings: Settings, session: Session, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        password = resolve_secret(settings.password, setting=f"password of {name}")
        self._client = Client(session, user=settings.user, password=password, client=settings.client)
        self._orders = Orders(self._client, settings)
        self._postings = Postings(self._client, self._orders)
        self._units = settings.unit_codes()

    async def check_health(self, call: Call) -> None:
        """Whether the sales order service answers, takes our user and gives a token for changes."""
        await self._client.rows(call, wire.Order, top=1)
        await self._client.fetch_token(call)

    async def read_items(self, call: Call, *, cursor: str | None = None, limit: int = 200) -> Page:
        """By product number: one added meanwhile before the cursor comes with the next whole read."""
        after = f"Product gt {wire.literal(cursor)}" if cursor else ""
        rows = await self._client.rows(
            call, wire.Product, top=limit, filter=after, orderby="Product", expand="to_Description"
        )
        packs = await self._packs(call, rows)
        items = [mapping.reported_item(row, packs.get(row.product, []), self._units) for row in rows]
        return Page(tuple(items), rows[-1].product if len(rows) == limit else None)

    async def read_stock(self, call: Call, *, locations: Sequence[str]) -> ReportedSnapshot:
        """SAP's own stock of each plant, by batch and stock type; the cut-off is our clock before the first."""
        taken_at = self._clock.now()
        found: list[ReportedFigure] = []
        for plant in locations:
            rows = await self._client.rows(call, wire.Stock, filter=f"Plant eq {wire.literal(plant)}")
            found += mapping.figures(rows, self._units)
        key = OrderKey(self._settings.order_key_epoch, int(taken_at.timestamp() * 1_000_000))
        return ReportedSnapshot(
            source=self.name,
            event_id=f"stock-{key.epoch}-{key.sequence}",
            cut_off=key,
            taken_at=taken_at,
            full=True,
            locations=tuple(locations),
            figures=tuple(found),
        )

    async def read_customer(self, call: Call, *, code: str) -> CustomerAccount:
        """Terms in our sales area and whether orders are blocked, by our number or SAP's."""
        known = mapping.number(self._settings.customers.get(code, code))
        found = await self._client.rows(call, wire.Partner, filter=f"Customer eq {wire.literal(known)}")
        if not found:
            raise NotFound(f"SAP has no customer {code[:60]}", code="erp.customer_not_found")
        areas = await self._areas(call, found)
        return mapping.customer_account(code, found[0], areas.get(found[0].customer))

    async def list_customers(
        self, call: Call, *, cursor: str | None = None, changed_since: datetime | None = None, limit: int = 200
    ) -> CustomerPage:
        """By business partner. SAP dates a change of the partner by the day, not one of its sales areas."""
        wanted = ["Customer ne ''"]
        if cursor:
            wanted.append(f"BusinessPartner gt {wire.literal(cursor)}")
        if changed_since is not None:
            whole_day = changed_since - timedelta(days=1)
            wanted.append(f"LastChangeDate ge {wire.moment(whole_day)}")
        rows = await self._client.rows(
            call,
            wire.Partner,
            top=limit,
            filter=" and ".join(wanted),
            orderby="BusinessPartner",
            expand="to_BusinessPartnerAddress",
        )
        areas = await self._areas(call, rows)
        found = [mapping.reported_customer(row, areas.get(row.customer)) for row in rows]
        return CustomerPage(tuple(found), rows[-1].business_partner if len(rows) == limit else None)

    @property
    def external_reference(self) -> ExternalReference:
        """SAP searches a customer's reference and does not keep it unique."""
        return ExternalReference.SEARCHABLE

    @property
    def settle_time(self) -> timedelta:
        """How long an unanswered request may still be at work."""
        return timedelta(seconds=self._settings.settle_time_s)

    async def find_order(self, call: Call, *, reference: str) -> SystemOrder | None:
        """By our reference. Raises `Conflict` (``erp.twin_orders``) when SAP holds it twice: see `cancel_twins`."""
        return await self._orders.find(call, reference)

    async def submit_order(self, call: Call, *, order: SalesOrder) -> SystemOrder:
        """Made whole in one request, or found."""
        return await self._orders.submit(call, order)

    async def cancel_order(self, call: Call, *, reference: str) -> SystemOrder:
        """Raises `Conflict` (``erp.work_begun``) once there is a delivery."""
        return await self._orders.cancel(call, reference)

    async def cancel_twins(self, call: Call, *, reference: str) -> SystemOrder:
        """Reject all but one of the orders under one reference, and answer with the one that stays."""
        return await self._orders.cancel_twins(call, reference)

    async def find_posting(self, call: Call, *, reference: str, posting: str) -> SystemShipment | None:
        """The delivery with its goods issue; None also while that is lacking, for then `post_shipment` posts it."""
        return await self._postings.find(call, reference, posting)

    async def post_shipment(
        self, call: Call, *, reference: str, posting: str, location: str, lines: Sequence[ShipmentLine]
    ) -> SystemShipment:
        """Delivered with goods issue; the rest of the order stays open."""
        return await self._postings.post(call, reference, posting, location, lines)

    async def _packs(self, call: Call, rows: Sequence[wire.Product]) -> dict[str, list[wire.Alternative]]:
        if not rows:
            return {}
        between = f"Product ge {wire.literal(rows[0].product)} and Product le {wire.literal(rows[-1].product)}"
        packs: dict[str, list[wire.Alternative]] = {}
        for each in await self._where_served(call, wire.Alternative, between):
            packs.setdefault(each.product, []).append(each)
        return packs

    async def _areas(self, call: Call, rows: Sequence[wire.Partner]) -> dict[str, wire.SalesArea]:
        codes = sorted(row.customer for row in rows if row.customer)
        if not codes:
            return {}
        ours = self._settings
        wanted = (
            f"SalesOrganization eq {wire.literal(ours.sales_organization)}"
            f" and DistributionChannel eq {wire.literal(ours.distribution_channel)}"
            f" and Division eq {wire.literal(ours.division)}"
            f" and Customer ge {wire.literal(codes[0])} and Customer le {wire.literal(codes[-1])}"
        )
        return {each.customer: each for each in await self._where_served(call, wire.SalesArea, wanted)}

    async def _where_served(self, call: Call, kind: type[_Row], wanted: str) -> list[_Row]:
        """Entities of a set that some releases, and mock-sap as it comes, do not serve: then there are none."""
        try:
            return await self._client.rows(call, kind, filter=wanted)
        except NotFound:
            return []
