"""What orders listen to in the log."""

from __future__ import annotations

from gateway.backbone.consumer import Subscription
from process_apis.order_to_ship.process import OrderToShip


def subscriptions(orders: OrderToShip) -> list[Subscription]:
    """Picks and shipments, as warehouses report them and availability records them."""
    return [
        Subscription(
            name="order_to_ship.shipping",
            types=frozenset({"stock.movement_recorded"}),
            handler=orders.shipping.on_movement,
        )
    ]
