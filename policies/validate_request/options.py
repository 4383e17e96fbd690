"""Options of the request validation policy."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway.kernel.exchange import Route
from gateway.kernel.validation import DEFAULT_LIMITS, JsonLimits, Mode, check_share


class RequestRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one API or operation has otherwise; what is left out is as it is for the wider one."""

    mode: Mode | None = None
    sample: float | None = None
    limits: JsonLimits | None = None

    def __post_init__(self) -> None:
        check_share(self.sample)


class ValidateRequestOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`charsets` are the charset parameters a JSON content type may carry. This policy has no store.

    `mode` ENFORCE refuses what does not fit. OBSERVE lets it pass where the handler can still be called: unknown
    members are left out, texts converted, the last of duplicate keys counts; SAMPLE does so and checks the share
    `sample`. Both count and report. `limits` bound a JSON body. `apis` changes this by API (``storefront``) or version
    of one (``storefront/v2``), `operations` by route id (``POST /storefront/v2/orders``).
    """

    mode: Mode = Mode.ENFORCE
    sample: float = 0.01
    limits: JsonLimits = DEFAULT_LIMITS
    charsets: frozenset[str] = frozenset({"utf-8", "utf8"})
    apis: Mapping[str, RequestRule] = {}
    operations: Mapping[str, RequestRule] = {}

    def __post_init__(self) -> None:
        check_share(self.sample)

    def of(self, route: Route) -> tuple[Mode, float, JsonLimits]:
        """Mode, share and limits of `route`: each from the closest rule that says it."""
        mode, sample, limits = self.mode, self.sample, self.limits
        versioned = f"{route.api}/{route.version}"
        for rule in (self.apis.get(route.api), self.apis.get(versioned), self.operations.get(route.id)):
            if rule is not None:
                mode = mode if rule.mode is None else rule.mode
                sample = sample if rule.sample is None else rule.sample
                limits = limits if rule.limits is None else rule.limits
        return mode, sample, limits
