"""Events in, waiting messages out: in the transaction that moves the consumer's position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.identity.webhook_endpoints import Audience, subscribers
from gateway.kernel.ids import new_id
from gateway.store.queries import queries_beside
from process_apis.partner_notifications.rules import MESSAGE_OF_EVENT, SCOPE_OF_MESSAGE, addressee_of, subject_of

_sql: Final = queries_beside(__file__)
_TOGETHER: Final = 500


async def _write(connection: Connection, recorded: Recorded) -> None:
    await _write_all(connection, [recorded])


async def _write_all(connection: Connection, events: Sequence[Recorded]) -> None:
    """One message for each subject and endpoint: of several events of one subject the first, as if each came alone."""
    listening = await subscribers(connection, [_audience_of(recorded) for recorded in events])
    rows: dict[tuple[str, str], tuple[object, ...]] = {}
    for recorded in events:
        event, message_type, subject = recorded.event, MESSAGE_OF_EVENT[recorded.event.type], subject_of(recorded)
        for endpoint, partner in listening[_audience_of(recorded)]:
            told = (event.type, event.occurred_at, event.correlation_id)
            rows.setdefault(
                (endpoint, subject), (new_id("msg"), event.tenant, partner, endpoint, message_type, subject, *told)
            )
    if rows:
        await connection.execute(_sql.insert_messages, *map(list, zip(*rows.values(), strict=True)))


def _audience_of(recorded: Recorded) -> Audience:
    message = MESSAGE_OF_EVENT[recorded.event.type]
    return recorded.event.tenant, addressee_of(recorded), message, SCOPE_OF_MESSAGE[message]


def subscriptions(written: Callable[[], object] | None = None) -> list[Subscription]:
    """Who listens to the log for partners. `written` is called when there are messages."""
    return [
        Subscription(
            name="partner_notifications",
            types=frozenset(MESSAGE_OF_EVENT),
            handler=_write,
            together=_write_all,
            batch=_TOGETHER,
            afterwards=written,
        )
    ]
