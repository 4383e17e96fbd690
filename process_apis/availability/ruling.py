"""Rules of channels as data: every change is a version with dates, an owner and a reason; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.location import LocationMap
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Invalid, Problem
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.models import ChannelTerms, ClassTerms, ItemTerms, LocationTerms, RuleVersion
from process_apis.availability.rulebook import rule_of_row

_sql: Final = queries_beside(__file__, "rules.sql")
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_ONE: Final = Decimal(1)


class RuleChange(msgspec.Struct, frozen=True, kw_only=True):
    """A new version of a channel's rule, in force from `effective_from` (None: now) until `effective_until`, if any.

    Where it ends, the latest version that is still in force takes over again. `expected` refuses the change when
    somebody else made a version meanwhile (0: there is none yet).
    """

    channel: str
    terms: ChannelTerms
    actor: str
    effective_from: datetime | None = None
    effective_until: datetime | None = None
    business_owner: str = ""
    reason: str = ""
    expected: int | None = None
    correlation_id: str | None = None


class Rules:
    """Writes and lists versions of rules."""

    def __init__(self, store: Store, items: ResolvesItems, locations: LocationMap, clock: Clock) -> None:
        self._store = store
        self._items = items
        self._locations = locations
        self._clock = clock

    async def change(self, tenant: str, change: RuleChange) -> RuleVersion:
        """Write a version and its audit entry.

        Raises `Invalid` (``rule.invalid``) with pointers into the terms, `Conflict` (``rule.changed``).
        """
        starts = change.effective_from or self._clock.now()
        await self.check(tenant, change.terms)
        _check_dates(starts, change.effective_until)
        try:
            async with self._store.transaction() as connection:
                version, made_at = await self._write(connection, tenant, change, starts)
        except asyncpg.UniqueViolationError as error:
            raise _changed(change.channel) from error
        return RuleVersion(
            channel=change.channel,
            version=version,
            terms=change.terms,
            effective_from=starts,
            effective_until=change.effective_until,
            business_owner=change.business_owner,
            reason=change.reason,
            made_by=change.actor,
            made_at=made_at,
        )

    async def check(self, tenant: str, terms: ChannelTerms) -> None:
        """Raise `Invalid` (``rule.invalid``) where `terms` make no sense or name what is not here."""
        problems = list(faults(terms))
        known = await self._items.by_id(tenant, list(terms.items)) if terms.items else {}
        for number, (item, own) in enumerate(terms.items.items()):
            if item not in known:
                problems.append(_problem(f"/items/{number}/item", f"there is no item {item}: correct its id"))
            problems += self._unknown_places(tenant, own.locations, f"/items/{number}")
        for at, wide in _wide_terms(terms):
            problems += self._unknown_places(tenant, wide.locations, at)
        problems += self._unknown_places(tenant, terms.locations, "")
        if problems:
            detail = "these terms cannot hold: see errors"
            raise Invalid(detail, code="rule.invalid", problems=problems)

    async def in_force(self, tenant: str, *, after: str | None, limit: int) -> Sequence[RuleVersion]:
        """The version in force of every channel that has one, by channel."""
        rows = await self._store.fetch(_sql.rules_listed, tenant, self._clock.now(), after, limit)
        return [_version_of_row(row) for row in rows]

    async def versions(self, tenant: str, channel: str, *, before: int | None, limit: int) -> Sequence[RuleVersion]:
        """All versions of one channel's rule, the latest first: past, in force and to come."""
        rows = await self._store.fetch(_sql.rule_versions, tenant, channel, before, limit)
        return [_version_of_row(row) for row in rows]

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _write(
        self, connection: Connection, tenant: str, change: RuleChange, starts: datetime
    ) -> tuple[int, datetime]:
        encoded, terms = _encode(change.terms).decode(), change.terms
        more = (change.business_owner, change.reason, change.actor)
        row = await connection.fetchrow(
            _sql.write_rule, tenant, change.channel, starts, change.effective_until, encoded, terms.fences, *more
        )
        version: int = row["version"]
        if change.expected is not None and version != change.expected + 1:
            raise _changed(change.channel)
        await record_audit(
            connection,
            tenant=tenant,
            actor=change.actor,
            action="availability.rule_set",
            subject=f"channel/{change.channel}",
            outcome="done",
            correlation_id=change.correlation_id or f"rule/{change.channel}/{version}",
            detail={
                "version": version,
                "effective_from": starts,
                "effective_until": change.effective_until,
                "reason": change.reason,
                "terms": terms,
            },
        )
        return version, row["made_at"]

    def _unknown_places(self, tenant: str, places: Sequence[LocationTerms], at: str) -> Iterator[Problem]:
        for number, place in enumerate(places):
            if self._locations.by_id(tenant, place.location) is None:
                detail = f"there is no location {place.location}: name one of ours"
                yield _problem(f"{at}/locations/{number}/location", detail)


