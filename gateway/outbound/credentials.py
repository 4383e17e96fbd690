"""How we prove ourselves to another system: a secret in a header, or OAuth2 client credentials (RFC 6749, 4.4).

A token is asked for once however many need it (single flight), used until shortly before it ends, and asked for again
when the system refuses it, but not more often than every few seconds: a system that refuses everything gets no storm.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Final, Protocol
from urllib.parse import quote_plus, urlencode

import msgspec
from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.kernel.errors import BrokenUpstream, CrossdockError, Misconfigured, Unavailable
from gateway.kernel.secrets import Secret
from gateway.outbound.upstream import Upstream

_EARLY: Final = 30.0
_DEFAULT_LIFE: Final = 60.0
_AGAIN_AFTER: Final = 5.0
_OK: Final = 200
_SERVER_ERROR: Final = 500
_TOKEN_SECONDS: Final = 10.0


class Credential(Protocol):
    """What goes into a request so that the other system knows us."""

    name: bytes

    def ready(self) -> bytes | None:
        """The field's value if it is at hand."""
        ...

    async def value(self) -> bytes:
        """The field's value; raises what asking for it comes to."""
        ...

    def refused(self, value: bytes) -> bool:
        """The system refused `value`; True when asking again may give another one."""
        ...


class SecretField:
    """A secret in the header `name`, behind `prefix`. The repr shows none of it."""

    def __init__(self, name: str, prefix: str, secret: Secret) -> None:
        self.name = name.lower().encode("ascii")
        text = prefix + secret.reveal()
        if not text.isascii() or not text.isprintable():
            raise Misconfigured(f"the secret for the header {name} holds characters that no header may hold")
        self._value = text.encode("ascii")

    def ready(self) -> bytes | None:
        """The secret."""
        return self._value

    async def value(self) -> bytes:
        """The secret."""
        return self._value

    def refused(self, _value: bytes) -> bool:
        """There is no other."""
        return False


class _Token(Struct, frozen=True):
    """What a token endpoint answers (RFC 6749, 5.1)."""

    access_token: str
    token_type: str
    expires_in: float | None = None


class ClientCredentials:
    """Tokens of one client from the endpoint `upstream` with `path`, by client_secret_basic (RFC 6749, 2.3.1)."""

    name = b"authorization"

    def __init__(
        self, upstream: Upstream, path: str, clock: Clock, *, client_id: str, secret: Secret, scope: str = ""
    ) -> None:
        self._upstream = upstream
        self._monotonic = clock.monotonic
        self._value: bytes | None = None
        self._fresh_until = 0.0
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[bytes] | None = None
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        body = urlencode(form).encode("ascii")
        basic = b64encode(f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}".encode())
        self._request = (
            b"POST %b%b HTTP/1.1\r\nhost: %b\r\nauthorization: Basic %b\r\naccept: application/json\r\n"
            b"content-type: application/x-www-form-urlencoded\r\ncontent-length: %d\r\n\r\n%b"
            % (upstream.base_path, path.encode("ascii"), upstream.host_field, basic, len(body), body)
        )

    def ready(self) -> bytes | None:
        """The present token while it is fresh."""
        return self._value if self._monotonic() < self._fresh_until else None

    async def value(self) -> bytes:
        """The present token or a new one; `Unavailable` or `BrokenUpstream` when there is none to be had."""
        ready = self.ready()
        if ready is not None:
            return ready
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name=f"token-{self._upstream.name}")
        return await asyncio.shield(self._asking)

    def refused(self, value: bytes) -> bool:
        """Forget `value`, unless it came a moment ago or another stands in its place already."""
        if value != self._value:
            return True
        if self._monotonic() - self._asked_at < _AGAIN_AFTER:
            return False
        self._fresh_until = 0.0
        return True

    async def _ask(self) -> bytes:
        self._asked_at = self._monotonic()
        answer = await self._upstream.ask(self._request, deadline=self._asked_at + _TOKEN_SECONDS, safe=True)
        if answer.status >= _SERVER_ERROR:
            raise self._failed(Unavailable, f"answered {answer.status}")
        if answer.status != _OK:
            raise self._failed(BrokenUpstream, f"refuses our credential with {answer.status}")
        try:
            token = msgspec.json.decode(answer.body, type=_Token)
        except msgspec.MsgspecError:
            raise self._failed(BrokenUpstream, "answered something that is not a token") from None
        text = f"Bearer {token.access_token}"
        if token.token_type.lower() != "bearer" or not text.isascii() or not text.isprintable():
            raise self._failed(BrokenUpstream, "answered something that is not a bearer token")
        life = _DEFAULT_LIFE if token.expires_in is None else token.expires_in
        self._value = text.encode("ascii")
        self._fresh_until = self._monotonic() + max(life - _EARLY, life / 2)
        return self._value

    def _failed(self, kind: type[CrossdockError], what: str) -> CrossdockError:
        return kind(
            f"the token endpoint of {self._upstream.name} {what}: nothing was sent; ask {self._upstream.contact}",
            code="outbound.token",
        )
