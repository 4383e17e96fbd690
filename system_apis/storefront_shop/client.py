"""The shop's REST API over an outbound session; what its answers become stands in `gateway/outbound/json_api.py`.

503 is the vendor's "nothing was changed".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from gateway.canonical.capabilities import Call
from gateway.kernel.errors import OutcomeUnknown
from gateway.kernel.secrets import Secret
from gateway.outbound.json_api import Fault, JsonApi, decode
from gateway.outbound.session import Session
from system_apis.storefront_shop import wire

_ROOT = "/admin/2026-10"


class Client:
    """One method per operation of the vendor's contract."""

    def __init__(self, session: Session, access_key: Secret) -> None:
        headers = {"x-shop-access-key": access_key.reveal()}
        self._api = JsonApi(session, title="the shop", prefix="shop", headers=headers, fault=_fault)

    async def shop(self, call: Call) -> None:
        """``GET /shop``."""
        await self._api.ask(call, f"{_ROOT}/shop", dict[str, Any])

    async def levels(self, call: Call, *, skus: Sequence[str]) -> wire.Levels:
        """``POST /levels/query``, which changes nothing."""
        body = msgspec.json.encode({"skus": skus})
        levels: wire.Levels = await self._api.ask(call, f"{_ROOT}/levels/query", wire.Levels, method="POST", body=body)
        return levels

    async def set_levels(self, call: Call, *, levels: Sequence[wire.NewLevel]) -> wire.SetResults:
        """``POST /levels/set``; one that is not as it was read stays as it is."""
        body = msgspec.json.encode({"levels": levels})
        results: wire.SetResults = await self._api.change(call, f"{_ROOT}/levels/set", wire.SetResults, body)
        if [result.sku for result in results.results] != [level.sku for level in levels]:
            raise OutcomeUnknown(
                "the shop answered for other levels than it was asked to set: look there before repeating it",
                code="shop.outcome_unknown",
            )
        return results

    async def feed_levels(self, call: Call, *, levels: Sequence[wire.FeedLevel]) -> None:
        """``POST /feeds/levels``; what it did not know, it does not tell."""
        await self._api.change(call, f"{_ROOT}/feeds/levels", wire.FeedTaken, msgspec.json.encode({"levels": levels}))

    async def order_events(self, call: Call, *, after: str | None, limit: int) -> wire.OrderEventPage:
        """``GET /order-events``."""
        query = urlencode({"limit": str(limit)} | ({"after": after} if after else {}))
        page: wire.OrderEventPage = await self._api.ask(call, f"{_ROOT}/order-events?{query}", wire.OrderEventPage)
        return page

    async def update_order(self, call: Call, *, order: str, update: wire.OrderUpdate) -> None:
        """``POST /orders/{order}/updates``; one that it has already is answered as the first time."""
        path = f"{_ROOT}/orders/{quote(order, safe='')}/updates"
        taken: wire.UpdateTaken = await self._api.change(call, path, wire.UpdateTaken, msgspec.json.encode(update))
        if taken.update != update.update:
            raise OutcomeUnknown(
                "the shop answered for another update: tell it again under the same id", code="shop.outcome_unknown"
            )


def _fault(body: bytes) -> Fault:
    errors = decode(body, wire.ProblemAnswer).errors
    if not errors:
        raise ValueError("an error answer without an error")
    return Fault(errors[0].code, errors[0].message)
