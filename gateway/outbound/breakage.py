"""What a broken exchange proves: the one place that reads the HTTP client's errors.

pyreqwest reports a connection reset *after* the request was written as `ConnectError`, the type it also uses for a
refused connection. Only the cause ``client error (Connect)`` (hyper-util's `ErrorKind::Connect`) proves that nothing
was sent; everything else counts as sent.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import httpx
from pyreqwest.exceptions import (
    BodyDecodeError,
    DecodeError,
    DetailedPyreqwestError,
    PyreqwestError,
    RequestTimeoutError,
)

_NEVER_CONNECTED: Final = "client error (Connect)"
_CUT_SHORT: Final = "error reading a body from connection"


class Breakage(Enum):
    """What is known about a request that got no whole answer; the value completes "the system …"."""

    NOT_SENT = "cannot be reached"
    SILENT = "did not answer in time"
    CUT = "broke the connection off"
    UNREADABLE = "sent an answer that cannot be read"


def breakage(error: Exception) -> Breakage:
    """Sort an error of `httpx` or `pyreqwest`; what is not understood is `CUT`, which counts as sent."""
    cause = error.__cause__ if isinstance(error.__cause__, PyreqwestError) else error
    if isinstance(cause, DetailedPyreqwestError):
        return _by_cause(cause)
    if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        return Breakage.NOT_SENT
    if isinstance(cause, TimeoutError | httpx.TimeoutException):
        return Breakage.SILENT
    if isinstance(cause, httpx.DecodingError | httpx.RemoteProtocolError):
        return Breakage.UNREADABLE
    return Breakage.CUT


def _by_cause(error: DetailedPyreqwestError) -> Breakage:
    messages = [cause["message"] for cause in error.details.get("causes") or ()]
    if _NEVER_CONNECTED in messages:
        return Breakage.NOT_SENT
    if isinstance(error, RequestTimeoutError):
        return Breakage.SILENT
    if isinstance(error, BodyDecodeError) and _CUT_SHORT in messages:
        return Breakage.CUT
    return Breakage.UNREADABLE if isinstance(error, DecodeError) else Breakage.CUT
