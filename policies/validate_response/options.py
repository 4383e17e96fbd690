"""Options of the response validation policy."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway.kernel.exchange import Route
from gateway.kernel.validation import Mode, check_share


class ResponseRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one API or operation has otherwise; what is left out is as it is for the wider one."""

    mode: Mode | None = None
    sample: float | None = None

    def __post_init__(self) -> None:
        check_share(self.sample)


class ValidateResponseOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SAMPLE checks the share `sample` (0 to 1) of 2xx answers, OBSERVE all; both count, report and send.

    ENFORCE checks all and replaces a wrong answer to a safe method with 500; an answer to a change always goes out,
    because its effect is committed. `apis` changes this by API (``storefront``) or version of one (``storefront/v2``),
    `operations` by route id (``GET /storefront/v2/orders``). This policy has no store.
    """

    mode: Mode = Mode.SAMPLE
    sample: float = 0.01
    apis: Mapping[str, ResponseRule] = {}
    operations: Mapping[str, ResponseRule] = {}

    def __post_init__(self) -> None:
        check_share(self.sample)

    def of(self, route: Route) -> tuple[Mode, float]:
        """Mode and share of `route`: each from the closest rule that says it."""
        mode, sample = self.mode, self.sample
        versioned = f"{route.api}/{route.version}"
        for rule in (self.apis.get(route.api), self.apis.get(versioned), self.operations.get(route.id)):
            if rule is not None:
                mode = mode if rule.mode is None else rule.mode
                sample = sample if rule.sample is None else rule.sample
        return mode, sample
