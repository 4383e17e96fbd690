"""Request validation: content type (415), query parameters (400), syntax (400) and shape (422) of the body.

The strict readers themselves are compiled into the route from its handler's signature; see `gateway/edge/strict.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from gateway.kernel.errors import Invalid, Rejected
from gateway.kernel.exchange import Exchange, Route, passes
from policies.validate_request.options import ValidateRequestOptions

_JSON: Final = b"application/json"


class ValidateRequest:
    """See the module. The decoded body is left in `exchange.decoded`."""

    name = "validate_request"
    conclude = passes

    def __init__(self, options: ValidateRequestOptions | None = None) -> None:
        self._charsets = (options or ValidateRequestOptions()).charsets

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Refuse what does not fit; an unmatched route is left to the end of the chain."""
        route = exchange.route
        if route is None or not route.matched:
            return None
        if exchange.query and route.check_query is not None:
            route.check_query(exchange.query)
        if route.check_request is not None:
            route.check_request(exchange)
        elif route.takes_body:
            self._body(exchange, route)
        return None

    def _body(self, exchange: Exchange, route: Route) -> None:
        if exchange.body:
            content_type = exchange.headers.get(b"content-type", b"")
            if route.content_types and not (content_type == _JSON and "application/json" in route.content_types):
                self._check_content_type(content_type, route)
            if route.decode is not None:
                exchange.decoded = route.decode(exchange.body)
        elif route.decode is not None:
            _refuse_absence(route)

    def _check_content_type(self, content_type: bytes, route: Route) -> None:
        media_type, *parameters = content_type.decode("latin-1").lower().split(";")
        if media_type.strip() not in route.content_types:
            raise Rejected(
                f"send this as {', '.join(sorted(route.content_types))}, and say so in Content-Type",
                code="request.media_type",
            )
        for parameter in parameters:
            name, _, value = parameter.strip().partition("=")
            if name == "charset" and value.strip('"') not in self._charsets:
                raise Rejected("send UTF-8", code="request.media_type")


def _refuse_absence(route: Route) -> None:
    if not route.options.get("body_optional", False):
        raise Invalid("this operation needs a body: send one", code="request.body_missing", syntax=True)
