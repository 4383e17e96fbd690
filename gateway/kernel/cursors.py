"""Cursors of pages: opaque to the client, signed, bound to what they page through."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from gateway.kernel.errors import NotFound
from gateway.kernel.secrets import Secret

_SIGNATURE_BYTES: Final = 12


class Cursors:
    """Seals and opens cursors. `scope` binds one to its tenant, partner and collection: another's is refused."""

    def __init__(self, key: Secret) -> None:
        self._key = hashlib.sha256(b"crossdock cursor\0" + key.reveal().encode()).digest()

    def seal(self, scope: str, value: str) -> str:
        """The cursor that stands for `value`."""
        raw = value.encode()
        return base64.urlsafe_b64encode(self._sign(scope, raw) + raw).decode().rstrip("=")

    def open(self, scope: str, cursor: str | None) -> str | None:
        """The value sealed in `cursor`, None for the first page. Raises `NotFound` for anything we did not seal."""
        if cursor is None:
            return None
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            sealed = b""
        signature, raw = sealed[:_SIGNATURE_BYTES], sealed[_SIGNATURE_BYTES:]
        if not raw or not hmac.compare_digest(signature, self._sign(scope, raw)):
            raise NotFound(
                "this cursor is not one of ours for this list: start again without one", code="cursor.not_found"
            )
        return raw.decode()

    def _sign(self, scope: str, raw: bytes) -> bytes:
        return hmac.digest(self._key, scope.encode() + b"\0" + raw, "sha256")[:_SIGNATURE_BYTES]
