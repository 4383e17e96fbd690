"""Header fields on their way through: what stops here, and what we say of ourselves (RFC 9110, 7.6; RFC 7239)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from gateway.kernel.context import Principal
from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Exchange
from gateway.outbound.answers import Fields

VIA: Final = b"1.1 crossdock"
_MOST_PASSES: Final = 3
_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 512

# The caller's credentials are for us, not for the API behind us; framing and tracing are said anew.
STOPPED: Final = frozenset(
    b"accept-encoding api-version authorization connection content-length cookie dpop expect forwarded host keep-alive "
    b"max-forwards priority proxy-authorization te trailer tracestate traceparent transfer-encoding upgrade via "
    b"x-api-key x-correlation-id x-request-id".split()
)
# What belongs to one connection, tells about the machine behind us, or is ours to say.
KEPT_BACK: Final = frozenset(
    b"alt-svc connection idempotent-replayed keep-alive proxy-authenticate proxy-authentication-info "
    b"proxy-connection ratelimit ratelimit-limit ratelimit-policy ratelimit-remaining ratelimit-reset server "
    b"set-cookie trailer te upgrade x-aspnet-version x-correlation-id x-powered-by x-request-id x-runtime "
    b"x-content-type-options".split()
)
_OURS: Final = (b"x-crossdock-", b"crossdock-", b"x-accel-")
_LINKS: Final = frozenset({b"location", b"content-location"})
_TARGET: Final = re.compile(rb"<([^<>]*)>")
_SHARED: Final = re.compile(rb"(?:^|,)\s*(?:private|no-store)\b", re.IGNORECASE)
_PUBLIC: Final = re.compile(rb"\s*(?:public|s-maxage\s*=\s*\"?[0-9]+\"?)\s*(?:,|$)", re.IGNORECASE)

_own: dict[tuple[str, bytes, str, bytes | None], bytes] = {}
_identities: dict[tuple[str, str, str | None], bytes] = {}


def own_fields(exchange: Exchange) -> bytes:
    """What we say of ourselves: ``via``, ``forwarded`` (whom this is for, by which name and scheme), no content coding.

    Refuses a request that came round several times.
    """
    headers, scheme = exchange.headers, exchange.scope.get("scheme", "http")
    if (trusted := exchange.notes.get("forwarding")) and trusted.get(b"x-forwarded-proto") in (b"http", b"https"):
        scheme = trusted[b"x-forwarded-proto"].decode("ascii")
    key = (exchange.peer, headers.get(b"host", b""), scheme, headers.get(b"via"))
    known = _own.get(key)
    if known is None:
        known = b"%b%baccept-encoding: identity\r\n" % (_via_field(key[3]), _forwarded_field(key[0], key[1], key[2]))
        if len(_own) >= _REMEMBERED:
            _own.clear()
        if len(known) <= _LONGEST_REMEMBERED:
            _own[key] = known
    return known


def _forwarded_field(peer: str, host: bytes, scheme: str) -> bytes:
    node = "_local" if peer == "unix" else f'"[{peer}]"' if ":" in peer else peer
    return f'forwarded: for={node};host="{host.decode("latin-1")}";proto={scheme}\r\n'.encode("latin-1")


def _via_field(theirs: bytes | None) -> bytes:
    if theirs is None:
        return b"via: " + VIA + b"\r\n"
    if theirs.count(VIA) >= _MOST_PASSES:
        raise Rejected("this request goes round in a circle: a base URL points back at a gateway", code="proxied.loop")
    return b"via: " + theirs + b", " + VIA + b"\r\n"


def identity_fields(principal: Principal) -> bytes:
    """Who asks, for the API to trust: the door takes these names out of what clients send."""
    key = (principal.tenant, principal.subject, principal.partner)
    known = _identities.get(key)
    if known is None:
        texts = {"tenant": principal.tenant, "subject": principal.subject, "partner": principal.partner}
        known = b"".join(
            f"x-crossdock-{name}: {quote(text, safe='@:/+ ')}\r\n".encode() for name, text in texts.items() if text
        )
        if len(_identities) >= _REMEMBERED:
            _identities.clear()
        _identities[key] = known
    return known


class Returning:
    """Header fields of an answer, as they leave us. `base` is the URL behind us, `prefix` the path in front of it."""

    def __init__(self, base: bytes, base_path: bytes, prefix: bytes, *, cookies: bool) -> None:
        self._base = base
        self._base_path = base_path
        self._prefix = prefix
        self._kept_back = KEPT_BACK - {b"set-cookie"} if cookies else KEPT_BACK
        self._known: dict[bytes, bool] = {}

    def passed(self, fields: Fields) -> list[tuple[bytes, bytes]]:
        """What of `fields` goes on."""
        passed: list[tuple[bytes, bytes]] = []
        known = self._known
        for field in fields:
            goes = known.get(field[0])
            if goes is None:
                goes = self._learn(field[0])
            if goes:
                passed.append(field)
            elif field[0] == b"connection":
                return self._without_named(fields)
            elif field[0] in _LINKS:
                passed.append((field[0], self._ours(field[1])))
            elif field[0] == b"link":
                passed.append((field[0], _TARGET.sub(lambda found: b"<%b>" % self._ours(found[1]), field[1])))
            elif field[0] == b"cache-control":
                passed.append((field[0], private(field[1])))
        return passed

    def _learn(self, name: bytes) -> bool:
        special = name in _LINKS or name in (b"cache-control", b"link")
        goes = not special and name not in self._kept_back and not name.startswith(_OURS)
        if len(self._known) < _REMEMBERED:
            self._known[name] = goes
        return goes

    def _without_named(self, fields: Fields) -> list[tuple[bytes, bytes]]:
        """Fields that the ``connection`` field names go no further (RFC 9110, 7.6.1)."""
        values = [value for name, value in fields if name == b"connection"]
        named = {b"connection", *(token.strip().lower() for value in values for token in value.split(b","))}
        return self.passed([field for field in fields if field[0] not in named or field[0] == b"content-length"])

    def _ours(self, link: bytes) -> bytes:
        """A link to the API behind us as a link to us; others are left alone."""
        for start in (self._base, self._base_path):
            if start and link.startswith(start) and link[len(start) : len(start) + 1] in (b"", b"/", b"?"):
                return self._prefix + link[len(start) :]
        if not self._base_path and link.startswith(b"/") and not link.startswith(b"//"):
            return self._prefix + link
        return link


def private(value: bytes) -> bytes:
    """Cache-Control for one caller: what an API calls public may differ by tenant here."""
    if _SHARED.search(value):
        return value
    rest = _PUBLIC.sub(b"", value).strip(b", ")
    return b"private, " + rest if rest else b"private"
