"""The shop's REST API over an outbound session. Foreign errors end here.

| answer | becomes |
|---|---|
| 401, 403 | `BrokenUpstream` (code ``shop.refused_credentials``): a person must look |
| 404 | `NotFound` |
| 400, 422 | `Rejected` |
| 429 | `Throttled` (by the session, which then holds back every process) |
| 5xx to a read, 503 to a write | `Unavailable`; 503 is the vendor's "nothing was changed" |
| other 5xx to a write | `OutcomeUnknown` |
| an unreadable body | `BrokenUpstream`; after a write that answered 2xx `OutcomeUnknown` |
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec

from gateway.canonical.capabilities import Call
from gateway.kernel.errors import BrokenUpstream, CrossdockError, NotFound, OutcomeUnknown, Rejected, Unavailable
from gateway.kernel.secrets import Secret
from gateway.outbound.session import Response, Session
from system_apis.storefront_shop import wire

_ROOT = "/admin/2026-10"


class Client:
    """One method per operation of the vendor's contract."""

    def __init__(self, session: Session, access_key: Secret) -> None:
        self._session = session
        self._headers = {"x-shop-access-key": access_key.reveal(), "accept": "application/json"}

    async def shop(self, call: Call) -> None:
        """``GET /shop``."""
        await self._ask(call, "GET", "/shop", dict[str, Any])

    async def levels(self, call: Call, *, skus: Sequence[str]) -> wire.Levels:
        """``POST /levels/query``, which changes nothing."""
        body = msgspec.json.encode({"skus": skus})
        levels: wire.Levels = await self._ask(call, "POST", "/levels/query", wire.Levels, body=body)
        return levels

    async def set_levels(self, call: Call, *, levels: Sequence[wire.NewLevel]) -> wire.SetResults:
        """``POST /levels/set``; one that is not as it was read stays as it is."""
        body = msgspec.json.encode({"levels": levels})
        results: wire.SetResults = await self._change(call, "/levels/set", wire.SetResults, body)
        if [result.sku for result in results.results] != [level.sku for level in levels]:
            raise _unknown("the shop answered for other levels than it was asked to set")
        return results

    async def feed_levels(self, call: Call, *, levels: Sequence[wire.FeedLevel]) -> None:
        """``POST /feeds/levels``; what it did not know, it does not tell."""
        await self._change(call, "/feeds/levels", wire.FeedTaken, msgspec.json.encode({"levels": levels}))

    async def order_events(self, call: Call, *, after: str | None, limit: int) -> wire.OrderEventPage:
        """``GET /order-events``."""
        query = urlencode({"limit": str(limit)} | ({"after": after} if after else {}))
        page: wire.OrderEventPage = await self._ask(call, "GET", f"/order-events?{query}", wire.OrderEventPage)
        return page

    async def _ask(self, call: Call, method: str, path: str, shape: Any, *, body: bytes = b"") -> Any:
        headers = {**self._headers, "content-type": "application/json"}
        answer = await self._session.request(method, _ROOT + path, call=call, headers=headers, body=body, safe=True)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"the shop answered {answer.status}: try again", code="shop.unavailable")
        _refuse(answer)
        try:
            return wire.decode(answer.body, shape)
        except ValueError as error:
            raise BrokenUpstream(
                f"the shop answered something outside its contract ({_first_line(error)})", code="shop.broken_contract"
            ) from None

    async def _change(self, call: Call, path: str, shape: Any, body: bytes) -> Any:
        headers = {**self._headers, "content-type": "application/json"}
        answer = await self._session.request("POST", _ROOT + path, call=call, headers=headers, body=body, safe=False)
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unavailable("the shop takes no changes for now: try again", code="shop.unavailable")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _unknown(f"the shop answered {answer.status}")
        _refuse(answer)
        try:
            return wire.decode(answer.body, shape)
        except ValueError as error:
            raise _unknown(f"the shop answered something outside its contract ({_first_line(error)})") from None


def _refuse(answer: Response) -> None:
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    try:
        problem = wire.decode(answer.body, wire.ProblemAnswer).errors[0]
    except (ValueError, IndexError):
        problem = wire.Problem(str(answer.status), "no explanation that can be read")
    raise _error(answer.status, problem)


def _error(status: int, problem: wire.Problem) -> CrossdockError:
    detail = f"the shop refused: {problem.message[:200]} ({problem.code[:40]})"
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(detail, code="shop.not_found")
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return Rejected(detail, code="shop.refused")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return BrokenUpstream("the shop refuses our key: check access_key", code="shop.refused_credentials")
    return BrokenUpstream(f"the shop answered {status}, which its contract does not know", code="shop.broken_contract")


def _unknown(what: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"{what} to a change: look there before repeating it", code="shop.outcome_unknown")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
