"""Callers of every sort at a running gateway, registered as an operator would."""

from __future__ import annotations

from collections.abc import Sequence

from running_gateway import RunningGateway

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.identity.clients import add_api_key, add_client
from gateway.identity.grants import ClientKind
from gateway.kernel.keyring import KeyRing
from gateway.settings import load_settings


async def client_key(gateway: RunningGateway, tenant: str, kind: ClientKind, scopes: Sequence[str]) -> str:
    """The API key of a new client."""

    async def work(connection: Connection, ring: KeyRing) -> str:
        client = await add_client(connection, ring, tenant=tenant, name=kind.value, kind=kind, scopes=scopes)
        return await add_api_key(connection, ring, tenant=tenant, client_id=client.client_id, environment="live")

    return await administer(load_settings(gateway.settings_path), work)
