"""What became of a request whose answer was lost: looked up in the record, never done again (`RecallsOutcome`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from experience_apis.storefront.v2 import mapping, schemas
from gateway.identity.accounts import PartnerAccounts
from gateway.kernel.context import Caller
from gateway.kernel.entity_tags import entity_tag
from gateway.kernel.errors import NotAllowed
from gateway.kernel.exchange import Reply
from process_apis.order_to_ship.models import Order
from process_apis.order_to_ship.process import OrderToShip

_encode: Final = msgspec.json.Encoder().encode
_decode_order: Final = msgspec.json.Decoder(schemas.OrderInput).decode
_JSON: Final = (b"content-type", b"application/json")
_CREATED: Final = 201
_ACCEPTED: Final = 202


def placed_reply(order: Order) -> Reply:
    """What an accepted order is answered with."""
    location = (b"location", f"/storefront/v2/orders/{order.order_id}".encode())
    tag = (b"etag", entity_tag(order.version).encode())
    return Reply(_CREATED, [_JSON, location, tag], _encode(mapping.order_view(order)))


class RecallsPlacement:
    """The order that a lost `placeOrder` made, as it is now."""

    def __init__(self, orders: OrderToShip, accounts: PartnerAccounts, currencies: Mapping[str, str]) -> None:
        self._orders = orders
        self._accounts = accounts
        self._currencies = currencies

    async def recall_outcome(self, *, caller: Caller, body: bytes, **_: object) -> Reply | None:
        """201 with the order, or None when it is certain that there is none."""
        data = _decode_order(body)
        account = await self._account(caller, data.account)
        currency = mapping.currency_of(caller, self._currencies)
        command = mapping.place_order(data, caller, account=account, currency=currency)
        order = await self._orders.recall_order(command)
        return None if order is None or order.partner != caller.principal.partner else placed_reply(order)

    async def _account(self, caller: Caller, asked: str | None) -> str:
        """As when it was placed. The one `asked` for, though it is no account of the partner's now, may have been."""
        try:
            return await self._accounts.resolve(caller, asked)
        except NotAllowed:
            if asked is None:
                raise
            return asked


class RecallsCancellation:
    """What a lost `cancelOrder` asked for."""

    def __init__(self, orders: OrderToShip) -> None:
        self._orders = orders

    async def recall_outcome(self, *, caller: Caller, path_params: Mapping[str, str], **_: object) -> Reply | None:
        """202 once the cancellation is in the record, else None."""
        partner = caller.principal.partner or ""
        order = await self._orders.recall_cancellation(caller.tenant, path_params["order_id"], partner=partner)
        return None if order is None else Reply(_ACCEPTED, [_JSON], _encode(mapping.cancellation_view(order)))
