"""OData v2 to S/4HANA: signs in, keeps the session and its CSRF token, and is where SAP's errors end.

Sources: SAP Help, "Cross-Site Request Forgery Protection" of SAP Gateway (a read with ``X-CSRF-Token: Fetch`` gives a
token that holds for its session; a change without one is refused before anything is done), and OData v2.

=====================================  ==============================================================================
403 with ``x-csrf-token: required``    a new token, once; nothing was done
401                                    `NotAuthenticated`
403                                    `NotAllowed`
404                                    `NotFound`; of a whole service or set `BrokenUpstream`
409                                    `Conflict` (``erp.changed_meanwhile``)
412                                    `Unavailable` (``erp.changed_meanwhile``): read it again, nothing was done
423                                    `Unavailable`: somebody has the document open
400, 422, 428 and the rest below 500   `Rejected`, with SAP's text; "currently being processed by" is `Unavailable`
429                                    `Throttled` (by the session)
503                                    `Unavailable`: no work process took it on
other 5xx, or what cannot be read      write: `OutcomeUnknown`; read: `Unavailable`, `BrokenUpstream`
=====================================  ==============================================================================
"""

from __future__ import annotations

import asyncio
import base64
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from system_apis.sap_s4 import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.canonical.capabilities import Call
    from gateway.kernel.secrets import Secret
    from gateway.outbound.session import Response, Session

_Row = TypeVar("_Row", bound=Struct)
_ROOT: Final = "/sap/opu/odata/sap"
_MOST_PAGES: Final = 10_000
_COOKIE: Final = re.compile(r"(?:^|,\s*)([A-Za-z0-9_.!#$%&'*+^`|~-]+)=([^;,]*)")
_NOT_A_COOKIE: Final = frozenset({"path", "domain", "expires", "max-age", "samesite"})
# English texts of message classes V1 (042) and VL (046): the document is open in somebody's window.
_IN_USE: Final = ("currently being processed by", "is locked by")


class Client:
    """One user of one S/4HANA client. Shared by all tasks of an event loop."""

    def __init__(self, session: Session, *, user: str, password: Secret, client: str = "") -> None:
        self._session = session
        self._user = user
        self._basic = "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
        self._client = client
        self._token = ""
        self._cookies: dict[str, str] = {}
        self._fetching = asyncio.Lock()

    async def rows(self, call: Call, kind: type[_Row], *, top: int | None = None, **options: str) -> list[_Row]:
        """Entities of `kind` that fit the options ``filter``, ``expand`` and ``orderby``, over all of SAP's pages.

        Raises `NotFound` (``erp.set_missing``) where this system does not serve the set.
        """
        asked = {f"${name}": value for name, value in options.items() if value}
        if top is not None:
            asked["$top"] = str(top)
        path: str | None = self._path(f"{kind.SERVICE}/{kind.SET}", {**asked, "$format": "json"})  # type: ignore[attr-defined]
        found: list[_Row] = []
        for _ in range(_MOST_PAGES):
            if path is None:
                return found
            page = self._read(await self._get(call, path, whole_set=True), f"{kind.__name__}s", safe=True)
            try:
                found += [wire.entity(row, kind) for row in wire.results(page)]
            except ValueError as error:
                raise _unreadable(str(error), safe=True) from None
            following = page.get("__next") if isinstance(page, dict) else None
            path = _target(following) if isinstance(following, str) else None
        raise BrokenUpstream("SAP's pages have no end", code="erp.protocol")

    async def create(self, call: Call, kind: type[_Row], payload: Mapping[str, object]) -> _Row:
        """Make one entity with what hangs on it. `OutcomeUnknown` when no answer came back."""
        path = self._path(f"{kind.SERVICE}/{kind.SET}")  # type: ignore[attr-defined]
        answer = await self._change(call, "POST", path, wire.encode(payload))
        try:
            return wire.entity(self._read(answer, kind.__name__, safe=False), kind)
        except ValueError as error:
            raise _unreadable(str(error), safe=False) from None

    async def patch(
        self, call: Call, kind: type[Struct], key: Mapping[str, str], payload: Mapping[str, object], etag: str
    ) -> None:
        """Change what `payload` names of one entity. Raises `Unavailable` where it is no longer as `etag` says."""
        predicate = ",".join(f"{name}={wire.literal(value)}" for name, value in key.items())
        path = self._path(f"{kind.SERVICE}/{kind.SET}({wire.quote(predicate, safe='')})")  # type: ignore[attr-defined]
        await self._change(call, "PATCH", path, wire.encode(payload), etag=etag)

    async def act(self, call: Call, service: str, function: str, parameters: Mapping[str, str], etag: str) -> None:
        """Call a function import that changes something; strings in its parameters are quoted."""
        asked = {name: wire.literal(value) for name, value in parameters.items()}
        await self._change(call, "POST", self._path(f"{service}/{function}", asked), b"", etag=etag)

    async def fetch_token(self, call: Call) -> None:
        """Sign in and take a CSRF token, whether or not there is one."""
        self._token = ""
        self._cookies.clear()
        answer = await self._send(call, "GET", self._path(f"{wire.SALES}/"), {"x-csrf-token": "Fetch"}, safe=True)
        if refused := _refusal(answer, safe=True, whole_set=True):
            raise refused
        self._token = answer.headers.get("x-csrf-token", "")

    async def _get(self, call: Call, path: str, *, whole_set: bool) -> Response:
        answer = await self._send(call, "GET", path, {}, safe=True)
        if refused := _refusal(answer, safe=True, whole_set=whole_set):
            raise refused
        return answer

    async def _change(self, call: Call, method: str, path: str, body: bytes, *, etag: str = "") -> Response:
        answer = await self._with_token(call, method, path, body, etag, stale=None)
        if answer.status == HTTPStatus.FORBIDDEN and answer.headers.get("x-csrf-token", "").lower() == "required":
            # SAP asks for the token before it does anything, so that even a change may be sent again.
            answer = await self._with_token(call, method, path, body, etag, stale=self._token)
        if refused := _refusal(answer, safe=False, whole_set=False):
            raise refused
        return answer

    async def _with_token(
        self, call: Call, method: str, path: str, body: bytes, etag: str, *, stale: str | None
    ) -> Response:
        async with self._fetching:
            if not self._token or self._token == stale:
                await self.fetch_token(call)
        headers = {"x-csrf-token": self._token, "content-type": "application/json"}
        if etag:
            headers["if-match"] = etag
        return await self._send(call, method, path, headers, body=body, safe=False)

    async def _send(
        self, call: Call, method: str, path: str, headers: Mapping[str, str], *, body: bytes = b"", safe: bool
    ) -> Response:
        standing = {"accept": "application/json", "authorization": self._basic, "sap-language": "EN"}
        if self._cookies:
            standing["cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        answer = await self._session.request(
            method, path, call=call, headers={**standing, **headers}, body=body, safe=safe
        )
        for name, value in _COOKIE.findall(answer.headers.get("set-cookie", "")):
            if name.lower() not in _NOT_A_COOKIE:
                self._cookies[name] = value
        return answer

    def _path(self, resource: str, options: Mapping[str, str] | None = None) -> str:
        asked = {**(options or {}), **({"sap-client": self._client} if self._client else {})}
        return f"{_ROOT}/{resource}" + (f"?{wire.query(asked)}" if asked else "")

    def _read(self, answer: Response, what: str, *, safe: bool) -> Any:
        try:
            return wire.decode(answer.body)
        except ValueError as error:
            raise _unreadable(f"{what}: {error}", safe=safe) from None


