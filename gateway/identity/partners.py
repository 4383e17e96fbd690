"""Partners: who trades with us, on which channel and plan, and for which customer accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.identity.changes import record_change
from gateway.identity.clients import add_api_key, add_client, disable_client
from gateway.identity.grants import ClientKind
from gateway.identity.preconditions import check_version
from gateway.identity.webhook_endpoints import add_endpoint
from gateway.kernel.errors import Conflict, NotFound
from gateway.kernel.ids import new_id
from gateway.kernel.keyring import KeyRing
from gateway.store.queries import queries_beside

PARTNER_SCOPES: Final = (
    "items:read",
    "availability:read",
    "orders:read",
    "orders:write",
    "returns:read",
    "returns:write",
)
_sql = queries_beside(__file__)


class PartnerCredentials(Struct, frozen=True, kw_only=True):
    """Everything a new partner needs, shown once. `repr` shows no secret."""

    partner_id: str
    client_id: str
    client_secret: str
    api_key: str
    webhook_secret: str | None

    def __repr__(self) -> str:
        return f"PartnerCredentials({self.partner_id}, {self.client_id}, ***)"


class Partner(Struct, frozen=True, kw_only=True):
    """A partner as administered. `accounts` are the customer codes it may order for."""

    partner_id: str
    name: str
    channel: str
    plan: str
    accounts: frozenset[str]
    clients: tuple[str, ...]
    created_at: datetime
    disabled_at: datetime | None
    suspended_at: datetime | None = None
    suspended_because: str | None = None
    version: int = 1


class Standing(Struct, frozen=True):
    """What holds of a partner now, whatever a token that was issued earlier says."""

    channel: str
    plan: str
    suspended: bool


async def add_partner(
    connection: Connection,
    ring: KeyRing,
    *,
    tenant: str,
    name: str,
    channel: str,
    plan: str,
    accounts: Sequence[str],
    scopes: Sequence[str] = PARTNER_SCOPES,
    environment: str = "live",
    webhook_url: str | None = None,
    webhook_events: Sequence[str] = (),
    actor: str = "cli",
) -> PartnerCredentials:
    """Add a partner with one OAuth2 client, one API key and, with `webhook_url`, one webhook endpoint.

    In the caller's transaction. Raises `Conflict` (code ``partner.exists``) when the tenant has one of that name.
    `webhook_events` are event types, all that concern the partner when empty.
    """
    partner_id = await connection.fetchval(
        _sql.add_partner, new_id("par"), tenant, name, channel, plan, sorted(set(accounts))
    )
    if partner_id is None:
        raise Conflict(f"there is already a partner named {name}: choose another name", code="partner.exists")
    client = await add_client(
        connection,
        ring,
        tenant=tenant,
        name=name,
        kind=ClientKind.PARTNER,
        scopes=scopes,
        partner=partner_id,
        actor=actor,
    )
    api_key = await add_api_key(
        connection, ring, tenant=tenant, client_id=client.client_id, environment=environment, actor=actor
    )
    webhook_secret = None
    if webhook_url is not None:
        endpoint = await add_endpoint(
            connection, ring, tenant=tenant, partner=partner_id, url=webhook_url, event_types=webhook_events
        )
        webhook_secret = endpoint.secrets[-1].reveal()
    detail = {"name": name, "channel": channel, "plan": plan, "accounts": list(accounts)}
    await record_change(connection, tenant, actor, "partner.added", partner_id, detail)
    return PartnerCredentials(
        partner_id=partner_id,
        client_id=client.client_id,
        client_secret=client.client_secret,
        api_key=api_key,
        webhook_secret=webhook_secret,
    )


async def list_partners(
    connection: Connection, *, tenant: str, after: str | None = None, limit: int | None = None
) -> list[Partner]:
    """All partners of a tenant by name, disabled ones too; with `limit` by id, those behind the id `after`."""
    return [_partner(row) for row in await connection.fetch(_sql.list_partners, tenant, after, limit)]


async def find_partner(connection: Connection, *, tenant: str, partner: str) -> Partner:
    """One partner; raises `NotFound` (code ``partner.not_found``)."""
    row = await connection.fetchrow(_sql.partner, tenant, partner)
    if row is None:
        raise _unknown(partner)
    return _partner(row)


async def change_partner(
    connection: Connection,
    *,
    tenant: str,
    partner: str,
    channel: str,
    plan: str,
    accounts: Sequence[str],
    expected: int | None = None,
    actor: str = "cli",
) -> None:
    """Change channel, plan and accounts: felt by tokens that were issued before, everywhere within the bound.

    Raises `NotFound`, also for a disabled one, and `Conflict` (``precondition.failed``) past version `expected`.
    """
    check_version(await connection.fetchval(_sql.lock_partner, tenant, partner), expected, _unknown(partner))
    await connection.fetchval(_sql.change_partner, tenant, partner, channel, plan, sorted(set(accounts)))
    await connection.execute(_sql.bump_epoch)
    detail = {"channel": channel, "plan": plan, "accounts": list(accounts)}
    await record_change(connection, tenant, actor, "partner.changed", partner, detail)


async def suspend_partner(
    connection: Connection, *, tenant: str, partner: str, reason: str, expected: int | None = None, actor: str = "cli"
) -> None:
    """Shut the door to this partner until `resume_partner`. Its accepted orders go on, and so do their webhooks."""
    check_version(await connection.fetchval(_sql.lock_partner, tenant, partner), expected, _unknown(partner))
    await connection.execute(_sql.suspend_partner, tenant, partner, reason)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "partner.suspended", partner, {"reason": reason})


async def resume_partner(
    connection: Connection, *, tenant: str, partner: str, expected: int | None = None, actor: str = "cli"
) -> None:
    """Open the door again: its keys and tokens are what they were."""
    check_version(await connection.fetchval(_sql.lock_partner, tenant, partner), expected, _unknown(partner))
    await connection.execute(_sql.suspend_partner, tenant, partner, None)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "partner.resumed", partner, {})


async def disable_partner(
    connection: Connection, *, tenant: str, partner: str, expected: int | None = None, actor: str = "cli"
) -> None:
    """Refuse everything of this partner for good, everywhere within the polling interval; webhooks stop too."""
    check_version(await connection.fetchval(_sql.lock_partner, tenant, partner), expected, _unknown(partner))
    await connection.execute(_sql.disable_partner, tenant, partner)
    for row in await connection.fetch(_sql.partner_clients, partner):
        await disable_client(connection, tenant=tenant, client_id=row["client_id"], actor=actor)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, "partner.disabled", partner, {})


async def standings(connection: Connection) -> dict[str, Standing]:
    """Partners whose tokens may say something else than what holds: changed within the day, or suspended."""
    rows = await connection.fetch(_sql.partner_standings)
    return {row["partner_id"]: Standing(row["channel"], row["plan"], row["suspended"]) for row in rows}


async def accounts_of(connection: Connection, tenant: str, partner: str) -> frozenset[str]:
    """The customer codes this partner may order for; none when it is unknown or disabled."""
    accounts = await connection.fetchval(_sql.partner_accounts, tenant, partner)
    return frozenset(accounts or ())


def _partner(row: Mapping[str, Any]) -> Partner:
    return Partner(
        partner_id=row["partner_id"],
        name=row["name"],
        channel=row["channel"],
        plan=row["plan"],
        accounts=frozenset(row["accounts"]),
        clients=tuple(row["clients"]),
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        suspended_at=row["suspended_at"],
        suspended_because=row["suspended_because"],
        version=row["version"],
    )


def _unknown(partner: str) -> NotFound:
    return NotFound(f"there is no partner {partner}: crossdock partner list shows them", code="partner.not_found")
