"""The key of a request: read from its header, and bound to who sends it where."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import http_sf

from gateway.kernel.context import Principal
from gateway.kernel.errors import Invalid, Problem
from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.keyring import KeyRing

HEADER: Final = "Idempotency-Key"
_PLAIN: Final = re.compile(rb'"([ !#-\[\]-~]{1,255})"')
_BARE: Final = re.compile(rb"[!#-\[\]-~]{1,255}")
_LONGEST: Final = 255
_PURPOSE: Final = "idempotency key"


def parse_key(value: bytes) -> str:
    """The key in an `Idempotency-Key` field: a structured-field string (RFC 9651), or the same bare.

    ``"8e03…"`` and ``8e03…`` are one key. Raises `Invalid` (400, code ``idempotency_key.malformed``).
    """
    if plain := _PLAIN.fullmatch(value):
        return plain[1].decode("ascii")
    if _BARE.fullmatch(value):
        return value.decode("ascii")
    item = _structured(value)
    if type(item) is not str or not 1 <= len(item) <= _LONGEST:
        raise _wrong(
            f'{HEADER} must be a string of 1 to {_LONGEST} printable characters, such as "8e03978e-40d5-43dd"',
            "idempotency_key.malformed",
        )
    return item


def _structured(value: bytes) -> object:
    """The item's value; parameters are ignored, as RFC 9651 asks."""
    try:
        parsed = http_sf.parse(value, tltype="item")
    except ValueError:
        return None
    return parsed[0] if isinstance(parsed, tuple) else None


def missing_key() -> Invalid:
    """What a route answers that insists on a key."""
    return _wrong(
        f"send {HEADER} with a fresh random value, and the same value again when you repeat this request",
        "idempotency_key.missing",
    )


def record_key(ring: KeyRing, version: int, principal: Principal | None, route: Route, key: str) -> bytes:
    """The row of a key (32 bytes). Keys of other tenants, partners, routes or versions are other keys."""
    who = (principal.tenant, principal.partner or principal.subject) if principal is not None else ("", "")
    parts = (*who, route.api, route.version, route.method, route.id, key)
    return ring.digest(_PURPOSE, _joined(*(part.encode() for part in parts)), version=version)


def fingerprint_of(exchange: Exchange) -> bytes:
    """What makes two requests the same (SHA-256, 32 bytes): method, concrete path, query, content type and body."""
    content_type = exchange.headers.get(b"content-type", b"").lower()
    parts = (exchange.method.encode(), exchange.path.encode(), exchange.query, content_type, exchange.body)
    return hashlib.sha256(_joined(*parts)).digest()


def _joined(*parts: bytes) -> bytes:
    """Unambiguously: each part behind its length."""
    return b"".join(piece for part in parts for piece in (len(part).to_bytes(8), part))


def _wrong(detail: str, code: str) -> Invalid:
    return Invalid(detail, syntax=True, code=code, problems=[Problem(detail, parameter=HEADER)])
