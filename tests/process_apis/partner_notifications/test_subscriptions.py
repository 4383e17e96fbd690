"""Many events at once leave what they would have left one by one."""

from datetime import UTC, datetime

from gateway.canonical.events import Event, Position, Recorded
from process_apis.partner_notifications.subscriptions import subscriptions

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Record:
    """Two endpoints that want everything; keeps what is written."""

    def __init__(self):
        self.asked, self.written = [], []

    async def fetch(self, _, tenants, partners, types, scopes):
        audiences = list(zip(tenants, partners, types, scopes, strict=True))
        self.asked.append(audiences)
        return [
            {"number": audience, "endpoint_id": f"whe_{number}", "partner_id": partner or f"par_{number}"}
            for audience, (_, partner, *_) in enumerate(audiences, start=1)
            for number in (1, 2)
        ]

    async def execute(self, _, *columns):
        self.written += zip(*columns, strict=True)


def recorded(number, kind, aggregate, **data):
    event = Event(
        tenant="acme", type=kind, aggregate=aggregate, aggregate_version=number, occurred_at=NOW, data=data,
        correlation_id=f"cor_{number}",
    )  # fmt: skip
    return Recorded(position=Position(1, number, number), recorded_at=NOW, event=event)


async def test_changes_of_one_item_make_one_message_and_each_event_of_an_order_makes_one():
    [subscription] = subscriptions()
    events = [
        recorded(1, "availability.changed", "line/1", item="itm_1"),
        recorded(2, "order.accepted", "ord_1", partner="par_9"),
        recorded(3, "availability.changed", "line/1", item="itm_1"),
        recorded(4, "order.held", "ord_1", partner="par_9"),
    ]
    together, one_by_one = Record(), Record()
    await subscription.together(together, events)
    for each in events:
        await subscription.handler(one_by_one, each)
    assert together.asked == [
        [("acme", None, "availability.changed", "availability:read"), ("acme", "par_9", "order.updated", "orders:read")]
    ]
    told = [(row[3], row[5], row[8]) for row in together.written]
    assert sorted(told) == sorted(
        (f"whe_{number}", subject, correlation)
        for number in (1, 2)
        for subject, correlation in (
            ("item/itm_1", "cor_1"), ("order/ord_1/2", "cor_2"), ("order/ord_1/4", "cor_4"),
        )
    )  # fmt: skip
    # The record itself keeps the first of those that stand for one another: the rest of what came alone is the same.
    alone = {(row[3], row[5]): row[8] for row in reversed(one_by_one.written)}
    assert {(endpoint, subject): correlation for endpoint, subject, correlation in told} == alone


async def test_an_invoice_is_told_to_whose_order_it_bills_and_names_the_shipment():
    [subscription] = subscriptions()
    record = Record()
    await subscription.handler(record, recorded(7, "invoice.issued", "ord_1", partner="par_9", shipment="shp_3"))
    assert record.asked == [[("acme", "par_9", "invoice.issued", "orders:read")]]
    assert {row[5] for row in record.written} == {"invoice/ord_1:shp_3/7"}
