"""Who holds a location that has a stand-by source: eras, and what of each source counts in which.

An era begins when somebody switches. Its order keys stand above all before it, so figures of two sources are never
compared: what stands is frozen at the switch, until the first full snapshot of the new holder. What a former holder
tells late, of the time when it held, is before that cut-off: it moves no figure, and its orders and documents once, as
after any cut-off. What it tells of later times is kept, to reconcile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import OrderKey, ReportedSnapshot
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Invalid, NotFound
from gateway.kernel.ids import new_id
from gateway.store import log
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.freshness import Holding
from process_apis.availability.locking import location_keys
from process_apis.availability.models import Mapped

_own: Final = queries_beside(__file__, "holding_queries.sql")
_sql: Final = queries_beside(__file__)
_STEP: Final = 1 << 54
"""Above every epoch that a source may give (2^53)."""
_EVER: Final = datetime.min.replace(tzinfo=UTC)


class Era(NamedTuple):
    """From `since` on `holder` held; era 0 is that of the declared holder."""

    era: int
    holder: str
    since: datetime


class Switch(NamedTuple):
    """A switch that was made."""

    location: str
    holder: str
    before: str
    era: int
    since: datetime


async def eras_of(connection: Connection, tenant: str, places: Iterable[Location]) -> Mapping[str, Sequence[Era]]:
    """The eras of each place, the first one first. The caller holds the lock of these locations."""
    wanted = {place.location: place for place in places}
    found: dict[str, list[Era]] = {}
    for row in await connection.fetch(_own.eras, tenant, sorted(wanted)):
        known = found.setdefault(row["location"], [Era(0, row["before"], _EVER)])
        known.append(Era(row["era"], row["holder"], row["since"]))
    return {name: found.get(name) or [Era(0, place.holder, _EVER)] for name, place in wanted.items()}


def placed(each: Mapped, eras: Sequence[Era]) -> Mapped:
    """A movement as it counts: in the era of its source that it happened in."""
    source, at = each.reported.source, each.reported.occurred_at
    ends = [*(era.since for era in eras[1:]), None]
    for era, end in zip(eras, ends, strict=True):
        if era.holder == source and era.since <= at and (end is None or at < end):
            return replace(each, moves=True, reported=replace(each.reported, order_key=_key(each, era)))
    if eras[-1].holder != source:
        return replace(each, moves=False)
    # Told by who holds now, of when it did not: it is in its figures, and moved nobody's order.
    alone = replace(each.reported, order_key=_key(each, eras[-1]), order_reference=None, order_line=None, document=None)
    return replace(each, moves=True, reported=alone)


def _key(each: Mapped, era: Era) -> OrderKey:
    key = each.reported.order_key
    return OrderKey(key.epoch + era.era * _STEP, key.sequence)


def dated(snapshot: ReportedSnapshot, era: int) -> ReportedSnapshot:
    """The snapshot with its cut-off in an era."""
    return replace(snapshot, cut_off=OrderKey(snapshot.cut_off.epoch + era * _STEP, snapshot.cut_off.sequence))


async def place_movements(
    connection: Connection, tenant: str, taken: Sequence[Mapped], locations: LocationMap
) -> Sequence[Mapped]:
    """Movements as they count. Where no location has a stand-by source nothing is asked."""
    switchable = [
        place
        for name in {each.location for each in taken}
        if (place := locations.by_id(tenant, name)) is not None and place.stand_by is not None
    ]
    if not switchable:
        return taken
    await connection.execute(_sql.lock_locations_shared, location_keys(tenant, {each.location for each in taken}))
    eras = await eras_of(connection, tenant, switchable)
    return [placed(each, eras[each.location]) if each.location in eras else each for each in taken]


async def scopes_of(
    connection: Connection, tenant: str, snapshot: ReportedSnapshot, places: Sequence[Location], now: datetime
) -> list[tuple[ReportedSnapshot, set[str]]]:
    """Which locations a snapshot's figures count for, by the era of its cut-off; the caller holds their locks."""
    by_era: dict[int, set[str]] = defaultdict(set)
    for name, eras in (await eras_of(connection, tenant, places)).items():
        if eras[-1].holder == snapshot.source:
            by_era[eras[-1].era].add(name)
    for era, names in by_era.items():
        if era and snapshot.full:
            await connection.execute(_own.note_snapshot, tenant, sorted(names), era, now)
    return [(dated(snapshot, era), names) for era, names in sorted(by_era.items())]


async def read_held(connection: Connection, tenant: str, locations: LocationMap) -> dict[str, Holding]:
    """Who holds what was switched; nothing is asked where no location has a stand-by source."""
    if not any(place.stand_by is not None for place in locations.of(tenant)):
        return {}
    rows = await connection.fetch(_own.holders, tenant)
    return {row["location"]: Holding(row["holder"], row["awaiting"]) for row in rows}


