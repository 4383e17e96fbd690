"""The vendor's webhook signature: ``x-wms-signature: v1=<hex>``, HMAC-SHA-256 of ``<timestamp>.<body>``."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.secrets import Secret


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Iterable[Secret], now: float, tolerance: float) -> None:
    """Raise `NotAuthenticated` unless one of `secrets` signed `body` within `tolerance` seconds of `now` (epoch)."""
    stamp = headers.get("x-wms-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):  # noqa: PLR2004 - seconds until the year 33658
        raise _refused("its timestamp is missing or is no number")
    if abs(now - int(stamp)) > tolerance:
        raise _refused("its timestamp is too far from now: check both clocks")
    version, _, given = headers.get("x-wms-signature", "").partition("=")
    if version != "v1" or not given.isascii():
        raise _refused("its signature is missing or of an unknown version")
    signed = stamp.encode() + b"." + body
    # Every secret is tried, so that the time taken does not tell which one matched.
    matches = [hmac.compare_digest(_sign(secret, signed), given) for secret in secrets]
    if not any(matches):
        raise _refused("its signature fits no secret that we know")


def _sign(secret: Secret, signed: bytes) -> str:
    return hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest()


def _refused(why: str) -> NotAuthenticated:
    return NotAuthenticated(f"the webhook is refused: {why}", code="webhook.bad_signature")
