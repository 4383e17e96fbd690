"""Changes of locations in one transaction: what sources say, judged together, with codes, events and audit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.location import LocationCode
from gateway.canonical.stock import OWN_SOURCE
from gateway.kernel.clock import Clock
from gateway.reference.outcomes import Outcome, Refusal
from gateway.reference.ownership import Matrix, matrix_of
from gateway.reference.statements import Statements, all_statements, keep_statements
from gateway.reference.survivorship import Statement, restated, surviving
from gateway.store import log
from gateway.store.queries import queries_beside
from process_apis.locations.models import ATTRIBUTES, DOMAIN, Change
from process_apis.locations.rules import Hierarchy, taken_codes

_sql: Final = queries_beside(__file__)


class Desk:
    """A tenant's locations as they stand under the catalogue's lock, and what changes make of them."""

    def __init__(self, said: Statements, codes: Sequence[LocationCode], matrix: Matrix) -> None:
        self._said = said
        self._codes = codes
        self._matrix = matrix
        self._values = {location: surviving(some, matrix.attributes) for location, some in said.items()}

    @classmethod
    async def open(cls, connection: Connection, tenant: str) -> Desk:
        """Lock the catalogue, so that changes come one after the other, and read all."""
        await connection.fetchval(_sql.next_catalogue_version, tenant)
        matrix = await matrix_of(connection, tenant, DOMAIN, ATTRIBUTES)
        codes = [LocationCode(**row) for row in await connection.fetch(_sql.all_codes, tenant)]
        return cls(await all_statements(connection, tenant, DOMAIN), codes, matrix)

    def statement(self, location: str, source: str) -> Statement | None:
        """What `source` says of it."""
        return next((each for each in self._said.get(location, ()) if each.source == source), None)

    def values(self, location: str, statement: Statement) -> Mapping[str, Any]:
        """What would count if `statement` were its source's."""
        others = [each for each in self._said.get(location, ()) if each.source != statement.source]
        return surviving([*others, statement], self._matrix.attributes)

    def judge(
        self, statements: Mapping[str, Statement], changes: Mapping[str, Change], systems: Collection[str]
    ) -> tuple[list[str], list[Refusal]]:
        """Which of `changes` can hold together, and why the others cannot."""
        left, refused = dict(changes), list[Refusal]()
        while True:
            said = {each: self.values(each, statements[each]) for each in left if each in statements}
            found = self._refusals(Hierarchy({**self._values, **said}), left, systems)
            if not found:
                return list(left), refused
            refused += found
            for refusal in found:
                left.pop(refusal.record, None)

    def _refusals(self, hierarchy: Hierarchy, left: Mapping[str, Change], systems: Collection[str]) -> list[Refusal]:
        found: list[Refusal] = []
        for location in sorted(set(left) & set(hierarchy.locations())):
            found += hierarchy.refusals(location, systems=systems, zones=_zones())
        blamed = {refusal.record for refusal in found}
        for child in sorted(hierarchy.below(left) - set(left)):
            above = next(each for each in hierarchy.node(child).above if each in left)
            for refusal in hierarchy.refusals(child, systems=systems, zones=_zones()):
                if above not in blamed:
                    detail = f"{child}, which belongs to it, would not hold: {refusal.detail}"
                    found.append(Refusal(above, refusal.attribute, refusal.code, detail))
        return found + [
            Refusal(
                location, f"code:{one.source}", "location.code_taken",
                f"{one.source} calls {other.location} {one.code!r} at that time: end that code first",
            )
            for pair in taken_codes(self.codes_after(left.values()))
            for one, other in (pair, pair[::-1])
            if (location := one.location) in left
        ]  # fmt: skip

    def codes_after(self, changes: Iterable[Change]) -> list[LocationCode]:
        """All codes when `changes` are done."""
        replaced = {(each.location, source) for each in changes for source in each.codes or ()}
        kept = [code for code in self._codes if (code.location, code.source) not in replaced]
        return kept + [code for each in changes for some in (each.codes or {}).values() for code in some]

    def changes_codes(self, change: Change) -> bool:
        """Whether its codes are other ones than there are."""
        for source, codes in (change.codes or {}).items():
            there = {code for code in self._codes if (code.location, code.source) == (change.location, source)}
            if there != set(codes):
                return True
        return False

    def __contains__(self, location: object) -> bool:
        return location in self._said


async def change_locations(
    connection: Connection,
    clock: Clock,
    *,
    tenant: str,
    source: str,
    changes: Sequence[Change],
    systems: Collection[str],
    correlation_id: str,
) -> Outcome:
    """Let `source` say `changes` (each location once); what cannot hold is refused, the rest is written with events."""
    desk, now = await Desk.open(connection, tenant), clock.now()
    by_location = {each.location: each for each in changes}
    statements: dict[str, Statement] = {}
    wanted: dict[str, Change] = {}
    for location, change in by_location.items():
        made = restated(desk.statement(location, source), source, change.attributes, now, whole=change.whole)
        if made is not None:
            statements[location] = made
        if made is not None or desk.changes_codes(change):
            wanted[location] = change
    taken, refused = desk.judge(statements, wanted, systems)
    await _write(connection, tenant, [(each, statements[each]) for each in taken if each in statements], desk,
                 [wanted[each] for each in taken], clock, correlation_id)  # fmt: skip
    return Outcome(
        created=tuple(each for each in taken if each not in desk),
        changed=tuple(each for each in taken if each in desk),
        unchanged=tuple(each for each in by_location if each not in wanted),
        refused=tuple(refused),
    )


async def _write(
    connection: Connection,
    tenant: str,
    said: Sequence[tuple[str, Statement]],
    desk: Desk,
    taken: Sequence[Change],
    clock: Clock,
    correlation_id: str,
) -> None:
    if not taken:
        return
    now = clock.now()
    await keep_statements(connection, tenant, DOMAIN, said)
    rows = await connection.fetch(_sql.write_locations, tenant, sorted(each.location for each in taken), now)
    recoded = [each for each in taken if desk.changes_codes(each)]
    if recoded:
        pairs = [(each.location, source) for each in recoded for source in each.codes or ()]
        await connection.execute(_sql.drop_codes, tenant, *map(list, zip(*pairs, strict=True)))
        codes = [code for each in recoded for some in (each.codes or {}).values() for code in some]
        columns = [(code.location, code.source, code.code, code.valid_from, code.valid_until) for code in codes]
        if columns:
            await connection.execute(_sql.add_codes, tenant, *map(list, zip(*columns, strict=True)))
    known: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in await connection.fetch(_sql.codes_of, tenant, [row["location"] for row in rows]):
        known[row["location"]].append({"source": row["source"], "code": row["code"]})
    await log.append(
        connection,
        [
            Event(
                tenant=tenant,
                type="location.changed",
                aggregate=row["location"],
                aggregate_version=row["version"],
                occurred_at=now,
                correlation_id=correlation_id,
                data={
                    "location": row["location"],
                    "codes": [{"source": OWN_SOURCE, "code": row["location"]}, *known[row["location"]]],
                },
            )
            for row in rows
        ],
    )


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
