"""Events in, waiting messages out: in the transaction that moves the consumer's position."""

from __future__ import annotations

from typing import Final

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.kernel.ids import new_id
from gateway.store.queries import queries_beside
from process_apis.partner_notifications.models import FindsEndpoints
from process_apis.partner_notifications.rules import AVAILABILITY_CHANGED, MESSAGE_OF_EVENT

_sql: Final = queries_beside(__file__)


def subscription(endpoints: FindsEndpoints) -> Subscription:
    """Who listens to the log for partners."""

    async def handle(connection: Connection, recorded: Recorded) -> None:
        event = recorded.event
        message_type = MESSAGE_OF_EVENT[event.type]
        is_order = message_type != AVAILABILITY_CHANGED
        partner = event.data.get("partner")
        if is_order and partner is None:
            return
        subject = f"order/{event.data['order']}/{recorded.position.event}" if is_order else f"item/{event.data['item']}"
        interested = await endpoints.interested(
            connection, tenant=event.tenant, partner=partner if is_order else None, message_type=message_type
        )
        for endpoint in interested:
            await connection.execute(
                _sql.insert_message,
                new_id("msg"),
                event.tenant,
                endpoint.partner,
                endpoint.endpoint,
                message_type,
                subject,
                event.type,
                event.occurred_at,
                event.correlation_id,
            )

    return Subscription(name="partner_notifications", types=frozenset(MESSAGE_OF_EVENT), handler=handle)
