"""The ERP's REST API over an outbound session; what its answers become stands in `gateway/outbound/json_api.py`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Call
from gateway.kernel.secrets import Secret
from gateway.outbound.json_api import Fault, JsonApi, decode
from gateway.outbound.session import Session
from system_apis.regional_erp import wire

_ROOT = "/api/v1"


class _FaultAnswer(Struct, frozen=True):
    """``{"code": "DUPLICATE_REFERENCE", "text": "…"}``."""

    code: str
    text: str


class Client:
    """One method per operation of the vendor's contract."""

    def __init__(self, session: Session, token: Secret) -> None:
        self._api = JsonApi(
            session,
            title="the ERP",
            prefix="erp",
            headers={"authorization": f"Bearer {token.reveal()}"},
            fault=_fault,
        )

    async def status(self, call: Call) -> None:
        """``GET /status``."""
        await self._api.ask(call, f"{_ROOT}/status", dict[str, Any])

    async def articles(self, call: Call, *, after: str | None, limit: int) -> wire.ArticlePage:
        """``GET /articles``."""
        query = urlencode({"limit": str(limit)} | ({"after": after} if after else {}))
        page: wire.ArticlePage = await self._api.ask(call, f"{_ROOT}/articles?{query}", wire.ArticlePage)
        return page

    async def stock(self, call: Call, *, sites: tuple[str, ...]) -> wire.Stock:
        """``GET /stock``."""
        query = urlencode([("site", code) for code in sites])
        stock: wire.Stock = await self._api.ask(call, f"{_ROOT}/stock?{query}", wire.Stock)
        return stock

    async def customer(self, call: Call, *, number: str) -> wire.Customer:
        """``GET /customers/{number}``."""
        path = f"{_ROOT}/customers/{quote(number, safe='')}"
        customer: wire.Customer = await self._api.ask(call, path, wire.Customer)
        return customer

    async def orders(self, call: Call, *, reference: str) -> wire.OrderList:
        """``GET /sales-orders?external_reference=``: none or one."""
        query = urlencode({"external_reference": reference})
        orders: wire.OrderList = await self._api.ask(call, f"{_ROOT}/sales-orders?{query}", wire.OrderList)
        return orders

    async def create_order(self, call: Call, order: wire.NewOrder) -> wire.Order:
        """``POST /sales-orders``."""
        made: wire.Order = await self._api.change(call, f"{_ROOT}/sales-orders", wire.Order, msgspec.json.encode(order))
        return made

    async def cancel_order(self, call: Call, *, number: str) -> wire.Order:
        """``POST /sales-orders/{number}/cancel``; cancelling what is cancelled answers the same."""
        path = f"{_ROOT}/sales-orders/{quote(number, safe='')}/cancel"
        cancelled: wire.Order = await self._api.change(call, path, wire.Order, b"")
        return cancelled

    async def deliver(self, call: Call, *, number: str, delivery: wire.NewDelivery) -> wire.Delivery:
        """``POST /sales-orders/{number}/deliveries``."""
        path = f"{_ROOT}/sales-orders/{quote(number, safe='')}/deliveries"
        made: wire.Delivery = await self._api.change(call, path, wire.Delivery, msgspec.json.encode(delivery))
        return made

    async def bill(self, call: Call, *, number: str, invoice: wire.NewInvoice) -> wire.Invoice:
        """``POST /sales-orders/{number}/invoices``."""
        path = f"{_ROOT}/sales-orders/{quote(number, safe='')}/invoices"
        made: wire.Invoice = await self._api.change(call, path, wire.Invoice, msgspec.json.encode(invoice))
        return made


def _fault(body: bytes) -> Fault:
    found: _FaultAnswer = decode(body, _FaultAnswer)
    return Fault(found.code, found.text)