class Holders:
    """Switches who holds a location."""

    def __init__(self, store: Store, locations: LocationMap, clock: Clock) -> None:
        self._store = store
        self._locations = locations
        self._clock = clock

    async def holders(self, tenant: str) -> Sequence[Any]:
        """Every location that was switched, with who holds it now, and whether its first snapshot is awaited."""
        return await self._store.fetch(_own.holders, tenant)

    async def switch(
        self, tenant: str, location: str, *, to: str, actor: str, reason: str, correlation_id: str
    ) -> Switch:
        """Let `to` hold `location` from now on, until another switch.

        Raises `NotFound` for an unknown location, `Invalid` for a source that is neither its declared holder nor its
        stand-by, `Conflict` (``holder.already``) when it holds it already.
        """
        place = self._locations.by_id(tenant, location)
        if place is None:
            raise NotFound(f"there is no location {location}: list them", code="location.not_found")
        if place.stand_by is None or to not in (place.holder, place.stand_by):
            may = (
                f"{place.holder} or {place.stand_by}" if place.stand_by else f"{place.holder} alone: give it a stand_by"
            )
            raise Invalid(f"{location} may be held by {may}", code="holder.not_stand_by")
        async with self._store.transaction() as connection:
            await connection.execute(_sql.lock_locations, location_keys(tenant, [location]))
            before = (await eras_of(connection, tenant, [place]))[location][-1]
            if before.holder == to:
                raise Conflict(f"{to} holds {location} already: nothing was changed", code="holder.already")
            made = Switch(location, to, before.holder, before.era + 1, self._clock.now())
            await self._begin(connection, tenant, made, actor, reason)
            await self._tell(connection, tenant, made, actor, reason, correlation_id)
        return made

    async def _begin(self, connection: Connection, tenant: str, made: Switch, actor: str, reason: str) -> None:
        cut, event = made.era * _STEP, f"switch/{made.era}"
        await connection.execute(
            _own.begin_era, tenant, made.location, made.era, made.holder, made.before, made.since, actor, reason
        )
        await connection.execute(_own.freeze_figures, tenant, made.location, cut, event, made.since)
        await connection.execute(_own.forget_settlements, tenant, made.location)
        full = (cut, -1, event, made.since)
        await connection.execute(_sql.cut_full, tenant, [made.location], *full)
        await connection.execute(_sql.keep_full_cut, tenant, [made.location], *full)
        await connection.execute(_own.adopt_movements, tenant, made.location, made.holder, cut, made.since)

    async def _tell(
        self, connection: Connection, tenant: str, made: Switch, actor: str, reason: str, correlation_id: str
    ) -> None:
        data = {**made._asdict(), "reason": reason}
        event = Event(
            tenant=tenant,
            type="stock.holder_switched",
            aggregate=f"location/{made.location}",
            aggregate_version=made.era,
            occurred_at=made.since,
            correlation_id=correlation_id,
            data=data,
        )
        await log.append(connection, [event])
        await record_audit(
            connection,
            tenant=tenant,
            actor=actor,
            action="availability.holder_switched",
            subject=f"location/{made.location}",
            outcome="done",
            correlation_id=correlation_id,
            detail=data,
        )

    async def stand_in(self, tenant: str) -> list[Switch]:
        """Switch what is declared to switch by itself, once its holder was silent for that long.

        Only from the declared holder to a stand-by that was heard within that time; back it goes by a person's word.
        """
        places = [place for place in self._locations.of(tenant) if place.stand_by_after_seconds is not None]
        if not places:
            return []
        now = self._clock.now()
        heard = {row["source"]: row["heard_at"] for row in await self._store.fetch(_sql.sources, tenant)}
        held = {row["location"] for row in await self.holders(tenant)}
        made = []
        for place in places:
            reason = _why_now(place, heard, now)
            if reason is None or place.stand_by is None or place.location in held:
                continue
            made.append(
                await self.switch(
                    tenant,
                    place.location,
                    to=place.stand_by,
                    actor="rule",
                    reason=reason,
                    correlation_id=new_id("swi"),
                )
            )
        return made


def _why_now(place: Location, heard: Mapping[str, datetime], now: datetime) -> str | None:
    last, other, after = heard.get(place.holder), heard.get(place.stand_by or ""), place.stand_by_after_seconds
    if last is None or other is None or after is None:
        return None
    silent = (now - last).total_seconds()
    if silent <= after or (now - other).total_seconds() > after:
        return None
    return f"{place.holder} was silent for {silent:.0f} s, longer than {after:g} s"
