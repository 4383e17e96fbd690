"""Which events become which messages, and when to try again. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

# Standard Webhooks 1.0: the recommended schedule, seconds after the attempt before.
SCHEDULE: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)

ORDER_UPDATED: Final = "order.updated"
AVAILABILITY_CHANGED: Final = "availability.changed"

MESSAGE_OF_EVENT: Final = {
    "availability.changed": AVAILABILITY_CHANGED,
    "order.accepted": ORDER_UPDATED,
    "order.held": ORDER_UPDATED,
    "order.submitted": ORDER_UPDATED,
    "order.released": ORDER_UPDATED,
    "order.shipment_confirmed": ORDER_UPDATED,
    "order.completed": ORDER_UPDATED,
    "order.cancelled": ORDER_UPDATED,
    "order.rejected": ORDER_UPDATED,
    "order.exception_raised": ORDER_UPDATED,
}


def next_delay(attempts: int, *, jitter: float, retry_after: float | None) -> timedelta | None:
    """How long to wait after attempt number `attempts`; None when the schedule is used up.

    `jitter` in [0, 1) spreads receivers that fail together by up to a tenth.
    """
    if attempts >= len(SCHEDULE):
        return None
    seconds = max(SCHEDULE[attempts] * (1 + jitter / 10), retry_after or 0)
    return timedelta(seconds=seconds)
