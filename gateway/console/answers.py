"""Answers of the console: pages, fragments for htmx, and what an error looks like in either."""

from __future__ import annotations

import logging
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException

from gateway.console.access import PasswordMissing
from gateway.console.redaction import scrubbed
from gateway.console.rendering import Pages
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)

_log: Final = logging.getLogger(__name__)
_INTERNAL: Final = 500
_STATUSES: Final[tuple[tuple[type[CrossdockError], int], ...]] = (
    (NotAuthenticated, 401),
    (NotAllowed, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Rejected, 422),
    (Throttled, 429),
    (Unavailable, 503),
    (OutcomeUnknown, 504),
    (BrokenUpstream, 502),
)
_TITLES: Final = {
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    409: "Not possible now",
    422: "Does not fit",
    429: "Slow down",
    503: "Not available",
}


def html(content: str, status: int = 200) -> Response[str]:
    """A page or a fragment."""
    return Response(content, status_code=status, media_type="text/html")


def unchanged() -> Response[None]:
    """204: htmx leaves the panel as it is."""
    return Response(None, status_code=204)


def see_other(location: str) -> Response[None]:
    """303, after a form."""
    return Response(None, status_code=303, headers={"location": location})


def from_htmx(request: Request[Any, Any, Any]) -> bool:
    """Whether htmx asks for a fragment."""
    return request.headers.get("hx-request") == "true"


def status_of(error: Exception) -> int:
    """The HTTP status of what a handler raised."""
    if isinstance(error, HTTPException):
        return error.status_code
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), _INTERNAL)


class Errors:
    """Turns what a handler raises into a page or a notice; whoever is signed out is sent to sign in."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def __call__(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """The answer that tells a person what went wrong."""
        status = status_of(error)
        if status >= _INTERNAL and not isinstance(error, CrossdockError):
            _log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
        elsewhere = "/password" if isinstance(error, PasswordMissing) else "/sign-in"
        if isinstance(error, NotAuthenticated):
            if from_htmx(request):
                return Response("", status_code=401, headers={"hx-redirect": elsewhere}, media_type="text/html")
            return see_other(elsewhere)
        template = "_notice.html" if from_htmx(request) else "error.html"
        context = {"tone": "bad", "title": _TITLES.get(status, "That failed"), "text": _text(error, status)}
        return html(self._pages.render(template, context), status)


def _text(error: Exception, status: int) -> str:
    if isinstance(error, CrossdockError):
        return scrubbed(error.detail)
    if status == 404:  # noqa: PLR2004
        return "There is no such page."
    return "This request cannot be served." if status < _INTERNAL else "The reason is in the console's log."
