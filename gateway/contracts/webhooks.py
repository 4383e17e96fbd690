"""The `webhooks` section: what we send to a partner's own address (OpenAPI 3.1, Standard Webhooks 1.0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.contracts.api import Webhook

HEADERS: Final[Sequence[tuple[str, str, Mapping[str, str]]]] = (
    ("webhook-id", "Names the message: the same over all its retries, so keep it to drop repetitions.", {}),
    (
        "webhook-timestamp",
        "When this attempt was signed, in seconds since 1970.",
        {"pattern": "^[0-9]{1,12}$"},
    ),
    (
        "webhook-signature",
        "`v1,` and the Base64 HMAC-SHA-256 of `id.timestamp.body`; two, with a blank between, while a secret changes.",
        {},
    ),
)


def webhooks_section(webhooks: Sequence[Webhook], schemas: Mapping[Any, Any]) -> dict[str, Any]:
    """One entry for each message, by its type."""
    return {webhook.name: {"post": _message(webhook, schemas[webhook.payload])} for webhook in webhooks}


def _message(webhook: Webhook, schema: Any) -> dict[str, Any]:
    summary, _, description = (webhook.payload.__doc__ or "").strip().partition("\n")
    return {
        "operationId": webhook.name,
        "summary": summary.rstrip("."),
        "description": " ".join(description.split()) or summary,
        "tags": ["Webhooks"],
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string", "maxLength": 400, **more},
            }
            for name, text, more in HEADERS
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "2XX": {"description": "Taken. Answer within 15 seconds and work on it afterwards."},
            "410": {"description": "Wanted no more: the address is disabled."},
            "default": {"description": "Anything else, redirections too, is a failure: we try again for three days."},
        },
    }
