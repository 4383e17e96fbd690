"""Request validation: content type (415), query parameters (400), syntax (400) and shape (422) of the body.

The strict readers themselves are compiled into the route from its handler's signature; see `gateway/edge/strict.py`.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.kernel.errors import CrossdockError, Invalid, Rejected
from gateway.kernel.exchange import Decision, Exchange, Route
from gateway.kernel.passage import AdmitsOnly
from gateway.kernel.validation import DEFAULT_LIMITS, JsonLimits, Mode
from gateway.telemetry.violations import Violations
from policies.validate_request.options import ValidateRequestOptions

_JSON: Final = b"application/json"
_PLAIN: Final = (Mode.ENFORCE, DEFAULT_LIMITS)


class ValidateRequest(AdmitsOnly):
    """See the module. The decoded body is left in `exchange.decoded`; `violations` is told what was let through."""

    name = "validate_request"

    def __init__(self, options: ValidateRequestOptions | None = None, violations: Violations | None = None) -> None:
        self._options = options = options or ValidateRequestOptions()
        self._charsets = options.charsets
        self._violations = violations
        self._rules: dict[str, tuple[Mode, float, JsonLimits]] = {}
        self._by_rule = bool(options.apis or options.operations) or (options.mode, options.limits) != _PLAIN

    def concerns(self, route: Route) -> bool:
        """Only routes that something is asked of."""
        return route.matched and (route.takes_body or bool(route.check_query or route.check_request))

    def admit(self, exchange: Exchange) -> Awaitable[None] | None:
        """Refuse what does not fit; an unmatched route is left to the end of the chain."""
        return self._admit_by_rule(exchange) if self._by_rule else self.admit_strictly(exchange)

    def _admit_by_rule(self, exchange: Exchange) -> Awaitable[None] | None:
        """As `admit`, in the mode and within the limits of the route."""
        route = exchange.route
        if route is None or not route.matched:
            return None
        rule = self._rules.get(route.id)
        if rule is None:
            rule = self._rules[route.id] = self._options.of(route)
        mode, share, limits = rule
        if route.check_request is not None:  # its own settings say in which mode
            return self.admit_strictly(exchange)
        if mode is not Mode.ENFORCE:
            self._observe(exchange, route, limits, share if mode is Mode.SAMPLE else 1.0)
            return None
        if exchange.query and route.check_query is not None:
            route.check_query(exchange.query)
        if route.takes_body:
            self._body(exchange, route, limits)
        return None

    def admit_strictly(self, exchange: Exchange) -> Awaitable[None] | None:
        """As `admit`, whatever the options say."""
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

    def _observe(self, exchange: Exchange, route: Route, limits: JsonLimits, share: float) -> None:
        """Let pass, and tell, what does not fit; refuse only what the handler cannot be called with."""
        checked = share >= 1.0 or random.random() < share  # noqa: S311  # a sample, not a secret
        misfit: CrossdockError | None = None
        if checked and exchange.query and route.check_query is not None:
            try:
                route.check_query(exchange.query)
            except CrossdockError as error:
                misfit = error
        if route.takes_body:
            try:
                if checked:
                    self._body(exchange, route, limits)
                else:
                    self._forgive(exchange, route, limits)
            except CrossdockError as error:
                misfit = misfit or error
                self._forgive(exchange, route, limits, error)
        if misfit is not None:
            self._tell(exchange, route, misfit)

    def _forgive(
        self, exchange: Exchange, route: Route, limits: JsonLimits, error: CrossdockError | None = None
    ) -> None:
        if exchange.body and route.forgive is not None:
            try:
                exchange.decoded = route.forgive(exchange.body, limits)
            except CrossdockError as unreadable:
                raise (error or unreadable) from None
        elif not exchange.body and route.decode is not None:
            _refuse_absence(route)

    def _tell(self, exchange: Exchange, route: Route, misfit: CrossdockError) -> None:
        why = _why(misfit)
        if self._violations is not None:
            self._violations.add(route.id, "passed", exchange.request_id, why)
        if exchange.decisions is not None:
            exchange.decisions.append(Decision(self.name, "observed", 0.0, why))

    def _body(self, exchange: Exchange, route: Route, limits: JsonLimits = DEFAULT_LIMITS) -> None:
        if exchange.body:
            content_type = exchange.headers.get(b"content-type", b"")
            if route.content_types and not (content_type == _JSON and "application/json" in route.content_types):
                self._check_content_type(content_type, route)
            if route.decode is not None:
                if limits is not DEFAULT_LIMITS:
                    exchange.decoded = _within(limits, exchange.body, route.decode)
                else:
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


def _within(limits: JsonLimits, body: bytes, decode: Callable[..., Any]) -> Any:
    if limits.size is not None and len(body) > limits.size:
        raise Rejected(f"the body is larger than {limits.size} bytes: split it", code="request.body_too_large")
    return decode(body, limits)


def _refuse_absence(route: Route) -> None:
    if not route.options.get("body_optional", False):
        raise Invalid("this operation needs a body: send one", code="request.body_missing", syntax=True)


def _why(error: CrossdockError) -> str:
    """Code and place, never a value."""
    places = [problem.pointer or problem.parameter or "" for problem in getattr(error, "problems", ())]
    return f"{error.code} {places[0]}".strip() if places else error.code
