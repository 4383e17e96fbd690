"""What orders need to know of customers, as a copy in this process that follows the record by the catalogue's version.

The version is asked for at most once a second; when it moved, all is let go of and read again as it is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from gateway.canonical.party import CustomerStanding
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Unavailable
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.customers.changing import by_number, family_of
from process_apis.customers.models import Customer, Role, Status
from process_apis.customers.rules import effective

_sql: Final = queries_beside(__file__)
_POLL_S: Final = 1.0
_TRUST_S: Final = 30.0
_LIMIT: Final = 100_000


class KnownCustomers:
    """Implements `ResolvesCustomers`. Numbers that nobody has are remembered too."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._copies: dict[str, _Copy] = {}

    async def standing(self, tenant: str, number: str) -> CustomerStanding | None:
        """The customer with this number, a second old at most; None where there is none."""
        copy = self._copies.setdefault(tenant, _Copy())
        await self._compare(tenant, copy)
        if number not in copy.standing:
            await self._read(tenant, number, copy)
        return copy.standing.get(number)

    async def _compare(self, tenant: str, copy: _Copy) -> None:
        if self._clock.monotonic() - copy.checked < _POLL_S:
            return
        async with copy.comparing:
            at = self._clock.monotonic()
            if at - copy.checked < _POLL_S:
                return
            try:
                version = await self._store.fetchval(_sql.catalogue_version, tenant) or 0
            except Unavailable:
                if at - copy.checked > _TRUST_S:
                    raise
                return
            if version != copy.version or len(copy.standing) > _LIMIT:
                copy.standing.clear()
                copy.version = version
            copy.checked = at

    async def _read(self, tenant: str, number: str, copy: _Copy) -> None:
        version = copy.version
        if not version:
            return  # this tenant has no customers here
        async with self._store.connection() as connection:
            found = (await by_number(connection, tenant, [number])).get(number)
            family: dict[str, Mapping[str, Any]] = {} if found is None else {number: found.attributes}
            await family_of(connection, tenant, family)
        if version == copy.version:  # else a comparison ran meanwhile, and this may be older than it
            copy.standing[number] = None if found is None else _standing(found, effective(number, family))


class _Copy:
    def __init__(self) -> None:
        self.checked = float("-inf")
        self.comparing = asyncio.Lock()
        self.version = -1
        self.standing: dict[str, CustomerStanding | None] = {}


def _standing(customer: Customer, said: Mapping[str, Any]) -> CustomerStanding:
    status = said.get("status") or Status.ACTIVE
    return CustomerStanding(
        number=customer.number,
        closed=status == Status.CLOSED,
        held=status == Status.HELD,
        may_order=Role.SOLD_TO in customer.roles,
        customer_class=said.get("customer_class"),
        postal_code=said.get("postal_code"),
        country=said.get("country"),
    )
