"""The carrier's REST API over an outbound session; what its answers become stands in `gateway/outbound/json_api.py`.

503 is the vendor's "nothing was taken on". Codes that callers meet: ``carrier.duplicate_reference``,
``carrier.already_collected``, ``carrier.unknown_service``, ``carrier.not_served``, ``carrier.unknown_depot``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from gateway.canonical.capabilities import Call
from gateway.kernel.secrets import Secret
from gateway.outbound.json_api import Fault, JsonApi, decode
from gateway.outbound.session import Session
from system_apis.parcel_carrier import wire


class Client:
    """One method per operation of the vendor's contract."""

    def __init__(self, session: Session, api_key: Secret) -> None:
        headers = {"x-api-key": api_key.reveal()}
        self._api = JsonApi(session, title="the carrier", prefix="carrier", headers=headers, fault=_fault)

    async def account(self, call: Call) -> None:
        """``GET /v3/account``."""
        await self._api.ask(call, "/v3/account", dict[str, Any])

    async def rates(self, call: Call, request: wire.RateRequest) -> wire.Rates:
        """``POST /v3/rates``, which books nothing."""
        body = msgspec.json.encode(request)
        rates: wire.Rates = await self._api.ask(call, "/v3/rates", wire.Rates, method="POST", body=body)
        return rates

    async def shipments(self, call: Call, *, reference: str) -> wire.ShipmentList:
        """``GET /v3/shipments?reference=``."""
        query = urlencode({"reference": reference})
        found: wire.ShipmentList = await self._api.ask(call, f"/v3/shipments?{query}", wire.ShipmentList)
        return found

    async def create_shipment(self, call: Call, shipment: wire.NewShipment) -> wire.Shipment:
        """``POST /v3/shipments``."""
        made: wire.Shipment = await self._api.change(
            call, "/v3/shipments", wire.Shipment, msgspec.json.encode(shipment)
        )
        return made

    async def void_shipment(self, call: Call, *, number: str) -> wire.Shipment:
        """``POST /v3/shipments/{number}/void``; voiding what is void answers the same."""
        path = f"/v3/shipments/{quote(number, safe='')}/void"
        voided: wire.Shipment = await self._api.change(call, path, wire.Shipment, b"")
        return voided

    async def tracking_events(self, call: Call, *, after: str | None, limit: int) -> wire.EventPage:
        """``GET /v3/tracking-events``."""
        query = urlencode({"limit": str(limit)} | ({"after": after} if after else {}))
        page: wire.EventPage = await self._api.ask(call, f"/v3/tracking-events?{query}", wire.EventPage)
        return page


def _fault(body: bytes) -> Fault:
    problem: wire.Problem = decode(body, wire.Problem)
    return Fault(problem.code, problem.message)
