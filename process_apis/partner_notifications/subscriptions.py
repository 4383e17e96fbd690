"""Events in, waiting messages out: in the transaction that moves the consumer's position."""

from __future__ import annotations

from typing import Final

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.identity.webhook_endpoints import subscribers
from gateway.kernel.ids import new_id
from gateway.store.queries import queries_beside
from process_apis.partner_notifications.rules import MESSAGE_OF_EVENT, addressee_of, subject_of

_sql: Final = queries_beside(__file__)


async def _write_messages(connection: Connection, recorded: Recorded) -> None:
    event = recorded.event
    message_type = MESSAGE_OF_EVENT[event.type]
    interested = await subscribers(
        connection, tenant=event.tenant, partner=addressee_of(recorded), event_type=message_type
    )
    for endpoint, partner in interested:
        await connection.execute(
            _sql.insert_message,
            new_id("msg"),
            event.tenant,
            partner,
            endpoint,
            message_type,
            subject_of(recorded),
            event.type,
            event.occurred_at,
            event.correlation_id,
        )


def subscriptions() -> list[Subscription]:
    """Who listens to the log for partners."""
    return [Subscription(name="partner_notifications", types=frozenset(MESSAGE_OF_EVENT), handler=_write_messages)]
