"""For which customer account a partner orders."""

from __future__ import annotations

from typing import Final

from gateway.identity.partners import accounts_of
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import NotAllowed
from gateway.store.postgres import Store

_FRESH_SECONDS: Final = 2.0
_MOST: Final = 10_000


class PartnerAccounts:
    """Accounts by partner, read from the record and kept for two seconds: an order's path asks once a burst."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._monotonic = clock.monotonic
        self._known: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}

    async def resolve(self, caller: Caller, asked: str | None) -> str:
        """The account to order for: the one `asked` for, else the partner's first.

        Raises `NotAllowed` (code ``account.not_allowed``) when it is not one of the partner's.
        """
        partner = caller.principal.partner
        accounts = await self._accounts(caller.tenant, partner) if partner is not None else ()
        if asked is None and accounts:
            return accounts[0]
        if asked not in accounts or asked is None:
            raise NotAllowed(
                "you may not order for this account: leave it out, or have it added to your partner record",
                code="account.not_allowed",
            )
        return asked

    async def _accounts(self, tenant: str, partner: str) -> tuple[str, ...]:
        now = self._monotonic()
        known = self._known.get((tenant, partner))
        if known is not None and known[0] > now:
            return known[1]
        async with self._store.connection() as connection:
            accounts = tuple(sorted(await accounts_of(connection, tenant, partner)))
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[tenant, partner] = (now + _FRESH_SECONDS, accounts)
        return accounts
