"""Response validation: answers are checked against the handler's return type, and what does not fit raises an alert.

It never turns a committed effect into a 500: what a change answered is stored and sent, and only reported here.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Awaitable
from typing import Final

import msgspec

from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.passage import ConcludesOnly
from gateway.kernel.validation import Mode
from gateway.telemetry.violations import Violations
from policies.validate_response.options import ResponseRule, ValidateResponseOptions

_OK: Final = range(200, 300)
_SAFE: Final = frozenset({"GET", "HEAD"})
_NEVER: Final = 1 << 62
_VALUE: Final = re.compile("'[^']*'")  # an answer holds other people's data


class ValidateResponse(ConcludesOnly):
    """`violations` is told of every answer that did not fit.

    Which answer is looked at next is drawn ahead, at the largest share that any rule has: the others cost one
    subtraction, whatever is declared.
    """

    name = "validate_response"

    def __init__(self, options: ValidateResponseOptions | None = None, violations: Violations | None = None) -> None:
        self._options = options = options or ValidateResponseOptions()
        self._violations = violations
        self._share = _largest_share(options)
        self.concludes = self._share > 0.0
        self._rules: dict[str, tuple[float, bool]] = {}
        self._left = self._gap()

    def concerns(self, route: Route) -> bool:
        """Only routes that promise a shape and are looked at."""
        return route.check_reply is not None and self._rule_of(route)[0] > 0.0

    def conclude(self, exchange: Exchange) -> Awaitable[None] | None:
        """Check the reply of a matched route, if it is this one's turn."""
        self._left -= 1
        if self._left > 0:
            return None
        self._left = self._gap()
        route, reply = exchange.route, exchange.reply
        if route is None or reply is None or route.check_reply is None or not reply.body or reply.status not in _OK:
            return None
        rule = self._rules.get(route.id)
        if rule is None:
            share, enforced = self._rule_of(route)
            rule = self._rules[route.id] = (share / self._share, enforced)
        thinned, enforced = rule
        if thinned < 1.0 and random.random() >= thinned:  # noqa: S311  # a sample, not a secret
            return None
        try:
            route.check_reply(reply.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._misfit(
                exchange, route.id, _VALUE.sub("'…'", str(error)), withheld=enforced and exchange.method in _SAFE
            )
        return None

    def _rule_of(self, route: Route) -> tuple[float, bool]:
        """The share of its answers that are checked, and whether reads are withheld."""
        mode, sample = self._options.of(route)
        return (sample if mode is Mode.SAMPLE else 1.0), mode is Mode.ENFORCE

    def _misfit(self, exchange: Exchange, route_id: str, why: str, *, withheld: bool) -> None:
        if self._violations is not None:
            self._violations.add(route_id, "withheld" if withheld else "passed", exchange.request_id, why)
        if withheld:
            raise CrossdockError("the answer did not fit its contract", code="response.invalid")

    def _gap(self) -> int:
        """How many answers until the next one of the sample: geometric, so that each has the same chance."""
        if self._share >= 1.0:
            return 1
        if self._share <= 0.0:
            return _NEVER
        drawn = 1.0 - random.random()  # noqa: S311  # a sample, not a secret
        return 1 + int(math.log(drawn) / math.log1p(-self._share))


def _largest_share(options: ValidateResponseOptions) -> float:
    rules: tuple[ValidateResponseOptions | ResponseRule, ...] = (
        options,
        *options.apis.values(),
        *options.operations.values(),
    )
    if any(rule.mode not in {None, Mode.SAMPLE} for rule in rules):
        return 1.0
    return max(rule.sample for rule in rules if rule.sample is not None)
