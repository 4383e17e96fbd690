"""Which API version an endpoint's messages are rendered in: each endpoint chooses, and keeps its choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.identity.webhook_endpoints import endpoints_of
from gateway.kernel.errors import Conflict, Invalid, NotFound, Problem
from gateway.kernel.keyring import KeyRing
from gateway.store.queries import queries_beside
from process_apis.partner_notifications.models import Message, RendersMessages

_sql: Final = queries_beside(__file__)
OLDEST: Final = "v1"


class EndpointRendering(Struct, frozen=True, kw_only=True):
    """One live endpoint and the version its messages have."""

    endpoint_id: str
    url: str
    version: str


class RendersByMessage:
    """Gives each message to the API whose message it is: who renders it, by its type."""

    def __init__(self, renderers: Mapping[str, RendersMessages]) -> None:
        self._renderers = renderers

    async def render(self, message: Message, *, channel: str) -> bytes | None:
        """The body, None when there is nothing to tell any more."""
        return await self._renderers[message.type].render(message, channel=channel)


class RendersByVersion:
    """Gives each message to who renders its endpoint's version."""

    def __init__(self, renderers: Mapping[str, RendersMessages]) -> None:
        self._renderers = renderers

    async def render(self, message: Message, *, channel: str) -> bytes | None:
        """The body; `Conflict` while the version is not rendered any more, so that the message waits for a choice."""
        renderer = self._renderers.get(message.version)
        if renderer is None:
            raise Conflict(
                f"nothing renders {message.version} any more: choose another version for {message.endpoint}",
                code="webhook.version_ended",
            )
        return await renderer.render(message, channel=channel)


async def choose_version(
    connection: Connection, ring: KeyRing, *, tenant: str, partner: str, version: str, known: Sequence[str]
) -> Sequence[EndpointRendering]:
    """Render all messages to the live endpoints of `partner` in `version` from now on; returns the endpoints.

    Raises `Invalid` (``webhook.version``) for a version that is not one of `known`, `NotFound` (``webhook.not_found``)
    for a partner without a live endpoint.
    """
    if version not in known:
        raise Invalid(
            f"webhooks are rendered in {', '.join(known)}",
            code="webhook.version",
            problems=[Problem("no such version", parameter="version")],
        )
    endpoints = await endpoints_of(connection, ring, tenant, partner)
    if not endpoints:
        raise NotFound(f"{partner} has no live webhook endpoint: add one first", code="webhook.not_found")
    await connection.execute(_sql.choose_version, [endpoint.endpoint_id for endpoint in endpoints], version)
    return await renderings(connection, ring, tenant=tenant, partner=partner)


async def renderings(
    connection: Connection, ring: KeyRing, *, tenant: str, partner: str
) -> Sequence[EndpointRendering]:
    """The live endpoints of a partner, each with its version."""
    endpoints = await endpoints_of(connection, ring, tenant, partner)
    rows = await connection.fetch(_sql.versions_of, [endpoint.endpoint_id for endpoint in endpoints])
    chosen = {row["endpoint"]: row["version"] for row in rows}
    return [
        EndpointRendering(
            endpoint_id=endpoint.endpoint_id, url=endpoint.url, version=chosen.get(endpoint.endpoint_id, OLDEST)
        )
        for endpoint in endpoints
    ]
