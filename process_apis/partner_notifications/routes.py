"""The process API of partner notifications: reading messages and sending one again, for operators."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.partner_notifications.process import PartnerNotifications, instant

_API = {"zone": "process", "tenant_aware": True, "api": "partner-notifications", "version": "v1"}


class MessageView(Struct, kw_only=True):
    """One webhook message and how far it is."""

    id: str
    partner: str
    type: str
    subject: str
    state: str
    attempts: int
    next_attempt_at: str | None
    last_status: int | None
    last_error: str | None
    created_at: str | None
    delivered_at: str | None


class MessagePage(Struct, kw_only=True):
    """A page of messages, newest first."""

    items: Annotated[list[MessageView], Meta(max_length=100)]
    next_cursor: str | None


def routes(notifications: PartnerNotifications) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(
        "/process/partner-notifications/v1/messages",
        opt={**_API, "scopes": ["notifications:read"], "cost": 1},
        operation_id="listMessages",
    )
    async def list_messages(
        request: Request[Any, Any, Any],
        delivery_state: Annotated[str | None, QueryParameter(name="state", max_length=20)] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> MessagePage:
        rows = await notifications.list_messages(
            caller_of(request.scope).tenant, state=delivery_state, before=cursor, limit=limit
        )
        items = [_view(row) for row in rows]
        return MessagePage(items=items, next_cursor=items[-1].id if len(items) == limit else None)

    @post(
        "/process/partner-notifications/v1/messages/{message_id:str}/redeliveries",
        status_code=202,
        opt={**_API, "scopes": ["notifications:repair"], "cost": 1, "idempotency": Idempotency.OPTIONAL},
        operation_id="redeliverMessage",
    )
    async def redeliver(request: Request[Any, Any, Any], message_id: FromPath[str]) -> None:
        await notifications.redeliver(caller_of(request.scope).tenant, message_id)

    return [list_messages, redeliver]


def _view(row: dict[str, Any]) -> MessageView:
    return MessageView(
        id=row["message"],
        partner=row["partner"],
        type=row["type"],
        subject=row["subject"],
        state=row["state"],
        attempts=row["attempts"],
        next_attempt_at=instant(row["next_attempt_at"]) if row["state"] == "waiting" else None,
        last_status=row["last_status"],
        last_error=row["last_error"],
        created_at=instant(row["created_at"]),
        delivered_at=instant(row["delivered_at"]),
    )
