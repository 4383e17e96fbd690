"""Plans that are administered while the gateway runs; one of the same name in the settings gives way to them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.kernel.errors import Invalid, Misconfigured
from policies.rate_limit.options import PlanLimits
from policies.rate_limit.quota import Quota, quota_of

_log: Final = logging.getLogger(__name__)
Quotas = tuple[Quota, Mapping[str, Quota]]


class PlanBook:
    """Quotas by tenant and plan: the default one, and those of single operations. Empty until `replace`."""

    def __init__(self, *, workers: int) -> None:
        self._workers = workers
        self.quotas: Mapping[tuple[str, str], Quotas] = {}
        self.streams: Mapping[tuple[str, str], int] = {}

    def replace(self, plans: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Take all plans of the record. One that cannot be read keeps what it was, and is told to the log."""
        fresh: dict[tuple[str, str], Quotas] = {}
        streams: dict[tuple[str, str], int] = {}
        for key, limits in plans.items():
            try:
                plan = check_limits(limits)
                fresh[key], streams[key] = quotas_of(plan, workers=self._workers), plan.streams
            except (Invalid, Misconfigured) as error:
                _log.error("the plan %s is not understood and stays what it was: %s", "/".join(key), error.detail)
                if key in self.quotas:
                    fresh[key], streams[key] = self.quotas[key], self.streams[key]
        self.quotas, self.streams = fresh, streams


def check_limits(limits: Mapping[str, Any]) -> PlanLimits:
    """`limits` in the shape of the settings ``rate_limit.plans.<name>``; raises `Invalid` (code ``plan.limits``)."""
    try:
        plan = msgspec.convert(limits, PlanLimits)
        quotas_of(plan, workers=1)
    except (msgspec.ValidationError, Misconfigured) as error:
        detail = error.detail if isinstance(error, Misconfigured) else str(error)
        raise Invalid(f"these limits are not understood: {detail}", code="plan.limits") from None
    return plan


def quotas_of(plan: PlanLimits, *, workers: int) -> Quotas:
    """What a plan comes to in one worker of `workers`."""
    operations = {
        route_id: quota_of(limit, bucket=route_id, workers=workers) for route_id, limit in plan.operations.items()
    }
    return quota_of(plan.default, bucket="all", workers=workers), operations
