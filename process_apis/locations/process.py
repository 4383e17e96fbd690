"""Locations, declared by the settings and changed by people, files and systems while everything runs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.location import Location, LocationCode
from gateway.kernel.background import background
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotFound, Problem
from gateway.reference.csv_rows import Layout, Row
from gateway.reference.importing import Taken, taken_of
from gateway.reference.outcomes import Outcome
from gateway.reference.ownership import Matrix, held_matrix, own
from gateway.reference.statements import provenance_of, statements_of
from gateway.reference.survivorship import SETTINGS, Ownership, Provenance
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.locations.changing import change_locations
from process_apis.locations.files import LAYOUT, change_of_row
from process_apis.locations.known import KnownLocations
from process_apis.locations.models import ATTRIBUTES, DOMAIN, Change, Node

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger(__name__)


class Locations:
    """The locations process. `systems` are the configured instances; `known` is this process's copy of `store`."""

    def __init__(self, store: Store, clock: Clock, *, known: KnownLocations, systems: Collection[str]) -> None:
        self.known = known
        self.store = store
        self._clock = clock
        self._systems = frozenset(systems)

    # --- keeping the copy -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def following(self, tenant: str, declared: Sequence[Location]) -> AsyncIterator[None]:
        """Declare what the settings have, load what the record has, and follow it inside the block.

        A record that cannot be asked yet keeps nobody from starting: until it can, what is declared holds.
        """
        try:
            await self.declare(tenant, declared)
            await self.known.refresh(tenant)
        except (CrossdockError, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            pass
        async with background(self.known.run(), name="locations"):
            yield

    async def declare(self, tenant: str, declared: Sequence[Location]) -> Outcome:
        """Let the settings say what they declare. What anybody ranked above them says goes on to count."""
        if not declared:
            return Outcome()
        async with self.store.connection() as connection:
            said = await statements_of(connection, tenant, DOMAIN, [each.location for each in declared])
        known = {
            location: next((each.attributes for each in some if each.source == SETTINGS), None)
            for location, some in said.items()
        }
        changes = [_declared(each, known.get(each.location)) for each in declared]
        if all(known.get(each.location) == each.attributes for each in changes):
            return Outcome(unchanged=tuple(each.location for each in changes))
        async with self.store.transaction() as connection:
            outcome = await self.change_in(
                connection, tenant=tenant, source=SETTINGS, changes=changes, correlation_id="settings"
            )
        for refusal in outcome.refused:
            _log.warning("%s as the settings declare it is not taken: %s", refusal.record, refusal.detail)
        return outcome

    # --- changes --------------------------------------------------------------------------------------------------

    async def add(self, caller: Caller, source: str, change: Change) -> Node:
        """Add a location that is not there yet; raises `Conflict` when it is."""
        if change.location in (await self.known.copy(caller.tenant)).hierarchy:
            raise Conflict(
                f"there is a location {change.location!r} already: state what you know of it", code="location.exists"
            )
        return await self._change(caller, source, change)

    async def state(self, caller: Caller, source: str, change: Change) -> Node:
        """Let `source` say `change` of a location that is there; raises `NotFound`."""
        await self.node(caller.tenant, change.location)
        return await self._change(caller, source, change)

    async def change_in(
        self, connection: Connection, *, tenant: str, source: str, changes: Sequence[Change], correlation_id: str
    ) -> Outcome:
        """Several changes inside the caller's transaction; refusals are in the outcome."""
        return await change_locations(
            connection, self._clock, tenant=tenant, source=source, changes=changes, systems=self._systems,
            correlation_id=correlation_id,
        )  # fmt: skip

    async def _change(self, caller: Caller, source: str, change: Change) -> Node:
        async with self.store.transaction() as connection:
            outcome = await self.change_in(
                connection, tenant=caller.tenant, source=source, changes=[change],
                correlation_id=caller.correlation_id,
            )  # fmt: skip
            if outcome.refused:
                refusal = outcome.refused[0]
                problems = [Problem(each.detail, pointer=f"/{each.attribute}") for each in outcome.refused]
                raise Invalid(refusal.detail, code=refusal.code, problems=problems)
            if not outcome.unchanged:
                await record_act(
                    connection,
                    caller,
                    "location.added" if outcome.created else "location.changed",
                    f"locations/{change.location}",
                    detail={"source": source, "says": change.attributes, "codes": _told(change)},
                )
        return await self.node(caller.tenant, change.location)

    # --- files ----------------------------------------------------------------------------------------------------

    @property
    def layout(self) -> Layout:
        """The columns of a file of locations."""
        return LAYOUT

    async def take_rows(
        self, connection: Connection, *, tenant: str, source: str, rows: Sequence[Row], correlation_id: str
    ) -> Taken:
        """Let `source` say what the rows say, besides what it said before of columns that they leave empty."""
        lines = {row.values[LAYOUT.key]: row.line for row in rows}
        outcome = await self.change_in(
            connection, tenant=tenant, source=source, changes=[change_of_row(row.values) for row in rows],
            correlation_id=correlation_id,
        )  # fmt: skip
        return taken_of(outcome, lines)

    # --- answers --------------------------------------------------------------------------------------------------

    async def node(self, tenant: str, location: str) -> Node:
        """One location with what it inherits; raises `NotFound`."""
        hierarchy = (await self.known.copy(tenant)).hierarchy
        if location not in hierarchy:
            raise NotFound("there is no such location; list them", code="location.not_found")
        return hierarchy.node(location)

    async def codes(self, tenant: str, location: str) -> Sequence[LocationCode]:
        """What each source calls it, called it, and will call it."""
        return [code for code in (await self.known.copy(tenant)).codes if code.location == location]

    async def page(self, tenant: str, *, after: str | None, limit: int, below: str | None = None) -> Sequence[Node]:
        """Locations in the order of their ids; of one place, all that belongs to it."""
        hierarchy = (await self.known.copy(tenant)).hierarchy
        wanted = hierarchy.below([below]) if below is not None else set(hierarchy.locations())
        ids = [each for each in sorted(wanted) if after is None or each > after][:limit]
        return [hierarchy.node(each) for each in ids]

    async def by_code(self, tenant: str, source: str, code: str) -> Sequence[Node]:
        """The location that `source` calls `code` now, or none."""
        copy, now = await self.known.copy(tenant), self._clock.now()
        found = [each for each in copy.codes if (each.source, each.code) == (source, code) and each.holds(now)]
        return [copy.hierarchy.node(each.location) for each in found]

    async def record_of(self, tenant: str, name: str) -> str | None:
        """`name`, if there is such a location."""
        return name if name in (await self.known.copy(tenant)).hierarchy else None

    async def provenance(self, tenant: str, location: str) -> Sequence[Provenance]:
        """Where each value of a location comes from; raises `NotFound`."""
        await self.node(tenant, location)
        return await provenance_of(self.store, tenant, DOMAIN, ATTRIBUTES, location)

    async def ownership(self, tenant: str) -> Matrix:
        """Who owns which attribute."""
        return await held_matrix(self.store, tenant, DOMAIN, ATTRIBUTES)

    async def change_ownership(
        self, caller: Caller, attributes: Mapping[str, Ownership], *, expected: int, note: str
    ) -> Matrix:
        """Own `attributes` so from now on; what counts of every location follows at once."""
        return await own(
            self.store, self._clock, caller, DOMAIN, attributes, known=ATTRIBUTES, expected=expected, note=note,
            lock=lambda connection: connection.fetchval(_sql.next_catalogue_version, caller.tenant),
        )  # fmt: skip


def _declared(location: Location, before: Mapping[str, Any] | None) -> Change:
    """Codes count as said when they are declared otherwise than `before`: a restart undoes nobody's change of them."""
    said: dict[str, Any] = msgspec.to_builtins(location)
    declared = {} if before is None else before.get("codes", {})
    return Change(
        location=said.pop("location"),
        attributes=said,
        codes={
            source: (LocationCode(location=location.location, source=source, code=code),)
            for source, code in location.codes.items()
            if declared.get(source) != code
        },
        whole=True,
    )


def _told(change: Change) -> Mapping[str, Sequence[str]]:
    return {source: [code.code for code in codes] for source, codes in (change.codes or {}).items()}
