"""Administration as transactions: the change, its audit entry and the epoch that tells every worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.canonical.capabilities import Connection
from gateway.identity import clients, partners, plans
from gateway.identity.client_proofs import register_client_certificates, register_client_keys
from gateway.identity.clients import ClientCredentials
from gateway.identity.partners import Partner, PartnerCredentials
from gateway.identity.plans import Plan
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid, NotFound, Problem
from gateway.kernel.keyring import KeyRing
from gateway.store.postgres import Store
from process_apis.partner_accounts.models import Account, AddPartner, ChangePartner, ChecksLimits
from process_apis.partner_accounts.rules import check_plan_name


class PartnerAdministration:
    """`channels` are those of the settings, `plans` those of the configuration, which may change while this serves.

    Plans of the record stand beside them and go first.
    """

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        *,
        channels: frozenset[str],
        plans: frozenset[str],
        environment: str,
        check_limits: ChecksLimits,
    ) -> None:
        self._store = store
        self._ring = ring
        self._channels = channels
        self.plans = plans
        self._environment = environment
        self._check_limits = check_limits

    async def list_partners(self, tenant: str, *, after: str | None, limit: int) -> list[Partner]:
        """Partners by id, those behind `after`."""
        async with self._store.connection() as connection:
            return await partners.list_partners(connection, tenant=tenant, after=after, limit=limit)

    async def account(self, tenant: str, partner: str) -> Account:
        """One partner with its clients and live keys; raises `NotFound`."""
        async with self._store.connection() as connection:
            return await _account(connection, tenant, partner)

    async def add(self, caller: Caller, asked: AddPartner) -> tuple[Account, PartnerCredentials]:
        """Add a partner with a client and a key. Raises `Conflict` for a name in use, `Invalid` for what is unknown."""
        async with self._store.transaction() as connection:
            await self._check(connection, caller.tenant, asked.channel, asked.plan)
            made = await partners.add_partner(
                connection,
                self._ring,
                tenant=caller.tenant,
                name=asked.name,
                channel=asked.channel,
                plan=asked.plan,
                accounts=asked.accounts,
                scopes=asked.scopes,
                environment=self._environment,
                webhook_url=asked.webhook_url,
                webhook_events=asked.webhook_events,
                actor=_actor(caller),
            )
            return await _account(connection, caller.tenant, made.partner_id), made

    async def change(self, caller: Caller, partner: str, asked: ChangePartner, expected: int) -> Account:
        """Replace what may change. Raises `NotFound`, `Invalid`, or `Conflict` past version `expected`."""
        async with self._store.transaction() as connection:
            await self._check(connection, caller.tenant, asked.channel, asked.plan)
            await partners.change_partner(
                connection,
                tenant=caller.tenant,
                partner=partner,
                channel=asked.channel,
                plan=asked.plan,
                accounts=asked.accounts,
                expected=expected,
                actor=_actor(caller),
            )
            return await _account(connection, caller.tenant, partner)

    async def suspend(self, caller: Caller, partner: str, reason: str, expected: int) -> Account:
        """Shut the door to it for now."""
        async with self._store.transaction() as connection:
            given = {"tenant": caller.tenant, "partner": partner, "actor": _actor(caller)}
            await partners.suspend_partner(connection, **given, reason=reason, expected=expected)
            return await _account(connection, caller.tenant, partner)

    async def resume(self, caller: Caller, partner: str, expected: int) -> Account:
        """Open it again."""
        async with self._store.transaction() as connection:
            given = {"tenant": caller.tenant, "partner": partner, "actor": _actor(caller)}
            await partners.resume_partner(connection, **given, expected=expected)
            return await _account(connection, caller.tenant, partner)

    async def close(self, caller: Caller, partner: str, expected: int) -> None:
        """Shut it out for good."""
        async with self._store.transaction() as connection:
            given = {"tenant": caller.tenant, "partner": partner, "actor": _actor(caller)}
            await partners.disable_partner(connection, **given, expected=expected)

    async def new_key(self, caller: Caller, partner: str, client_id: str, overlap: float | None) -> str:
        """A new API key beside those there are, or in place of them after `overlap` seconds."""
        async with self._store.transaction() as connection:
            await _of_partner(connection, caller.tenant, partner, client_id)
            given = {"tenant": caller.tenant, "client_id": client_id, "actor": _actor(caller)}
            if overlap is None:
                return await clients.add_api_key(connection, self._ring, **given, environment=self._environment)
            return await clients.rotate_api_key(
                connection, self._ring, **given, environment=self._environment, overlap=overlap
            )

    async def revoke_key(self, caller: Caller, partner: str, key_id: str) -> None:
        """End an API key now; raises `NotFound` for one of somebody else."""
        async with self._store.transaction() as connection:
            client_id = await clients.client_of_key(connection, tenant=caller.tenant, key_id=key_id)
            await _of_partner(connection, caller.tenant, partner, client_id)
            await clients.revoke_api_key(
                connection, tenant=caller.tenant, client_id=client_id, key_id=key_id, actor=_actor(caller)
            )

    async def new_secret(self, caller: Caller, partner: str, client_id: str, overlap: float) -> ClientCredentials:
        """A new client secret; the one before ends after `overlap` seconds."""
        async with self._store.transaction() as connection:
            await _of_partner(connection, caller.tenant, partner, client_id)
            return await clients.rotate_client_secret(
                connection,
                self._ring,
                tenant=caller.tenant,
                client_id=client_id,
                overlap=overlap,
                actor=_actor(caller),
            )

    async def set_scopes(self, caller: Caller, partner: str, client_id: str, scopes: tuple[str, ...]) -> Account:
        """What a client may do from now on; its tokens are revoked."""
        async with self._store.transaction() as connection:
            await _of_partner(connection, caller.tenant, partner, client_id)
            await clients.change_scopes(
                connection, tenant=caller.tenant, client_id=client_id, scopes=scopes, actor=_actor(caller)
            )
            return await _account(connection, caller.tenant, partner)

    async def set_keys(
        self, caller: Caller, partner: str, client_id: str, keys: Sequence[Mapping[str, Any]], *, keep_secrets: bool
    ) -> list[str]:
        """The public keys (JWK) that a client signs its assertions with, in place of those before; their ids."""
        async with self._store.transaction() as connection:
            await _of_partner(connection, caller.tenant, partner, client_id)
            return await register_client_keys(
                connection,
                tenant=caller.tenant,
                client_id=client_id,
                jwks={"keys": list(keys)},
                keep_secrets=keep_secrets,
                actor=_actor(caller),
            )

    async def set_certificates(
        self,
        caller: Caller,
        partner: str,
        client_id: str,
        *,
        names: Sequence[str],
        certificates: Sequence[str],
        keep_secrets: bool,
    ) -> None:
        """The certificates (names, or PEM texts) that a client proves itself with, in place of those before."""
        async with self._store.transaction() as connection:
            await _of_partner(connection, caller.tenant, partner, client_id)
            await register_client_certificates(
                connection,
                tenant=caller.tenant,
                client_id=client_id,
                names=names,
                certificates=[text.encode() for text in certificates],
                keep_secrets=keep_secrets,
                actor=_actor(caller),
            )

    async def list_plans(self, tenant: str) -> list[Plan]:
        """The plans of the record."""
        async with self._store.connection() as connection:
            return await plans.list_plans(connection, tenant=tenant)

    async def plan(self, tenant: str, name: str) -> Plan:
        """One plan of the record; raises `NotFound`."""
        async with self._store.connection() as connection:
            return await plans.find_plan(connection, tenant=tenant, name=name)

    async def put_plan(
        self, caller: Caller, name: str, description: str, limits: Mapping[str, Any], expected: int | None
    ) -> Plan:
        """Add a plan (`expected` None) or replace the version `expected` of it."""
        check_plan_name(name)
        self._check_limits(limits)
        given = {"tenant": caller.tenant, "name": name, "description": description, "actor": _actor(caller)}
        async with self._store.transaction() as connection:
            if expected is None:
                try:
                    return await plans.add_plan(connection, **given, limits=limits)
                except Conflict as error:  # asked with If-None-Match
                    raise Conflict(error.detail, code="precondition.failed") from error
            return await plans.change_plan(connection, **given, limits=limits, expected=expected)

    async def drop_plan(self, caller: Caller, name: str, expected: int) -> None:
        """Remove a plan that nobody is on."""
        async with self._store.transaction() as connection:
            await plans.drop_plan(connection, tenant=caller.tenant, name=name, expected=expected, actor=_actor(caller))

    async def _check(self, connection: Connection, tenant: str, channel: str, plan: str) -> None:
        problems = []
        if channel not in self._channels:
            problems.append(Problem("there is no such channel", pointer="/channel"))
        if plan not in self.plans and plan not in {
            each.name for each in await plans.list_plans(connection, tenant=tenant)
        }:
            problems.append(Problem("there is no such plan", pointer="/plan"))
        if problems:
            raise Invalid("the partner names what is not here: see errors", code="partner.unknown", problems=problems)


async def _account(connection: Connection, tenant: str, partner: str) -> Account:
    return Account(
        partner=await partners.find_partner(connection, tenant=tenant, partner=partner),
        clients=tuple(await clients.clients_of(connection, tenant=tenant, partner=partner)),
        api_keys=tuple(await clients.api_keys_of(connection, tenant=tenant, partner=partner)),
    )


async def _of_partner(connection: Connection, tenant: str, partner: str, client_id: str) -> None:
    known = await clients.clients_of(connection, tenant=tenant, partner=partner)
    if client_id not in {each.client_id for each in known}:
        raise NotFound("this partner has no such client or key", code="client.not_found")


def _actor(caller: Caller) -> str:
    return caller.principal.subject