def faults(terms: ChannelTerms) -> Iterator[Problem]:
    """What makes no sense in `terms` by themselves, with pointers into their form on the wire."""
    yield from _of_figures("", terms)
    for at, wide in _wide_terms(terms):
        yield from _of_figures(at, wide)
    for number, own in enumerate(terms.items.values()):
        yield from _of_figures(f"/items/{number}", own)
        if own.allotment is not None and not _sound(own.allotment.amount):
            yield _problem(f"/items/{number}/allotment/amount", "an allotment is a quantity, zero or more")


def _wide_terms(terms: ChannelTerms) -> Iterator[tuple[str, ItemTerms | ClassTerms]]:
    """The terms of groups and classes, and where they stand in their form on the wire."""
    for number, group in enumerate(terms.groups.values()):
        yield f"/groups/{number}", group
    for number, own in enumerate(terms.classes.values()):
        yield f"/classes/{number}", own
        for inner, group in enumerate(own.groups.values()):
            yield f"/classes/{number}/groups/{inner}", group


def _of_figures(at: str, terms: ChannelTerms | ItemTerms | ClassTerms) -> Iterator[Problem]:
    for name in ("buffer", "protected", "fallback_buffer"):
        figure = getattr(terms, name, None)
        if figure is not None and not _sound(figure):
            yield _problem(f"{at}/{name}", f"{name} is a quantity, zero or more")
    if terms.share is not None and not (_sound(terms.share) and terms.share <= _ONE):
        yield _problem(f"{at}/share", "a share is a part of the pool, from 0 to 1")
    seen = set()
    for number, place in enumerate(terms.locations):
        if not _sound(place.safety_stock):
            yield _problem(f"{at}/locations/{number}/safety_stock", "safety stock is a quantity, zero or more")
        if place.location in seen:
            yield _problem(f"{at}/locations/{number}/location", f"{place.location} is named twice: keep one of them")
        seen.add(place.location)


def _sound(figure: Decimal) -> bool:
    return figure.is_finite() and figure >= 0


def _problem(pointer: str, detail: str) -> Problem:
    return Problem(detail, pointer=f"/terms{pointer}")


def _check_dates(starts: datetime, ends: datetime | None) -> None:
    if ends is not None and ends <= starts:
        detail = "a rule ends after it begins: give a later effective_until, or none"
        raise Invalid(detail, code="rule.invalid", problems=[Problem(detail, pointer="/effective_until")])


def _changed(channel: str) -> Conflict:
    return Conflict(f"somebody else changed the rule of {channel}: read it and try again", code="rule.changed")


def _version_of_row(row: Any) -> RuleVersion:
    rule = rule_of_row(row)
    names = ("effective_from", "effective_until", "business_owner", "reason", "made_by", "made_at")
    return RuleVersion(
        channel=rule.channel, version=rule.version, terms=rule.terms, **{name: row[name] for name in names}
    )
