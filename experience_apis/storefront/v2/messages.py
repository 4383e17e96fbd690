"""Webhook bodies in the shapes of this version: ``{"type", "timestamp", "data"}`` (Standard Webhooks 1.0)."""

from __future__ import annotations

from typing import Final

import msgspec

from experience_apis.storefront.v2 import (
    invoice_mapping,
    invoice_schemas,
    mapping,
    return_mapping,
    return_schemas,
    schemas,
)
from gateway.canonical.capabilities import AnswersAvailability, ResolvesItems
from gateway.kernel.errors import NotFound
from process_apis.order_to_ship.models import Order
from process_apis.order_to_ship.process import OrderToShip
from process_apis.partner_notifications.figuring import Figures
from process_apis.partner_notifications.models import Message
from process_apis.partner_notifications.rules import AVAILABILITY_CHANGED, INVOICE_ISSUED, RETURN_UPDATED
from process_apis.returns.process import Returns

MESSAGES: Final = {
    "availability.changed": schemas.AvailabilityChanged,
    "invoice.issued": invoice_schemas.InvoiceIssued,
    "order.updated": schemas.OrderUpdated,
    "return.updated": return_schemas.ReturnUpdated,
}
NOTICES: Final = {"stream.ended": schemas.StreamNotice, "stream.reset": schemas.StreamNotice}
_encode: Final = msgspec.json.Encoder().encode


class StorefrontMessages:
    """Renders messages for partners on storefront v2. What is told is the state now, not at the event."""

    def __init__(
        self, items: ResolvesItems, availability: AnswersAvailability, orders: OrderToShip, returns: Returns
    ) -> None:
        self._figures = Figures(items, availability, locations=True)
        self._orders = orders
        self._returns = returns

    async def render(self, message: Message, *, channel: str) -> bytes | None:
        """The body, or None when the item, order or return is no longer there."""
        occurred = mapping.instant(message.occurred_at)
        if message.type == AVAILABILITY_CHANGED:
            figure = await self._figure(message, channel)
            if figure is None:
                return None
            return _encode(
                schemas.AvailabilityChanged(
                    type="availability.changed", api_version="v2", timestamp=occurred, data=figure
                )
            )
        if message.type == RETURN_UPDATED:
            return await self._return(message, occurred)
        order = await self._order(message, message.about.partition(":")[0])
        if order is None:
            return None
        if message.type == INVOICE_ISSUED:
            return _invoice(order, message, occurred)
        view = mapping.order_view(order)
        return _encode(schemas.OrderUpdated(type="order.updated", api_version="v2", timestamp=occurred, data=view))

    async def _figure(self, message: Message, channel: str) -> schemas.AvailabilityView | None:
        figure = await self._figures.of(message.tenant, channel, message.about)
        return None if figure is None else mapping.availability_view(figure.item, figure.availability)

    async def _return(self, message: Message, occurred: str) -> bytes | None:
        try:
            known = await self._returns.get(message.tenant, message.about, partner=message.partner)
        except NotFound:
            return None
        view = return_mapping.return_view(known)
        return _encode(
            return_schemas.ReturnUpdated(type="return.updated", api_version="v2", timestamp=occurred, data=view)
        )

    async def _order(self, message: Message, order_id: str) -> Order | None:
        try:
            return await self._orders.get_order(message.tenant, order_id, partner=message.partner)
        except NotFound:
            return None


def _invoice(order: Order, message: Message, occurred: str) -> bytes | None:
    view = invoice_mapping.invoice_of_shipment(order, message.about.partition(":")[2])
    if view is None:
        return None
    return _encode(
        invoice_schemas.InvoiceIssued(type="invoice.issued", api_version="v2", timestamp=occurred, data=view)
    )
