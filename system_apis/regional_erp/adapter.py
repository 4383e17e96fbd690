"""The capabilities of the Regional ERP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from gateway.canonical.capabilities import Call, Page
from gateway.canonical.invoice import SystemInvoice
from gateway.canonical.order import ExternalReference, SalesOrder, ShipmentLine, SystemOrder, SystemShipment
from gateway.canonical.party import CustomerAccount
from gateway.canonical.stock import ReportedSnapshot
from gateway.kernel.clock import Clock
from gateway.kernel.errors import BrokenUpstream, Conflict, NotFound
from gateway.kernel.secrets import resolve_secret
from gateway.outbound.session import Session
from system_apis.regional_erp import mapping, wire
from system_apis.regional_erp.client import Client
from system_apis.regional_erp.settings import Settings

_DUPLICATE: Final = "erp.duplicate_reference"


class Adapter:
    """One instance; locations are the ERP's own site codes."""

    def __init__(self, name: str, settings: Settings, session: Session, _: Clock) -> None:
        self.name = name
        self._settings = settings
        self._client = Client(session, resolve_secret(settings.token, setting=f"{name}.token"))

    @property
    def external_reference(self) -> ExternalReference:
        """The ERP keeps our reference unique."""
        return ExternalReference.UNIQUE

    @property
    def settle_time(self) -> timedelta:
        """How long an unanswered request may still be at work."""
        return timedelta(seconds=self._settings.settle_time_s)

    async def check_health(self, call: Call) -> None:
        """Reachable, and our token is accepted."""
        await self._client.status(call)

    async def read_items(self, call: Call, *, cursor: str | None = None, limit: int = 200) -> Page:
        """Articles by code, with list prices."""
        return mapping.page_of(await self._client.articles(call, after=cursor, limit=limit), self._settings.units)

    async def read_stock(self, call: Call, *, locations: Sequence[str]) -> ReportedSnapshot:
        """What the ERP believes to be at `locations`."""
        sites = tuple(locations)
        return mapping.snapshot(self.name, await self._client.stock(call, sites=sites), sites, self._settings.units)

    async def read_customer(self, call: Call, *, code: str) -> CustomerAccount:
        """Terms, credit limit and balance; raises `NotFound`."""
        return mapping.customer_of(await self._client.customer(call, number=code))

    async def find_order(self, call: Call, *, reference: str) -> SystemOrder | None:
        """The order under our reference."""
        found = await self._find(call, reference)
        return None if found is None else mapping.system_order(found)

    async def submit_order(self, call: Call, *, order: SalesOrder) -> SystemOrder:
        """Make it; a repetition returns what the first one made.

        Raises `Conflict`: ``erp.order_differs`` when something else stands under our reference,
        ``erp.order_cancelled`` when it was cancelled there.
        """
        wanted = mapping.new_order(order, self._settings.units)
        try:
            made = await self._client.create_order(call, wanted)
        except Conflict as conflict:
            if conflict.code != _DUPLICATE:
                raise
            made = await self._present(call, order.order)
            if made.status == "CANCELLED":
                raise Conflict(f"the ERP has {order.order} as a cancelled order", code="erp.order_cancelled") from None
            if not mapping.same_order(wanted, made):
                raise Conflict(
                    f"order {made.number} bears our reference but other lines: compare it with the order",
                    code="erp.order_differs",
                ) from None
        return mapping.system_order(made)

    async def cancel_order(self, call: Call, *, reference: str) -> SystemOrder:
        """Cancel; raises `Conflict` (``erp.work_begun``) once something left or is being picked, `NotFound`."""
        present = await self._present(call, reference)
        return mapping.system_order(await self._client.cancel_order(call, number=present.number))

    async def find_posting(self, call: Call, *, reference: str, posting: str) -> SystemShipment | None:
        """The delivery that was told under `posting`."""
        found = await self._find(call, reference)
        if found is None:
            return None
        return next((mapping.shipment(each) for each in found.deliveries if each.external_reference == posting), None)

    async def post_shipment(
        self, call: Call, *, reference: str, posting: str, location: str, lines: Sequence[ShipmentLine]
    ) -> SystemShipment:
        """Tell what left; a repetition returns what the first one made.

        Raises `Conflict` (``erp.posting_differs``) when something else was told under `posting`.
        """
        present = await self._present(call, reference)
        told = wire.NewDelivery(
            external_reference=posting,
            site=location,
            lines=tuple(wire.NewDeliveryLine(line=line.line, quantity=f"{line.amount:f}") for line in lines),
        )
        try:
            made = await self._client.deliver(call, number=present.number, delivery=told)
        except Conflict as conflict:
            if conflict.code != _DUPLICATE:
                raise
            known = {each.external_reference: each for each in (await self._present(call, reference)).deliveries}
            made = known[posting] if posting in known else _differs(posting)
            if sorted((line.line, Decimal(line.quantity)) for line in told.lines) != sorted(
                (line.line, line.quantity) for line in made.lines
            ):
                _differs(posting)
        return mapping.shipment(made)

    async def find_bill(self, call: Call, *, reference: str, posting: str) -> SystemInvoice | None:
        """The invoice of the delivery that was told under `posting`."""
        found = _bill_of(await self._find(call, reference), posting)
        return None if found is None else mapping.invoice(found, reference)

    async def bill_shipment(self, call: Call, *, reference: str, posting: str) -> SystemInvoice:
        """Bill that delivery; a repetition returns what the first one made.

        Raises `Rejected` where the ERP knows no such delivery.
        """
        present = await self._present(call, reference)
        try:
            made = await self._client.bill(call, number=present.number, invoice=wire.NewInvoice(delivery=posting))
        except Conflict as conflict:
            known = _bill_of(await self._present(call, reference), posting)
            if conflict.code != _DUPLICATE or known is None:
                raise
            made = known
        return mapping.invoice(made, reference)

    async def _present(self, call: Call, reference: str) -> wire.Order:
        found = await self._find(call, reference)
        if found is None:
            raise NotFound(f"the ERP has no order {reference}", code="erp.order_not_found")
        return found

    async def _find(self, call: Call, reference: str) -> wire.Order | None:
        orders = (await self._client.orders(call, reference=reference)).orders
        if len(orders) > 1:
            raise BrokenUpstream(
                f"the ERP has {len(orders)} orders under {reference}, which it promises to keep unique",
                code="erp.broken_contract",
            )
        return orders[0] if orders else None


def _bill_of(order: wire.Order | None, posting: str) -> wire.Invoice | None:
    bills = () if order is None else order.invoices
    return next((each for each in bills if each.delivery == posting), None)


def _differs(posting: str) -> wire.Delivery:
    raise Conflict(
        f"the ERP holds something else under {posting}: compare its delivery with the shipment",
        code="erp.posting_differs",
    )
