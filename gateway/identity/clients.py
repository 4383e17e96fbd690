"""Administration of OAuth2 clients and API keys, in the caller's transaction, with an audit entry each.

Secrets are returned once and kept only as digests. Whatever takes a right away bumps the revocation epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.identity.changes import record_change
from gateway.identity.credentials import API_KEY, CLIENT_SECRET, digest_of, new_api_key, new_client_secret
from gateway.identity.grants import ClientKind
from gateway.kernel.errors import Conflict, NotFound
from gateway.kernel.ids import new_id
from gateway.kernel.keyring import KeyRing
from gateway.store.queries import queries_beside

LIVE_KEYS: Final = 2
_sql = queries_beside(__file__)


class ClientCredentials(Struct, frozen=True):
    """Shown once. `repr` does not show the secret."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"ClientCredentials({self.client_id}, ***)"


async def add_client(
    connection: Connection,
    ring: KeyRing,
    *,
    tenant: str,
    name: str,
    kind: ClientKind,
    scopes: Sequence[str],
    partner: str | None = None,
    actor: str = "cli",
) -> ClientCredentials:
    """Register an internal application or an operator (partners: `add_partner`), with its first secret."""
    client_id, secret = new_id("cli"), new_client_secret()
    await connection.execute(_sql.add_client, client_id, tenant, kind.value, name, partner, list(scopes))
    await _add_secret(connection, ring, client_id, secret)
    await record_change(
        connection, tenant, actor, "client.added", client_id, {"kind": kind.value, "scopes": list(scopes)}
    )
    return ClientCredentials(client_id, secret)


async def rotate_client_secret(
    connection: Connection, ring: KeyRing, *, tenant: str, client_id: str, overlap: float = 86_400, actor: str = "cli"
) -> ClientCredentials:
    """A new secret; those before it end after `overlap` seconds."""
    await lock_client(connection, tenant, client_id)
    secret = new_client_secret()
    await connection.execute(_sql.end_client_secrets, client_id, float(overlap))
    await _add_secret(connection, ring, client_id, secret)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "client.secret_rotated", client_id, {"overlap_s": overlap})
    return ClientCredentials(client_id, secret)


async def add_api_key(
    connection: Connection, ring: KeyRing, *, tenant: str, client_id: str, environment: str, actor: str = "cli"
) -> str:
    """A new API key, shown once. Raises `Conflict` (code ``api_key.two_live``) beside two live ones."""
    await lock_client(connection, tenant, client_id)
    if len(await connection.fetch(_sql.live_api_keys, client_id)) >= LIVE_KEYS:
        raise Conflict(
            f"{client_id} has {LIVE_KEYS} live API keys, enough to rotate: revoke one first", code="api_key.two_live"
        )
    return await _add_key(connection, ring, tenant, client_id, environment, actor)


async def rotate_api_key(
    connection: Connection,
    ring: KeyRing,
    *,
    tenant: str,
    client_id: str,
    environment: str,
    overlap: float = 86_400,
    actor: str = "cli",
) -> str:
    """A new API key. The youngest one before it ends after `overlap` seconds, any older one now."""
    await lock_client(connection, tenant, client_id)
    live = [row["key_id"] for row in await connection.fetch(_sql.live_api_keys, client_id)]
    for position, key_id in enumerate(reversed(live)):
        await connection.execute(_sql.end_api_key, key_id, float(overlap) if position == 0 else 0.0)
    await connection.execute(_sql.bump_epoch)
    return await _add_key(connection, ring, tenant, client_id, environment, actor)


async def revoke_api_key(
    connection: Connection, *, tenant: str, client_id: str, key_id: str, actor: str = "cli"
) -> None:
    """End one API key now: refused everywhere within the polling interval. Raises `NotFound`."""
    await lock_client(connection, tenant, client_id)
    if await connection.fetchval(_sql.delete_api_key, client_id, key_id) is None:
        raise NotFound(f"{client_id} has no API key {key_id}", code="api_key.not_found")
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "api_key.revoked", client_id, {"key_id": key_id})


