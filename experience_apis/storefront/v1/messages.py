"""Webhook bodies in the shapes of this version: ``{"type", "timestamp", "data"}`` (Standard Webhooks 1.0)."""

from __future__ import annotations

from typing import Final

import msgspec

from experience_apis.storefront.v1 import mapping, schemas
from gateway.canonical.capabilities import AnswersAvailability, ResolvesItems
from gateway.kernel.errors import NotFound
from process_apis.order_to_ship.process import OrderToShip
from process_apis.partner_notifications.figuring import Figures
from process_apis.partner_notifications.models import Message
from process_apis.partner_notifications.rules import AVAILABILITY_CHANGED

MESSAGES: Final = {"availability.changed": schemas.AvailabilityChanged, "order.updated": schemas.OrderUpdated}
_encode: Final = msgspec.json.Encoder().encode


class StorefrontMessages:
    """Renders messages for partners on storefront v1. What is told is the state now, not at the event."""

    def __init__(self, items: ResolvesItems, availability: AnswersAvailability, orders: OrderToShip) -> None:
        self._figures = Figures(items, availability, locations=False)
        self._orders = orders

    async def render(self, message: Message, *, channel: str) -> bytes | None:
        """The body; None when the item or the order is no longer there, and for what this version does not tell."""
        if message.type not in MESSAGES:
            return None
        occurred = mapping.instant(message.occurred_at)
        if message.type == AVAILABILITY_CHANGED:
            figure = await self._figure(message, channel)
            if figure is None:
                return None
            return _encode(schemas.AvailabilityChanged(type="availability.changed", timestamp=occurred, data=figure))
        order = await self._order(message)
        if order is None:
            return None
        return _encode(schemas.OrderUpdated(type="order.updated", timestamp=occurred, data=order))

    async def _figure(self, message: Message, channel: str) -> schemas.AvailabilityView | None:
        figure = await self._figures.of(message.tenant, channel, message.about)
        return None if figure is None else mapping.availability_view(figure.item, figure.availability)

    async def _order(self, message: Message) -> schemas.OrderView | None:
        try:
            order = await self._orders.get_order(message.tenant, message.about, partner=message.partner)
        except NotFound:
            return None
        return mapping.order_view(order)
