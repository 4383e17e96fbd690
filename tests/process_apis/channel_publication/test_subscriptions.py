"""Many changes at once leave what they would have left one by one."""

from datetime import UTC, datetime, timedelta

from gateway.canonical.events import Event, Position, Recorded
from process_apis.channel_publication.subscriptions import subscriptions

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Record:
    """The rows of `due` by item, by the rule of their statement."""

    def __init__(self):
        self.due, self.statements = {}, 0

    async def execute(self, _, tenant, channels, *columns):
        self.statements += 1
        for item, changes, since, changed_at in zip(*columns, strict=True):
            for channel in channels:
                revision, first, _ = self.due.get((tenant, channel, item), (0, since, None))
                self.due[tenant, channel, item] = (revision + changes, first, changed_at)


def changed(number, item):
    event = Event(
        tenant="acme", type="availability.changed", aggregate=f"line/{item}", aggregate_version=number,
        occurred_at=NOW, data={"item": item}, correlation_id="cor_1",
    )  # fmt: skip
    at = NOW + timedelta(seconds=number)
    return Recorded(position=Position(1, number, number), recorded_at=at, event=event)


async def test_one_row_stands_for_every_change_of_an_item():
    [subscription] = subscriptions(["web", "mart"])
    events = [changed(number, item) for number, item in enumerate(["b", "a", "b", "b", "c"])]
    together, one_by_one = Record(), Record()
    await subscription.together(together, events)
    for each in events:
        await subscription.handler(one_by_one, each)
    assert together.due == one_by_one.due
    assert together.due["acme", "mart", "b"] == (3, NOW, NOW + timedelta(seconds=3))
    assert (together.statements, one_by_one.statements) == (1, 5)
