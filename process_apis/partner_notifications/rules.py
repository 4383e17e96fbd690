"""Which events become which messages. Pure."""

from __future__ import annotations

from typing import Final

from gateway.canonical.events import Recorded

ORDER_UPDATED: Final = "order.updated"
AVAILABILITY_CHANGED: Final = "availability.changed"
RETURN_UPDATED: Final = "return.updated"
INVOICE_ISSUED: Final = "invoice.issued"
PURCHASE_ORDER_UPDATED: Final = "purchase_order.updated"

MESSAGE_OF_EVENT: Final = {
    "availability.changed": AVAILABILITY_CHANGED,
    "availability.kit_changed": AVAILABILITY_CHANGED,
    "order.accepted": ORDER_UPDATED,
    "order.held": ORDER_UPDATED,
    "order.submitted": ORDER_UPDATED,
    "order.released": ORDER_UPDATED,
    "order.freight_booked": ORDER_UPDATED,
    "order.milestone_reached": ORDER_UPDATED,
    "order.shipment_confirmed": ORDER_UPDATED,
    "order.invoiced": ORDER_UPDATED,
    "order.completed": ORDER_UPDATED,
    "order.cancelled": ORDER_UPDATED,
    "order.redated": ORDER_UPDATED,
    "order.shortened": ORDER_UPDATED,
    "order.changed": ORDER_UPDATED,
    "order.change_refused": ORDER_UPDATED,
    "order.resumed": ORDER_UPDATED,
    "order.rejected": ORDER_UPDATED,
    "order.exception_raised": ORDER_UPDATED,
    "invoice.issued": INVOICE_ISSUED,
    "return.requested": RETURN_UPDATED,
    "return.authorised": RETURN_UPDATED,
    "return.refused": RETURN_UPDATED,
    "return.cancelled": RETURN_UPDATED,
    "return.received": RETURN_UPDATED,
    "return.dispositioned": RETURN_UPDATED,
    "return.corrected": RETURN_UPDATED,
    "return.lines_refused": RETURN_UPDATED,
    "return.credited": RETURN_UPDATED,
    "return.closed": RETURN_UPDATED,
    # What a supplier says itself it is answered at once, and not told again.
    "purchase_order.approved": PURCHASE_ORDER_UPDATED,
    "purchase_order.changed": PURCHASE_ORDER_UPDATED,
    "purchase_order.cancelled": PURCHASE_ORDER_UPDATED,
    "purchase_order.line_closed": PURCHASE_ORDER_UPDATED,
    "purchase_order.decided": PURCHASE_ORDER_UPDATED,
    "goods.posted": PURCHASE_ORDER_UPDATED,
    "goods.sent_back": PURCHASE_ORDER_UPDATED,
    "invoice.matched": PURCHASE_ORDER_UPDATED,
    "invoice.blocked": PURCHASE_ORDER_UPDATED,
    "invoice.state_reported": PURCHASE_ORDER_UPDATED,
}
SCOPE_OF_MESSAGE: Final = {
    AVAILABILITY_CHANGED: "availability:read",
    ORDER_UPDATED: "orders:read",
    INVOICE_ISSUED: "orders:read",
    RETURN_UPDATED: "returns:read",
    PURCHASE_ORDER_UPDATED: "purchase-orders:read",
}
"""What a partner may read at the door where it is told such a message: who may not read it is not told it either."""
_ABOUT: Final = {ORDER_UPDATED: "order", RETURN_UPDATED: "return", PURCHASE_ORDER_UPDATED: "purchase"}


def subject_of(recorded: Recorded) -> str:
    """What the message is about: one for each event, but changes of one item stand for each other.

    An invoice is named by the order and the shipment that it bills.
    """
    message = MESSAGE_OF_EVENT[recorded.event.type]
    if message == AVAILABILITY_CHANGED:
        return f"item/{recorded.event.data['item']}"
    if message == INVOICE_ISSUED:
        return f"invoice/{recorded.event.aggregate}:{recorded.event.data['shipment']}/{recorded.position.event}"
    return f"{_ABOUT[message]}/{recorded.event.aggregate}/{recorded.position.event}"


def topic_of(recorded: Recorded) -> str:
    """The order, return, purchase, invoice or item that a message is about, as the column `topic` has it."""
    return "/".join(subject_of(recorded).split("/")[:2])


def addressee_of(recorded: Recorded) -> str | None:
    """The partner that an event is for (empty: nobody); None for what concerns everyone who asked."""
    if MESSAGE_OF_EVENT[recorded.event.type] == AVAILABILITY_CHANGED:
        return None
    return str(recorded.event.data.get("partner") or "")
