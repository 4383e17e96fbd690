"""What an OpenID provider says over HTTP: its metadata (Discovery 1.0 section 4), tokens, userinfo."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Call
from gateway.identity.addresses import is_guarded
from gateway.identity.openid_options import OpenIdOptions
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotAuthenticated, Unavailable
from gateway.kernel.ids import new_id
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits

_logger = logging.getLogger(__name__)
_OK: Final = 200
_FETCH_S: Final = 5.0
_AGAIN_S: Final = 2.0
# A person waits: no queue of retries. What fails is asked again at most every `_AGAIN_S`.
_LIMITS: Final = SystemLimits(
    concurrency=8, timeout=_FETCH_S, retries=0, breaker_failures=1_000_000, max_response_bytes=1 << 18
)
_METADATA: Final = "/.well-known/openid-configuration"


class Metadata(Struct, frozen=True, kw_only=True):
    """Where the provider is asked what. `names_itself`: its redirects carry ``iss`` (RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    names_itself: bool = msgspec.field(name="authorization_response_iss_parameter_supported", default=False)


class Provider:
    """Asks one provider; its metadata is kept, and holds for a while when it does not answer."""

    def __init__(self, options: OpenIdOptions, outbound: Outbound, clock: Clock) -> None:
        self._options = options
        self._outbound = outbound
        self._monotonic = clock.monotonic
        self._metadata: Metadata | None = None
        self._fetched_at = float("-inf")
        self._failed_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """Raises `Unavailable` when there is none that may still be used."""
        async with self._fetching:
            now = self._monotonic()
            due = now - self._fetched_at >= self._options.refresh_every
            if due and now - self._failed_at >= _AGAIN_S:
                await self._refresh()
        if self._metadata is None or self._monotonic() - self._fetched_at >= self._options.stale_for:
            raise self._down()
        return self._metadata

    async def tokens(self, body: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """The answer of the token endpoint; raises `NotAuthenticated` where it refuses, or `Unavailable`."""
        sent = {**headers, "content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        return await self._ask("POST", (await self.metadata()).token_endpoint, body.encode(), sent)

    async def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """The claims of OpenID Connect Core 1.0 section 5.3; raises as `tokens` does."""
        url = (await self.metadata()).userinfo_endpoint or ""
        return await self._ask("GET", url, b"", {"authorization": f"Bearer {access_token}"})

    async def _refresh(self) -> None:
        try:
            status, body = await self._send("GET", self._options.issuer.rstrip("/") + _METADATA, b"", {})
            self._metadata = _checked(status, body, self._options.issuer)
        except (CrossdockError, ValueError) as error:
            _logger.warning("the metadata of %s could not be read: %s", self._options.issuer, error)
            self._failed_at = self._monotonic()
            return
        self._fetched_at = self._monotonic()

    async def _ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            status, answer = await self._send(method, url, body, headers)
        except CrossdockError as error:
            raise self._down() from error
        if status >= 500:  # noqa: PLR2004
            raise self._down()
        try:
            told = msgspec.json.decode(answer)
        except ValueError:
            told = None
        if status != _OK or not isinstance(told, dict):
            _logger.warning("%s answered %s to %s", self._options.issuer, status, urlsplit(url).path)
            raise NotAuthenticated(
                f"{self._options.name} did not accept this sign-in: try again", code="console.provider_refused"
            )
        return told

    async def _send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        session = self._outbound.session(f"OpenID provider at {origin}", origin, _LIMITS)
        call = Call(tenant="", correlation_id=new_id("oidc"), deadline=self._monotonic() + _FETCH_S)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        answer = await session.request(method, path, call=call, body=body, headers=headers, safe=method == "GET")
        return answer.status, answer.body

    def _down(self) -> Unavailable:
        return Unavailable(
            f"{self._options.name} does not answer: try again soon, or sign in with a password",
            code="console.provider_down",
            retry_after=5,
        )


def _checked(status: int, body: bytes, issuer: str) -> Metadata:
    """Section 4.3: the metadata must name the issuer that was asked, to the letter."""
    if status != _OK:
        raise ValueError(f"it answered {status}")
    found = msgspec.json.decode(body, type=Metadata)
    if found.issuer != issuer:
        raise ValueError("its metadata names another issuer")
    ends = [
        found.authorization_endpoint,
        found.token_endpoint,
        found.userinfo_endpoint or issuer,
        found.end_session_endpoint or issuer,
    ]
    secure = urlsplit(issuer).scheme == "https"
    if not all(is_guarded(url) and (not secure or urlsplit(url).scheme == "https") for url in ends):
        raise ValueError("its metadata names an address without https")
    return found
