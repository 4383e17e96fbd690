"""The facade: who sends this request? On the hot path one dictionary look-up, no await."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import msgspec

from gateway.cache.valkey import Cache
from gateway.identity.bindings import Bindings
from gateway.identity.credentials import API_KEY, parse_api_key
from gateway.identity.federation import Federation
from gateway.identity.grants import grant_of, principal_of
from gateway.identity.options import IdentityOptions
from gateway.identity.proofs import Proofs
from gateway.identity.tokens import VerifiedToken, claimed_issuer, verify_token
from gateway.identity.trust import Change, Snapshot, Trust
from gateway.identity.verified import VerifiedCache
from gateway.kernel.clock import Clock
from gateway.kernel.context import Principal
from gateway.kernel.errors import Invalid, Misconfigured, NotAuthenticated, Problem, Unavailable
from gateway.kernel.exchange import Exchange
from gateway.kernel.keyring import KeyRing
from gateway.outbound.door import Outbound
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql = queries_beside(__file__)
_AUTHORIZATION: Final = b"authorization"
_X_API_KEY: Final = b"x-api-key"
_SCHEMES: Final = (b"bearer", b"dpop")


class Identity:
    """Verifies credentials for one worker. Open it before the first request; it keeps its own watch on revocations.

    `cache` lets workers share which DPoP proofs were used; `outbound` fetches the keys of outside issuers.
    """

    def __init__(
        self,
        store: Store,
        ring: KeyRing,
        options: IdentityOptions,
        clock: Clock,
        *,
        cache: Cache | None = None,
        outbound: Outbound | None = None,
    ) -> None:
        if options.issuers and outbound is None:
            raise Misconfigured("outside issuers need a way out to fetch their keys")
        self.options = options
        self.store = store
        self.ring = ring
        self._clock = clock
        self._monotonic = clock.monotonic
        self._tokens: VerifiedCache[Principal] = VerifiedCache(
            clock, seconds=options.cache_for, size=options.cache_size
        )
        self._bound: VerifiedCache[VerifiedToken] = VerifiedCache(
            clock, seconds=options.cache_for, size=options.cache_size
        )
        self._api_keys: VerifiedCache[Principal] = VerifiedCache(
            clock, seconds=options.cache_for, size=options.cache_size
        )
        self.proofs = Proofs(ring, options, clock, cache)
        self._bindings = Bindings(self.proofs, options)
        self.federation = Federation(options.issuers, outbound, store, clock) if outbound and options.issuers else None
        self._outside = 0
        self._lookups: dict[bytes, asyncio.Task[Principal]] = {}
        self._cold_at = 0.0
        self._cold_interval = 1.0 / options.cold_per_second
        self.trust = Trust(store, ring, options, clock, changed=self._forget)

    async def open(self) -> None:
        """Read keys and revocations (making the first signing keys) and start the watch."""
        await self.trust.open()

    async def close(self) -> None:
        """Stop the watch and the look-ups under way."""
        for task in list(self._lookups.values()):
            task.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)
        if self.federation is not None:
            await self.federation.close()
        await self.trust.close()

    def authenticate(
        self, headers: dict[bytes, bytes], exchange: Exchange | None = None
    ) -> Principal | Awaitable[Principal]:
        """The caller behind `headers` (lower-case names), from ``Authorization`` (Bearer or DPoP) or ``X-Api-Key``.

        Returns at once for a credential seen within the last minute and for any bearer token of ours; an API key seen
        for the first time needs the record, an outside issuer's token its keys, a DPoP proof the memory of proofs.
        `exchange` is what a token bound to a key or certificate is proved for; without one it is refused.

        Raises `NotAuthenticated`; `Invalid` (400) for two credentials; `Unavailable` when
        revocations cannot be read or too many unknown credentials arrive at once.
        """
        authorization = headers.get(_AUTHORIZATION)
        api_key = headers.get(_X_API_KEY)
        if authorization is not None and api_key is not None:
            raise Invalid(
                "send one credential: either Authorization or X-Api-Key",
                syntax=True,
                code="credential.multiple",
                problems=[Problem("a second credential", parameter="X-Api-Key")],
            )
        now = self._monotonic()
        if authorization is not None:
            if now < self.trust.until and (principal := self._tokens.get(authorization, now)) is not None:
                return principal
            return self._verify(authorization, headers, exchange, now)
        if api_key is not None:
            if now < self.trust.until and (principal := self._api_keys.get(api_key, now)) is not None:
                return principal
            return self._look_up(api_key)
        raise NotAuthenticated(
            "this needs a credential: Authorization: Bearer with a token from /oauth2/token, or X-Api-Key",
            code="credential.missing",
        )

    async def recheck(self, headers: Mapping[bytes, bytes], principal: Principal) -> None:
        """Raise `NotAuthenticated` unless the credential that proved `principal` a while ago still means the same.

        What it is bound to was proved then and is not asked for again. An outside issuer's token holds until its end.
        """
        if principal.expires_at <= self._clock.now().timestamp():
            raise NotAuthenticated("the credential has expired: get a new one", code="token.expired")
        authorization = headers.get(_AUTHORIZATION)
        if authorization is None:
            found = self._recheck_key(headers[_X_API_KEY])
            standing = found if isinstance(found, Principal) else await found
        else:
            standing = self._recheck_token(authorization, principal)
        if standing != principal:
            raise NotAuthenticated("what this credential opens has changed: connect again", code="credential.changed")

    def _recheck_key(self, api_key: bytes) -> Principal | Awaitable[Principal]:
        _ = self.trust.snapshot
        return self._api_keys.get(api_key, self._clock.monotonic()) or self._look_up(api_key)

    def _recheck_token(self, authorization: bytes, principal: Principal) -> Principal:
        snapshot, now = self.trust.snapshot, self._clock.monotonic()
        known = self._tokens.get(authorization, now)
        if known is not None:
            return known
        bound = self._bound.get(authorization, now)
        if bound is not None:
            return bound.principal
        token = authorization.partition(b" ")[2].strip()
        if self.federation is not None and self.federation.knows(claimed_issuer(token)):
            return _as_it_stands(principal, snapshot)
        verified = self._verified(token, snapshot)
        self._remember(authorization, verified, now)
        return verified.principal

    def _verified(self, token: bytes, snapshot: Snapshot) -> VerifiedToken:
        """A token of ours, with its caller as it stands now."""
        verified = verify_token(token, snapshot.keys, self.options)
        if snapshot.has_revoked(verified):
            raise NotAuthenticated("the access token was revoked: get a new one", code="token.revoked")
        return msgspec.structs.replace(verified, principal=_as_it_stands(verified.principal, snapshot))

    def _verify(
        self, authorization: bytes, headers: Mapping[bytes, bytes], exchange: Exchange | None, now: float
    ) -> Principal | Awaitable[Principal]:
        scheme, _, token = authorization.partition(b" ")
        scheme, token = scheme.lower(), token.strip()
        if scheme not in _SCHEMES or not token:
            raise NotAuthenticated("use the Bearer scheme: Authorization: Bearer <token>", code="credential.scheme")
        snapshot = self.trust.snapshot
        bound = self._bound.get(authorization, now)
        if bound is None:
            self._admit_cold(now)
            if self.federation is not None and self.federation.knows(issuer := claimed_issuer(token)):
                return self._ask_outside(self.federation, str(issuer), authorization, headers, exchange)
            bound = self._verified(token, snapshot)
            self._remember(authorization, bound, now)
        return self._bindings.prove(bound, authorization, headers, exchange)

    def _remember(self, authorization: bytes, token: VerifiedToken, now: float) -> None:
        expires_at, token_id = token.principal.expires_at, token.token_id
        if token.confirmation is not None:
            self._bound.put(authorization, token, now, expires_at=expires_at, token_id=token_id)
        elif authorization[:1] in b"bB":  # presented as what it is: a bearer token
            self._tokens.put(authorization, token.principal, now, expires_at=expires_at, token_id=token_id)

    async def _ask_outside(
        self,
        federation: Federation,
        issuer: str,
        authorization: bytes,
        headers: Mapping[bytes, bytes],
        exchange: Exchange | None,
    ) -> Principal:
        if self._outside >= self.options.lookups:
            raise _busy()
        self._outside += 1
        epoch = self.trust.snapshot.epoch
        try:
            token = await federation.verify(
                authorization.partition(b" ")[2].strip(), issuer, leeway=self.options.leeway
            )
        finally:
            self._outside -= 1
        if self.trust.snapshot.epoch == epoch:  # else the partner's row may be the past: not remembered
            self._remember(authorization, token, self._clock.monotonic())
        proved = self._bindings.prove(token, authorization, headers, exchange)
        return proved if isinstance(proved, Principal) else await proved

    def _admit_cold(self, now: float) -> None:
        """At most `cold_per_second` verifications, spread over each second: signatures cost processor time."""
        self._cold_at = max(self._cold_at, now - 1.0) + self._cold_interval
        if self._cold_at > now:
            self._cold_at -= self._cold_interval
            raise _busy()

    def _look_up(self, api_key: bytes) -> Awaitable[Principal]:
        parsed = parse_api_key(api_key)
        if parsed.environment != self.options.environment:
            raise NotAuthenticated(
                f"this is a {parsed.environment} key: use one of {self.options.environment} here",
                code="api_key.wrong_environment",
            )
        _ = self.trust.snapshot
        task = self._lookups.get(api_key)
        if task is None:
            if len(self._lookups) >= self.options.lookups:
                raise _busy()
            task = asyncio.get_running_loop().create_task(self._find_api_key(api_key, parsed.key_id, parsed.secret))
            self._lookups[api_key] = task
            task.add_done_callback(lambda done: self._looked_up(api_key, done))
        return _joined(task)

    async def _find_api_key(self, api_key: bytes, key_id: str, secret: bytes) -> Principal:
        row = await self.store.fetchrow(_sql.find_api_key, key_id)
        if row is not None and row["epoch"] < self.trust.snapshot.epoch:
            # Read before a revocation that we have heard of since: the row may be the past.
            row = await self.store.fetchrow(_sql.find_api_key, key_id)
        if row is None or not self.ring.matches(API_KEY, secret, row["digest"], version=row["pepper_version"]):
            raise NotAuthenticated("this API key is unknown, expired or revoked", code="api_key.unknown")
        principal = _api_key_principal(row, key_id)
        self._api_keys.put(api_key, principal, self._clock.monotonic(), expires_at=principal.expires_at)
        return principal

    def _looked_up(self, api_key: bytes, task: asyncio.Task[Principal]) -> None:
        self._lookups.pop(api_key, None)
        if not task.cancelled():
            task.exception()  # those who waited have it; when all of them hung up nobody is told

    def _forget(self, tokens: Change) -> None:
        if tokens is not None:
            self._tokens.forget(tokens)
            self._bound.forget(tokens)
            return
        self._tokens.clear()
        self._bound.clear()
        self._api_keys.clear()


def _as_it_stands(principal: Principal, snapshot: Snapshot) -> Principal:
    """The caller on the channel and plan it has now; its token may have been issued before a change."""
    standing = snapshot.standings.get(principal.partner) if principal.partner is not None else None
    if standing is None:
        return principal
    if standing.suspended:
        raise NotAuthenticated("this partner is suspended: ask whoever runs this gateway", code="partner.suspended")
    return dataclasses.replace(principal, channel=standing.channel, plan=standing.plan)


def _api_key_principal(row: Mapping[str, Any], key_id: str) -> Principal:
    return principal_of(
        grant_of(row),
        subject=row["client_id"],
        credential=f"key:{key_id}",
        scopes=frozenset(row["scopes"]),
        expires_at=row["expires_at"] if row["expires_at"] is not None else float("inf"),
    )


async def _joined(task: asyncio.Task[Principal]) -> Principal:
    """Wait for a look-up that others may wait for too: one caller who hangs up does not cancel it."""
    return await asyncio.shield(task)


def _busy() -> Unavailable:
    return Unavailable(
        "too many unknown credentials at once: try again in a moment", retry_after=1.0, code="identity.busy"
    )
