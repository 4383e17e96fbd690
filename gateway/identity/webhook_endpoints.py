"""Where partners want their webhooks, with the secrets that sign them (Standard Webhooks 1.0), sealed at rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.identity.credentials import new_webhook_secret
from gateway.kernel.errors import Invalid, NotFound, Problem
from gateway.kernel.ids import new_id
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import Secret
from gateway.store.queries import queries_beside

_PURPOSE: Final = "webhook secret"
_LIVE_SECRETS: Final = 2
_sql = queries_beside(__file__)

Audience = tuple[str, str | None, str, str]
"""A tenant, one partner of it or (None) all of them, the type of a message, and the scope that reads what it tells."""


class WebhookEndpoint(Struct, frozen=True, kw_only=True):
    """One address. Deliveries are signed with each of `secrets`, newest last; no `event_types` means all.

    `channel` is the one its partner sells on.
    """

    endpoint_id: str
    url: str
    secrets: tuple[Secret, ...]
    event_types: frozenset[str]
    channel: str = ""

    def wants(self, event_type: str) -> bool:
        """Whether this endpoint asked for events of that type."""
        return not self.event_types or event_type in self.event_types


async def add_endpoint(
    connection: Connection, ring: KeyRing, *, tenant: str, partner: str, url: str, event_types: Sequence[str] = ()
) -> WebhookEndpoint:
    """Add an endpoint with a fresh secret. Whether its address may be called is decided at each delivery."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise Invalid(
            "a webhook address is an http(s) URL without a user name",
            code="webhook.address",
            problems=[Problem("not an http(s) URL", parameter="webhook_url")],
        )
    endpoint_id, secret = new_id("whe"), new_webhook_secret()
    sealed = ring.seal(_PURPOSE, secret.encode(), bound_to=endpoint_id.encode())
    types = sorted(set(event_types))
    await connection.execute(_sql.add_webhook_endpoint, endpoint_id, tenant, partner, url, [sealed], types)
    return WebhookEndpoint(endpoint_id=endpoint_id, url=url, secrets=(Secret(secret),), event_types=frozenset(types))


async def endpoints_of(connection: Connection, ring: KeyRing, tenant: str, partner: str) -> list[WebhookEndpoint]:
    """The live endpoints of a live partner, secrets unsealed."""
    rows = await connection.fetch(_sql.webhook_endpoints, tenant, partner)
    return [
        WebhookEndpoint(
            endpoint_id=row["endpoint_id"],
            url=row["url"],
            secrets=tuple(_unseal(ring, row["endpoint_id"], sealed) for sealed in row["secrets"]),
            event_types=frozenset(row["event_types"]),
        )
        for row in rows
    ]


async def subscribers(
    connection: Connection, audiences: Collection[Audience]
) -> Mapping[Audience, Sequence[tuple[str, str]]]:
    """Endpoint and partner of everyone live in each audience: who wants messages of its type, and may read such.

    A partner may what any client of it may, a disabled one too: one whose tokens another issuer makes has no other.
    """
    found: dict[Audience, list[tuple[str, str]]] = {audience: [] for audience in audiences}
    order = list(found)
    if order:
        for row in await connection.fetch(_sql.webhook_subscribers, *map(list, zip(*order, strict=True))):
            found[order[row["number"] - 1]].append((row["endpoint_id"], row["partner_id"]))
    return found


async def find_endpoint(
    connection: Connection, ring: KeyRing, *, tenant: str, endpoint_id: str
) -> WebhookEndpoint | None:
    """One live endpoint with its secrets unsealed, None once it or its partner was disabled."""
    row = await connection.fetchrow(_sql.webhook_endpoint, tenant, endpoint_id)
    if row is None:
        return None
    return WebhookEndpoint(
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        secrets=tuple(_unseal(ring, row["endpoint_id"], sealed) for sealed in row["secrets"]),
        event_types=frozenset(row["event_types"]),
        channel=row["channel"],
    )


async def rotate_webhook_secret(connection: Connection, ring: KeyRing, *, tenant: str, endpoint_id: str) -> str:
    """A new secret, shown once; the one before it keeps signing beside it until the next rotation."""
    secrets = await connection.fetchval(_sql.lock_webhook_endpoint, tenant, endpoint_id)
    if secrets is None:
        raise NotFound(f"there is no live webhook endpoint {endpoint_id}", code="webhook.not_found")
    secret = new_webhook_secret()
    sealed = ring.seal(_PURPOSE, secret.encode(), bound_to=endpoint_id.encode())
    await connection.execute(_sql.set_webhook_secrets, endpoint_id, [*secrets, sealed][-_LIVE_SECRETS:])
    return secret


async def disable_endpoint(connection: Connection, *, tenant: str, endpoint_id: str, reason: str) -> None:
    """Stop deliveries (the endpoint answered 410, or a person decided)."""
    await connection.execute(_sql.disable_webhook_endpoint, tenant, endpoint_id, reason)


def _unseal(ring: KeyRing, endpoint_id: str, sealed: bytes) -> Secret:
    return Secret(ring.unseal(_PURPOSE, sealed, bound_to=endpoint_id.encode()).decode())
