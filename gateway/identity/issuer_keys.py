"""The keys of one outside issuer: fetched once for everybody who waits, kept while it does not answer.

Whatever tokens arrive, at most one fetch begins in `refetch_every` seconds. Where the keys come from is configuration,
or the issuer's own metadata (OpenID Connect Discovery 1.0 section 4); never a header of a token.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from gateway.canonical.capabilities import Call
from gateway.identity.addresses import is_guarded
from gateway.identity.public_keys import PublicKey, key_set
from gateway.kernel.clock import Clock
from gateway.kernel.errors import BrokenUpstream, CrossdockError, NotAuthenticated, Unavailable
from gateway.kernel.ids import new_id
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits

_logger = logging.getLogger(__name__)
_OK: Final = 200
_FETCH_S: Final = 5.0
# The interval between fetches is the breaker; a document of this size has hundreds of keys.
_LIMITS: Final = SystemLimits(
    concurrency=1, timeout=_FETCH_S, retries=0, breaker_failures=1_000_000, max_response_bytes=1 << 18
)
_METADATA: Final = "/.well-known/openid-configuration"


class KeyIssuer(Protocol):
    """Whose keys are fetched, and how often."""

    @property
    def name(self) -> str:
        """What log and errors call it."""
        ...

    @property
    def issuer(self) -> str:
        """Its `iss`."""
        ...

    @property
    def jwks_uri(self) -> str | None:
        """Where its keys are; None: what its metadata names."""
        ...

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The only ones taken."""
        ...

    @property
    def refresh_every(self) -> float:
        """Seconds after which keys are fetched again."""
        ...

    @property
    def refetch_every(self) -> float:
        """Least seconds between fetches for unknown key ids."""
        ...

    @property
    def stale_for(self) -> float:
        """Seconds that keys hold while it does not answer."""
        ...


class IssuerKeys:
    """One issuer's keys in one worker. `fetches` counts them, for metrics and tests."""

    def __init__(self, issuer: KeyIssuer, outbound: Outbound, clock: Clock) -> None:
        self._issuer = issuer
        self._outbound = outbound
        self._monotonic = clock.monotonic
        self._keys: Mapping[str, PublicKey] = {}
        self._jwks_uri = issuer.jwks_uri
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._failed = False
        self._fetch: asyncio.Task[None] | None = None
        self.fetches = 0

    async def close(self) -> None:
        """Stop a fetch under way."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)

    async def find(self, kid: str) -> PublicKey:
        """The key `kid`. Raises `NotAuthenticated` when the issuer has none of that name, else `Unavailable`."""
        key = self._known(kid)
        if key is None and self._may_fetch():
            await asyncio.shield(self._fetching())
            key = self._known(kid)
        elif key is None and self._fetch is not None:
            await asyncio.shield(self._fetch)
            key = self._known(kid)
        elif self._monotonic() - self._fetched_at >= self._issuer.refresh_every and self._may_fetch():
            self._fetching()  # in the background: the key at hand still holds
        if key is not None:
            return key
        if self._failed or self._expired():
            raise Unavailable(
                f"the issuer {self._issuer.name} does not give its keys at the moment: the token cannot be checked",
                retry_after=self._issuer.refetch_every,
                code="issuer.unavailable",
            )
        raise NotAuthenticated(
            "the access token was signed by a key its issuer does not have", code="token.unknown_key"
        )

    def _known(self, kid: str) -> PublicKey | None:
        return None if self._expired() else self._keys.get(kid)

    def _expired(self) -> bool:
        return self._monotonic() - self._fetched_at >= self._issuer.stale_for

    def _may_fetch(self) -> bool:
        return self._fetch is None and self._monotonic() - self._tried_at >= self._issuer.refetch_every

    def _fetching(self) -> asyncio.Task[None]:
        self._tried_at = self._monotonic()
        self._fetch = asyncio.get_running_loop().create_task(self._refresh(), name=f"keys-{self._issuer.name}")
        self._fetch.add_done_callback(self._fetched)
        return self._fetch

    def _fetched(self, _: asyncio.Task[None]) -> None:
        self._fetch = None

    async def _refresh(self) -> None:
        self.fetches += 1
        try:
            if self._issuer.jwks_uri is None:
                self._jwks_uri = _jwks_uri(await self._read(self._issuer.issuer + _METADATA), self._issuer)
            self._keys = key_set(await self._read(self._jwks_uri or ""), self._issuer.algorithms)
        except (CrossdockError, ValueError) as error:
            self._failed = True
            _logger.warning("the keys of issuer %s could not be read: %s", self._issuer.name, error)
            return
        self._failed = False
        self._fetched_at = self._monotonic()

    async def _read(self, url: str) -> Any:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        session = self._outbound.session(f"issuer {self._issuer.name} at {origin}", origin, _LIMITS)
        call = Call(tenant="", correlation_id=new_id("jwks"), deadline=self._monotonic() + _FETCH_S)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        answer = await session.request("GET", path, call=call, headers={"accept": "application/json"}, safe=True)
        if answer.status != _OK:
            raise BrokenUpstream(f"it answered {answer.status} to {parts.path}", code="issuer.status")
        return msgspec.json.decode(answer.body)


def _jwks_uri(metadata: Any, issuer: KeyIssuer) -> str:
    """Section 4.3: the metadata must name the issuer that was asked."""
    uri = metadata.get("jwks_uri") if isinstance(metadata, dict) else None
    if not isinstance(uri, str) or metadata.get("issuer") != issuer.issuer or not is_guarded(uri):
        raise ValueError("its metadata does not name this issuer and an https jwks_uri")
    if urlsplit(issuer.issuer).scheme == "https" and urlsplit(uri).scheme != "https":
        raise ValueError("its metadata names a jwks_uri without https")
    return uri
