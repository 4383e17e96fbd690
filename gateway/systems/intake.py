"""Webhooks of vendors: verified by the adapter, recorded, and answered 2xx only when that is committed."""

from typing import Any, Final

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, RawBody

from gateway.canonical.capabilities import RecordsMilestones, RecordsStock, SendsWebhooks, Webhook
from gateway.kernel.exchange import Idempotency
from gateway.systems.directory import Directory

_MAX_BODY: Final = 4 << 20


def intake_routes(
    directory: Directory, stock: RecordsStock, milestones: RecordsMilestones, *, tenant: str
) -> list[HTTPRouteHandler]:
    """The one route that vendors call. The vendor's signature is the credential, so its zone is none.

    Repeated deliveries are harmless: each event is taken once.
    """

    @post(
        "/webhooks/v1/{instance:str}",
        status_code=204,
        opt={
            "zone": None,
            "api": "webhooks",
            "version": "v1",
            "scopes": [],
            "cost": 1,
            "idempotency": Idempotency.NONE,
            "max_body": _MAX_BODY,
        },
        operation_id="receiveWebhook",
    )
    async def receive_webhook(request: Request[Any, Any, Any], instance: FromPath[str], body: RawBody) -> None:
        sender = directory.ask(instance, SendsWebhooks)
        headers = {name.lower(): value for name, value in request.headers.items()}
        report = sender.parse_webhook(Webhook(headers=headers, body=body))
        if report.milestones:
            await milestones.record_milestones(tenant, report.milestones)
        else:
            await stock.record(tenant, report)

    return [receive_webhook]
