"""What became of a request whose answer was lost: looked up in the record, never done again (`RecallsOutcome`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.kernel.context import Caller
from gateway.kernel.exchange import RecallsOutcome, Reply
from process_apis.order_to_ship import schemas
from process_apis.order_to_ship.models import Order
from process_apis.order_to_ship.process import OrderToShip

_ORDERS: Final = "/process/order-to-ship/v1/orders"
_JSON: Final = (b"content-type", b"application/json")
_CREATED: Final = 201
_ACCEPTED: Final = 202
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(schemas.OrderInput).decode


def placed_reply(order: Order) -> Reply:
    """What an accepted order is answered with."""
    location = (b"location", f"{_ORDERS}/{order.order_id}".encode())
    return Reply(_CREATED, [_JSON, location], _encode(schemas.order_view(order)))


class RecallsPlacement:
    """The order that a lost `placeOrder` made, as it is now."""

    def __init__(self, orders: OrderToShip) -> None:
        self._orders = orders

    async def recall_outcome(self, *, caller: Caller, body: bytes, **_: object) -> Reply | None:
        """201 with the order, or None when it is certain that there is none."""
        order = await self._orders.recall_order(schemas.place_order(_decode(body), caller))
        return None if order is None else placed_reply(order)


class RecallsCancellation:
    """What a lost `cancelOrder` asked for."""

    def __init__(self, orders: OrderToShip) -> None:
        self._orders = orders

    async def recall_outcome(self, *, caller: Caller, path_params: Mapping[str, str], **_: object) -> Reply | None:
        """202 once the cancellation is in the record, else None."""
        order = await self._orders.recall_cancellation(caller.tenant, path_params["order_id"])
        return None if order is None else Reply(_ACCEPTED, [_JSON], _encode(schemas.order_view(order)))


def order_recallers(orders: OrderToShip) -> dict[str, RecallsOutcome]:
    """Who recalls what, by route id: one for each route here that requires an idempotency key."""
    return {
        f"POST {_ORDERS}": RecallsPlacement(orders),
        f"POST {_ORDERS}/{{order_id}}/cancellation": RecallsCancellation(orders),
    }
