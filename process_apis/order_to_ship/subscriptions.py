"""What orders listen to in the log."""

from __future__ import annotations

from gateway.backbone.consumer import Subscription
from process_apis.order_to_ship.process import OrderToShip


def subscriptions(orders: OrderToShip) -> list[Subscription]:
    """Picks and shipments, as availability records them; what an order's promises lack, as it finds out."""
    return [
        Subscription(
            name="order_to_ship.shipping",
            types=frozenset({"stock.movement_recorded"}),
            handler=orders.shipping.on_movement,
            together=orders.shipping.on_movements,
            batch=200,
        ),
        Subscription(
            name="order_to_ship.covering",
            types=frozenset({"claim.short", "claim.covered", "claim.supplied", "claim.redated"}),
            handler=orders.covering.on_cover,
        ),
    ]
