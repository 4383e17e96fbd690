"""Webhook bodies of the supplier's door, version 1 (Standard Webhooks 1.0)."""

from __future__ import annotations

from typing import Final

import msgspec

from experience_apis.supplier.v1 import mapping, schemas
from gateway.kernel.errors import NotFound
from process_apis.partner_notifications.models import Message
from process_apis.procure_to_pay.process import ProcureToPay

MESSAGES: Final = {"purchase_order.updated": schemas.PurchaseOrderUpdated}
_OCCASIONS: Final = {
    "purchase_order.approved": "ordered",
    "purchase_order.changed": "changed",
    "purchase_order.cancelled": "cancelled",
    "purchase_order.line_closed": "line_closed",
    "purchase_order.decided": "decided",
    "goods.posted": "received",
    "goods.sent_back": "sent_back",
    "invoice.matched": "invoice_matched",
    "invoice.blocked": "invoice_blocked",
    "invoice.state_reported": "invoice_in_books",
}
_encode: Final = msgspec.json.Encoder().encode


class SupplierMessages:
    """Renders messages for suppliers. What is told is the state now, not at the event."""

    def __init__(self, procurement: ProcureToPay) -> None:
        self._procurement = procurement

    async def render(self, message: Message, *, channel: str) -> bytes | None:  # noqa: ARG002 - as `RendersMessages` has it
        """The body; None when the partner does not speak for the order's supplier (any more)."""
        try:
            supplier = await self._procurement.suppliers.of_partner(message.tenant, message.partner)
            purchase = await self._procurement.dialogue.get(message.tenant, message.about, supplier=supplier)
        except NotFound:
            return None
        return _encode(
            schemas.PurchaseOrderUpdated(
                type="purchase_order.updated",
                api_version="v1",
                timestamp=message.occurred_at,
                occasion=_OCCASIONS[message.event_type],
                data=mapping.order_view(purchase),
            )
        )
