"""What purchasing listens to in the log."""

from __future__ import annotations

from gateway.backbone.consumer import Subscription
from process_apis.procure_to_pay.process import ProcureToPay


def subscriptions(process: ProcureToPay) -> list[Subscription]:
    """What may mend a mapping. Receipts are heard in the consumer of stock operations: every movement is read once."""
    return [
        *process.replenishing.subscriptions(),
        Subscription(
            name="procure_to_pay.mending",
            types=frozenset({"item.changed", "location.changed", "supplier.changed"}),
            handler=process.on_mapping,
        ),
    ]
