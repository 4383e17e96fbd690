"""Changes of orders to the storefront's shapes and back. Pure."""

from __future__ import annotations

from decimal import Decimal

from experience_apis.storefront.v2 import change_schemas, mapping
from gateway.canonical.order import OrderState
from process_apis.order_to_ship.models import AmendedLine, Amendment, Order, Verb
from process_apis.order_to_ship.rework_rules import Intervention

_REASON = "changed by its buyer"


def intervention(data: change_schemas.ChangeInput, version: int | None) -> Intervention:
    """The command behind a change of the order that its buyer saw as `version`."""
    return Intervention(
        action=f"buyer/{data.reference}",
        verb=Verb.AMEND,
        reason=_REASON,
        version=version,
        amendment=Amendment(
            lines=tuple(
                AmendedLine(line=each.line, amount=Decimal(each.quantity.amount), uom=each.quantity.unit)
                for each in data.lines
            ),
            ship_to=None if data.ship_to is None else mapping.address(data.ship_to),
            requested_date=data.requested_date,
        ),
    )


def change_view(order: Order) -> change_schemas.ChangeView:
    """How far a change of an order is."""
    cancelling = order.cancel_requested_at is not None and order.state is not OrderState.CANCELLED
    waits = order.rework is not None or cancelling
    return change_schemas.ChangeView(
        order_id=order.order_id, state="requested" if waits else "done", version=order.version
    )
