"""This process's copy of the locations, for everybody who maps, sources or sends by location and must not wait.

It begins as the settings declare it. From the first look at the record on, the record is the truth: it is compared
every half second and loaded whole when something changed, for a tenant's locations are few. While the record is away
the copy stands: nothing can be recorded by it then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NoReturn

from gateway.canonical.location import Location, LocationCode, LocationMap
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError
from gateway.reference.ownership import matrix_of
from gateway.reference.statements import all_statements
from gateway.reference.survivorship import surviving
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.locations.models import ATTRIBUTES, DOMAIN
from process_apis.locations.rules import Hierarchy, stock_locations

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.5
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Copy:
    """One tenant's hierarchy and codes at one version of its catalogue. `until`: when a code begins or ends."""

    def __init__(self, version: int, hierarchy: Hierarchy, codes: Sequence[LocationCode], at: datetime) -> None:
        self.version = version
        self.hierarchy = hierarchy
        self.codes = codes
        self.until = min((edge for edge in _edges(codes) if edge > at), default=_NEVER)


class KnownLocations(LocationMap):
    """The map that changes with the record."""

    def __init__(self, store: Store, clock: Clock, declared: Mapping[str, Sequence[Location]]) -> None:
        super().__init__(declared)
        self._tenants = tuple(declared)
        self._store = store
        self._clock = clock
        self._copies: dict[str, Copy] = {}
        self._comparing = asyncio.Lock()

    async def refresh(self, tenant: str) -> None:
        """Know what the record has by now; raises `Unavailable` when it cannot be asked."""
        async with self._comparing:
            version, now = await self._store.fetchval(_sql.catalogue_version, tenant), self._clock.now()
            held = self._copies.get(tenant)
            if version is None or (held is not None and held.version == version and now < held.until):
                return
            made = await self._load(tenant, version, now)
            self._copies[tenant] = made
            current = {code.location: dict[str, str]() for code in made.codes}
            for code in made.codes:
                if code.holds(now):
                    current[code.location].setdefault(code.source, code.code)
            self.replace(tenant, stock_locations(made.hierarchy, current), made.codes)

    async def copy(self, tenant: str) -> Copy:
        """All that is known of a tenant's locations, as the record has it now."""
        await self.refresh(tenant)
        return self._copies.get(tenant) or Copy(0, Hierarchy({}), (), self._clock.now())

    async def run(self) -> NoReturn:
        """Follow the record until cancelled."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            for tenant in self._tenants:
                try:
                    await self.refresh(tenant)
                except CrossdockError as error:
                    _log.debug("locations are not compared: %s", error.detail)

    async def _load(self, tenant: str, version: int, now: datetime) -> Copy:
        async with self._store.connection() as connection:
            matrix = await matrix_of(connection, tenant, DOMAIN, ATTRIBUTES)
            said = await all_statements(connection, tenant, DOMAIN)
            codes = [LocationCode(**row) for row in await connection.fetch(_sql.all_codes, tenant)]
        values = {location: surviving(some, matrix.attributes) for location, some in said.items()}
        return Copy(version, Hierarchy(values), codes, now)


def _edges(codes: Iterable[LocationCode]) -> Iterable[datetime]:
    for code in codes:
        if code.valid_from is not None:
            yield code.valid_from
        if code.valid_until is not None:
            yield code.valid_until
