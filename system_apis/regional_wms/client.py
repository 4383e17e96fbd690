"""The WMS's REST API over an outbound session; what its answers become stands in `gateway/outbound/json_api.py`.

503 is the vendor's "nothing was taken on".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from gateway.canonical.capabilities import Call
from gateway.kernel.secrets import Secret
from gateway.outbound.json_api import Fault, JsonApi, decode
from gateway.outbound.session import Session
from system_apis.regional_wms import wire


class Client:
    """One method per operation of the vendor's contract."""

    def __init__(self, session: Session, api_key: Secret) -> None:
        headers = {"x-api-key": api_key.reveal()}
        self._api = JsonApi(session, title="the WMS", prefix="wms", headers=headers, fault=_fault)

    async def status(self, call: Call) -> None:
        """``GET /api/v2/status``."""
        await self._api.ask(call, "/api/v2/status", dict[str, Any])

    async def items(self, call: Call, *, after: str | None, limit: int) -> wire.ItemPage:
        """``GET /api/v2/items``."""
        query = {"limit": str(limit)} | ({"after": after} if after else {})
        page: wire.ItemPage = await self._api.ask(call, f"/api/v2/items?{urlencode(query)}", wire.ItemPage)
        return page

    async def stock(self, call: Call, *, warehouses: tuple[str, ...]) -> wire.StockSnapshot:
        """``GET /api/v2/stock``."""
        query = urlencode([("warehouse", code) for code in warehouses])
        stock: wire.StockSnapshot = await self._api.ask(call, f"/api/v2/stock?{query}", wire.StockSnapshot)
        return stock

    async def events(self, call: Call, *, after: str | None, limit: int) -> wire.EventPage:
        """``GET /api/v2/events``."""
        query = {"limit": str(limit)} | ({"after": after} if after else {})
        page: wire.EventPage = await self._api.ask(call, f"/api/v2/events?{urlencode(query)}", wire.EventPage)
        return page

    async def orders(self, call: Call, *, reference: str) -> wire.OrderList:
        """``GET /api/v2/orders?client_reference=``."""
        query = urlencode({"client_reference": reference})
        orders: wire.OrderList = await self._api.ask(call, f"/api/v2/orders?{query}", wire.OrderList)
        return orders

    async def create_order(self, call: Call, order: wire.NewOrder | wire.NewTransfer) -> wire.WmsOrder:
        """``POST /api/v2/orders``."""
        made: wire.WmsOrder = await self._api.change(call, "/api/v2/orders", wire.WmsOrder, msgspec.json.encode(order))
        return made

    async def cancel_order(self, call: Call, *, number: str) -> wire.WmsOrder:
        """``POST /api/v2/orders/{order_number}/cancel``; cancelling what is cancelled answers the same."""
        path = f"/api/v2/orders/{quote(number, safe='')}/cancel"
        cancelled: wire.WmsOrder = await self._api.change(call, path, wire.WmsOrder, b"")
        return cancelled

    async def status_changes(self, call: Call, *, reference: str) -> wire.StatusChangeList:
        """``GET /api/v2/status-changes?client_reference=``."""
        query = urlencode({"client_reference": reference})
        found: wire.StatusChangeList = await self._api.ask(
            call, f"/api/v2/status-changes?{query}", wire.StatusChangeList
        )
        return found

    async def change_status(self, call: Call, change: wire.NewStatusChange) -> wire.StatusChange:
        """``POST /api/v2/status-changes``."""
        body = msgspec.json.encode(change)
        made: wire.StatusChange = await self._api.change(call, "/api/v2/status-changes", wire.StatusChange, body)
        return made

    async def counts(self, call: Call, *, reference: str) -> wire.CountList:
        """``GET /api/v2/counts?client_reference=``."""
        query = urlencode({"client_reference": reference})
        found: wire.CountList = await self._api.ask(call, f"/api/v2/counts?{query}", wire.CountList)
        return found

    async def post_count(self, call: Call, count: wire.NewCount) -> wire.Count:
        """``POST /api/v2/counts``."""
        made: wire.Count = await self._api.change(call, "/api/v2/counts", wire.Count, msgspec.json.encode(count))
        return made


def _fault(body: bytes) -> Fault:
    found: wire.FaultAnswer = decode(body, wire.FaultAnswer)
    return Fault(found.error.code, found.error.message)
