"""The carrier's REST API over an outbound session. Foreign errors end here.

| answer | becomes |
|---|---|
| 401, 403 | `BrokenUpstream` (code ``carrier.refused_credentials``): a person must look |
| 404 | `NotFound` |
| 409 | `Conflict`, the vendor's code in lower case: ``carrier.duplicate_reference``, ``carrier.already_collected`` |
| 400, 422 | `Rejected`, likewise: ``carrier.unknown_service``, ``carrier.not_served``, ``carrier.unknown_depot`` |
| 429 | `Throttled` (by the session, which then holds back every process) |
| 5xx to a read, 503 to a write | `Unavailable`; 503 is the vendor's "nothing was taken on" |
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
from system_apis.parcel_carrier import wire


class Client:
    """One method per operation of the vendor's contract."""

    def __init__(self, session: Session, api_key: Secret) -> None:
        self._session = session
        self._headers = {"x-api-key": api_key.reveal(), "accept": "application/json"}

    async def account(self, call: Call) -> None:
        """``GET /v3/account``."""
        await self._read(call, "GET", "/v3/account", dict[str, Any])

    async def rates(self, call: Call, request: wire.RateRequest) -> wire.Rates:
        """``POST /v3/rates``, which books nothing."""
        body = msgspec.json.encode(request)
        rates: wire.Rates = await self._read(call, "POST", "/v3/rates", wire.Rates, body=body)
        return rates

    async def shipments(self, call: Call, *, reference: str) -> wire.ShipmentList:
        """``GET /v3/shipments?reference=``."""
        query = urlencode({"reference": reference})
        found: wire.ShipmentList = await self._read(call, "GET", f"/v3/shipments?{query}", wire.ShipmentList)
        return found

    async def create_shipment(self, call: Call, shipment: wire.NewShipment) -> wire.Shipment:
        """``POST /v3/shipments``."""
        made: wire.Shipment = await self._write(call, "/v3/shipments", msgspec.json.encode(shipment))
        return made

    async def void_shipment(self, call: Call, *, number: str) -> wire.Shipment:
        """``POST /v3/shipments/{number}/void``; voiding what is void answers the same."""
        voided: wire.Shipment = await self._write(call, f"/v3/shipments/{quote(number, safe='')}/void", b"")
        return voided

    async def tracking_events(self, call: Call, *, after: str | None, limit: int) -> wire.EventPage:
        """``GET /v3/tracking-events``."""
        query = urlencode({"limit": str(limit)} | ({"after": after} if after else {}))
        page: wire.EventPage = await self._read(call, "GET", f"/v3/tracking-events?{query}", wire.EventPage)
        return page

    async def _read(self, call: Call, method: str, path: str, shape: Any, *, body: bytes = b"") -> Any:
        headers = {**self._headers, "content-type": "application/json"} if body else self._headers
        answer = await self._session.request(method, path, call=call, headers=headers, body=body, safe=True)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"the carrier answered {answer.status}: try again", code="carrier.unavailable")
        _refuse(answer)
        try:
            return wire.decode(answer.body, shape)
        except ValueError as error:
            raise BrokenUpstream(
                f"the carrier answered something outside its contract ({_first_line(error)})",
                code="carrier.broken_contract",
            ) from None

    async def _write(self, call: Call, path: str, body: bytes) -> Any:
        headers = {**self._headers, "content-type": "application/json"}
        answer = await self._session.request("POST", path, call=call, headers=headers, body=body, safe=False)
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unavailable("the carrier takes nothing on for now: try again", code="carrier.unavailable")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _unknown(f"the carrier answered {answer.status}")
        _refuse(answer)
        try:
            return wire.decode(answer.body, wire.Shipment)
        except ValueError as error:
            raise _unknown(f"the carrier answered something outside its contract ({_first_line(error)})") from None


def _refuse(answer: Response) -> None:
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    try:
        fault: wire.Fault = wire.decode(answer.body, wire.Fault)
    except ValueError:
        fault = wire.Fault(str(answer.status), "no explanation that can be read")
    raise _error(answer.status, fault)


def _error(status: int, fault: wire.Fault) -> CrossdockError:
    detail = f"the carrier refused: {fault.message[:200]} ({fault.code[:40]})"
    code = f"carrier.{fault.code[:40].lower()}"
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(detail, code=code)
    if status == HTTPStatus.CONFLICT:
        return Conflict(detail, code=code)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return Rejected(detail, code=code)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return BrokenUpstream("the carrier refuses our key: check api_key", code="carrier.refused_credentials")
    return BrokenUpstream(
        f"the carrier answered {status}, which its contract does not know", code="carrier.broken_contract"
    )


def _unknown(what: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"{what} to a change: look there before repeating it", code="carrier.outcome_unknown")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
