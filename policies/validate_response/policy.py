"""Response validation: answers are checked against the handler's return type, on a sample, and raise an alert.

It never turns a committed effect into a 500: what a change answered is stored and sent, and only reported here.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import Exchange, passes
from policies.validate_response.options import ValidateResponseOptions

_log: Final = logging.getLogger(__name__)
_OK: Final = range(200, 300)
_SAFE: Final = frozenset({"GET", "HEAD"})


class ValidateResponse:
    """`report` is called with the route id of every answer that did not fit."""

    name = "validate_response"
    admit = passes

    def __init__(
        self,
        options: ValidateResponseOptions | None = None,
        *,
        report: Callable[[str], None] = lambda _route: None,
    ) -> None:
        self._options = options or ValidateResponseOptions()
        self._report = report

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Check the reply of a matched route, if it is this one's turn."""
        route, reply = exchange.route, exchange.reply
        if route is None or reply is None or route.check_reply is None or not reply.body:
            return None
        if reply.status not in _OK or random.random() >= self._options.sample:  # noqa: S311  # a sample, not a secret
            return None
        try:
            route.check_reply(reply.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            _log.error(  # the traceback says nothing beyond the message
                "request %s: the answer of %s does not fit its contract: %s", exchange.request_id, route.id, error
            )
            self._report(route.id)
            if self._options.withhold and exchange.method in _SAFE:
                raise CrossdockError("the answer did not fit its contract", code="response.invalid") from error
        return None