async def change_scopes(
    connection: Connection, *, tenant: str, client_id: str, scopes: Sequence[str], actor: str = "cli"
) -> None:
    """What the client may do from now on. Tokens issued before are revoked: they say what it might do until now."""
    await lock_client(connection, tenant, client_id)
    await connection.execute(_sql.set_client_scopes, client_id, sorted(set(scopes)))
    await connection.execute(_sql.revoke_client_tokens, client_id)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "client.scopes_changed", client_id, {"scopes": sorted(set(scopes))})


async def revoke_tokens(connection: Connection, *, tenant: str, client_id: str, actor: str = "cli") -> None:
    """Every access token issued to this client so far is refused; it may get new ones."""
    await lock_client(connection, tenant, client_id)
    await connection.execute(_sql.revoke_client_tokens, client_id)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "client.tokens_revoked", client_id, {})


async def revoke_token(
    connection: Connection, *, tenant: str, client_id: str, token_id: str, expires_at: Any, actor: str = "cli"
) -> bool:
    """One access token of a client, by its `jti`, until its `exp` (an aware datetime). False when it was already."""
    if await connection.fetchval(_sql.revoke_token, token_id, expires_at) is None:
        return False
    await connection.execute(_sql.bump_tokens)
    await record_change(connection, tenant, actor, "token.revoked", client_id, {"token_id": token_id})
    return True


class ClientView(Struct, frozen=True, kw_only=True):
    """A client of a partner as administered; nothing secret is in it."""

    client_id: str
    name: str
    scopes: tuple[str, ...]
    disabled: bool


class ApiKeyView(Struct, frozen=True, kw_only=True):
    """A live API key as administered: its id is the visible part, `pepper_version` the master key it is kept under."""

    key_id: str
    client_id: str
    environment: str
    pepper_version: int
    created_at: datetime
    expires_at: datetime | None


async def clients_of(connection: Connection, *, tenant: str, partner: str) -> list[ClientView]:
    """The clients of a partner, oldest first."""
    return [
        ClientView(
            client_id=row["client_id"],
            name=row["name"],
            scopes=tuple(row["scopes"]),
            disabled=row["disabled_at"] is not None,
        )
        for row in await connection.fetch(_sql.clients_of_partner, tenant, partner)
    ]


async def api_keys_of(connection: Connection, *, tenant: str, partner: str) -> list[ApiKeyView]:
    """The live API keys of a partner, oldest first."""
    return [ApiKeyView(**dict(row)) for row in await connection.fetch(_sql.api_keys_of_partner, tenant, partner)]


async def client_of_key(connection: Connection, *, tenant: str, key_id: str) -> str:
    """Whose API key that is; raises `NotFound` (code ``api_key.not_found``)."""
    row = await connection.fetchrow(_sql.client_of_api_key, tenant, key_id)
    if row is None:
        raise NotFound(f"there is no API key {key_id[:40]}", code="api_key.not_found")
    client_id: str = row["client_id"]
    return client_id


async def disable_client(connection: Connection, *, tenant: str, client_id: str, actor: str = "cli") -> None:
    """No more tokens, and those issued and all its API keys are refused."""
    await lock_client(connection, tenant, client_id)
    await connection.execute(_sql.disable_client, client_id)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "client.disabled", client_id, {})


async def lock_client(connection: Connection, tenant: str, client_id: str) -> None:
    """One change at a time; raises `NotFound` (code ``client.not_found``) for another tenant's as for none."""
    if await connection.fetchrow(_sql.lock_client, tenant, client_id) is None:
        raise NotFound(f"there is no client {client_id}", code="client.not_found")


async def _add_secret(connection: Connection, ring: KeyRing, client_id: str, secret: str) -> None:
    digest = digest_of(ring, CLIENT_SECRET, secret.encode())
    await connection.execute(_sql.add_client_secret, client_id, digest.value, digest.pepper_version)


async def _add_key(
    connection: Connection, ring: KeyRing, tenant: str, client_id: str, environment: str, actor: str
) -> str:
    shown, parts = new_api_key(environment)
    digest = digest_of(ring, API_KEY, parts.secret)
    await connection.execute(
        _sql.add_api_key, parts.key_id, client_id, environment, digest.value, digest.pepper_version
    )
    await record_change(connection, tenant, actor, "api_key.added", client_id, {"key_id": parts.key_id})
    return shown
