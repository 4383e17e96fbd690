"""The WMS's REST API over an outbound session. Foreign errors end here.

| answer | becomes |
|---|---|
| 401, 403, anything else | `BrokenUpstream` (code ``wms.refused_credentials``): a person must look |
| 404 | `NotFound` |
| 409 | `Conflict`, with the vendor's code in lower case: ``wms.duplicate_reference``, ``wms.picking_started`` |
| 400, 422 | `Rejected` |
| 429 | `Throttled` (by the session) |
| 5xx to a read, 503 to a write | `Unavailable`; 503 is the vendor's "not taken on" |
| other 5xx to a write | `OutcomeUnknown` |
| an unreadable body | `BrokenUpstream`; after a write that answered 2xx `OutcomeUnknown` |
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from gateway.canonical.capabilities import Call
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from gateway.kernel.secrets import Secret
from gateway.outbound.session import Response, Session
from system_apis.regional_wms import wire


class Client:
    """One method per operation of the vendor's contract."""

    def __init__(self, session: Session, api_key: Secret) -> None:
        self._session = session
        self._headers = {"x-api-key": api_key.reveal(), "accept": "application/json"}

    async def status(self, call: Call) -> None:
        """``GET /api/v2/status``."""
        await self._read(call, "/api/v2/status", dict[str, Any])

    async def items(self, call: Call, *, after: str | None, limit: int) -> wire.ItemPage:
        """``GET /api/v2/items``."""
        query = {"limit": str(limit)} | ({"after": after} if after else {})
        page: wire.ItemPage = await self._read(call, f"/api/v2/items?{urlencode(query)}", wire.ItemPage)
        return page

    async def stock(self, call: Call, *, warehouses: tuple[str, ...]) -> wire.StockSnapshot:
        """``GET /api/v2/stock``."""
        query = urlencode([("warehouse", code) for code in warehouses])
        stock: wire.StockSnapshot = await self._read(call, f"/api/v2/stock?{query}", wire.StockSnapshot)
        return stock

    async def events(self, call: Call, *, after: str | None, limit: int) -> wire.EventPage:
        """``GET /api/v2/events``."""
        query = {"limit": str(limit)} | ({"after": after} if after else {})
        page: wire.EventPage = await self._read(call, f"/api/v2/events?{urlencode(query)}", wire.EventPage)
        return page

    async def orders(self, call: Call, *, reference: str) -> wire.OrderList:
        """``GET /api/v2/orders?client_reference=``."""
        query = urlencode({"client_reference": reference})
        orders: wire.OrderList = await self._read(call, f"/api/v2/orders?{query}", wire.OrderList)
        return orders

    async def create_order(self, call: Call, order: wire.NewOrder | wire.NewTransfer) -> wire.WmsOrder:
        """``POST /api/v2/orders``."""
        made: wire.WmsOrder = await self._write(call, "/api/v2/orders", msgspec.json.encode(order), wire.WmsOrder)
        return made

    async def cancel_order(self, call: Call, *, number: str) -> wire.WmsOrder:
        """``POST /api/v2/orders/{order_number}/cancel``; cancelling what is cancelled answers the same."""
        path = f"/api/v2/orders/{quote(number, safe='')}/cancel"
        cancelled: wire.WmsOrder = await self._write(call, path, b"", wire.WmsOrder)
        return cancelled

    async def status_changes(self, call: Call, *, reference: str) -> wire.StatusChangeList:
        """``GET /api/v2/status-changes?client_reference=``."""
        query = urlencode({"client_reference": reference})
        found: wire.StatusChangeList = await self._read(call, f"/api/v2/status-changes?{query}", wire.StatusChangeList)
        return found

    async def change_status(self, call: Call, change: wire.NewStatusChange) -> wire.StatusChange:
        """``POST /api/v2/status-changes``."""
        body = msgspec.json.encode(change)
        made: wire.StatusChange = await self._write(call, "/api/v2/status-changes", body, wire.StatusChange)
        return made

    async def counts(self, call: Call, *, reference: str) -> wire.CountList:
        """``GET /api/v2/counts?client_reference=``."""
        query = urlencode({"client_reference": reference})
        found: wire.CountList = await self._read(call, f"/api/v2/counts?{query}", wire.CountList)
        return found

    async def post_count(self, call: Call, count: wire.NewCount) -> wire.Count:
        """``POST /api/v2/counts``."""
        made: wire.Count = await self._write(call, "/api/v2/counts", msgspec.json.encode(count), wire.Count)
        return made

    async def _read(self, call: Call, path: str, shape: Any) -> Any:
        answer = await self._session.request("GET", path, call=call, headers=self._headers, safe=True)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"the WMS answered {answer.status}: try again", code="wms.unavailable")
        self._refuse(answer)
        try:
            return wire.decode(answer.body, shape)
        except ValueError as error:
            raise BrokenUpstream(
                f"the WMS answered something outside its contract ({_first_line(error)})", code="wms.broken_contract"
            ) from None

    async def _write(self, call: Call, path: str, body: bytes, shape: Any) -> Any:
        headers = {**self._headers, "content-type": "application/json"}
        answer = await self._session.request("POST", path, call=call, headers=headers, body=body, safe=False)
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unavailable("the WMS takes nothing on for now: try again", code="wms.unavailable")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _unknown(f"the WMS answered {answer.status}")
        self._refuse(answer)
        try:
            return wire.decode(answer.body, shape)
        except ValueError as error:
            raise _unknown(f"the WMS answered something outside its contract ({_first_line(error)})") from None

    def _refuse(self, answer: Response) -> None:
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return
        try:
            fault = wire.decode(answer.body, wire.FaultAnswer).error
        except ValueError:
            fault = wire.Fault(str(answer.status), "no explanation that can be read")
        raise _error(answer.status, fault)


def _error(status: int, fault: wire.Fault) -> CrossdockError:
    detail = f"the WMS refused: {fault.message[:200]} ({fault.code[:40]})"
    code = f"wms.{fault.code[:40].lower()}"
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(detail, code=code)
    if status == HTTPStatus.CONFLICT:
        return Conflict(detail, code=code)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return Rejected(detail, code=code)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return BrokenUpstream("the WMS refuses our API key: check api_key", code="wms.refused_credentials")
    return BrokenUpstream(f"the WMS answered {status}, which its contract does not know", code="wms.broken_contract")


def _unknown(what: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"{what} to a change: look there before repeating it", code="wms.outcome_unknown")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