def _target(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _refusal(answer: Response, *, safe: bool, whole_set: bool) -> CrossdockError | None:
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    told = wire.fault(answer.body)
    text = f"{told.text} ({told.code})" if told else f"HTTP {status} without a reason that can be read"
    in_use = told is not None and any(phrase in told.text for phrase in _IN_USE)
    if status == HTTPStatus.LOCKED or (in_use and status < HTTPStatus.INTERNAL_SERVER_ERROR):
        return Unavailable(f"SAP keeps the document for somebody else: {text}", code="erp.locked", retry_after=5.0)
    if status == HTTPStatus.SERVICE_UNAVAILABLE or (safe and status >= HTTPStatus.INTERNAL_SERVER_ERROR):
        return Unavailable(f"SAP answered {status}, nothing was done, try again: {text}", code="erp.unavailable")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OutcomeUnknown(f"SAP answered {status}: look whether it was done", code="erp.outcome_unknown")
    if status == HTTPStatus.NOT_FOUND and whole_set:
        return NotFound(f"SAP does not serve this: {text}; activate the service", code="erp.set_missing")
    return _refused(status, text)


def _refused(status: int, text: str) -> CrossdockError:
    if status == HTTPStatus.UNAUTHORIZED:
        return NotAuthenticated("SAP refuses our user: check user and password", code="erp.credentials_refused")
    if status == HTTPStatus.FORBIDDEN:
        return NotAllowed(f"SAP lets our user not do this: {text}; check its roles", code="erp.not_allowed")
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"SAP has no such document: {text}", code="erp.not_found")
    if status == HTTPStatus.PRECONDITION_FAILED:
        return Unavailable(f"somebody was faster, read it again: {text}", code="erp.changed_meanwhile")
    if status == HTTPStatus.CONFLICT:
        return Conflict(f"SAP's document was changed meanwhile: {text}", code="erp.changed_meanwhile")
    return Rejected(f"SAP refuses: {text}", code="erp.refused")


def _unreadable(why: str, *, safe: bool) -> CrossdockError:
    if safe:
        return BrokenUpstream(f"SAP breaks its protocol: {why[:200]}", code="erp.protocol")
    return OutcomeUnknown(
        f"SAP's answer to a change cannot be read ({why[:200]}): look there", code="erp.outcome_unknown"
    )
