"""The dry run of a rule: which figures it would change, and by how much, before anybody sells by it."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.location import LocationMap
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.lines import line_of_row
from process_apis.availability.lots import dates_at, lots_of, with_lots
from process_apis.availability.models import ChannelRule, ChannelTerms, Held, StockLine
from process_apis.availability.rulebook import Rulebook, fencing_of, open_rule
from process_apis.availability.selling import Holdings, sellable

_sql: Final = queries_beside(__file__)
_rules: Final = queries_beside(__file__, "rules.sql")
_PAGE: Final = 500
_MOST: Final = 100_000
OTHERS: Final = ""
"""Stands for every channel without a rule of its own."""


class FigureChange(Struct, frozen=True):
    """What `channel` may sell of `item`, before and after; an empty channel is every one without a rule."""

    item: str
    channel: str
    before: Decimal
    after: Decimal


class Preview(Struct, frozen=True, kw_only=True):
    """The largest `changes` first. `complete` is false where there are more items than a preview looks at.

    `replaces` is the version that would be replaced, 0 where there is none.
    """

    replaces: int
    at: datetime
    items: int
    changed: int
    gained: Decimal
    lost: Decimal
    complete: bool
    changes: Sequence[FigureChange]


class Sides(Struct, frozen=True):
    """The rules by channel, and those of them that fence, as they are and as they would be."""

    channels: Sequence[str]
    before: tuple[Mapping[str, ChannelRule], Sequence[ChannelRule]]
    after: tuple[Mapping[str, ChannelRule], Sequence[ChannelRule]]


def sides(rules: Mapping[str, ChannelRule], channel: str, terms: ChannelTerms) -> Sides:
    """Other channels are compared too where this one keeps, or would keep, something from them."""
    new = ChannelRule(channel=channel, version=0, terms=terms, fences=terms.fences)
    after = {**rules, channel: new}
    concerned = new.fences or (channel in rules and rules[channel].fences)
    others = sorted((rules.keys() | {OTHERS}) - {channel}) if concerned else []
    return Sides([channel, *others], (rules, fencing_of(rules)), (after, fencing_of(after)))


def differences(item: str, lines: Sequence[StockLine], held: Holdings, both: Sides) -> Iterator[FigureChange]:
    """What changes of one item, by the same decision as answers and claims. Pure."""
    for channel in both.channels:
        was, will = (
            sellable(item, lines, rules.get(channel) or open_rule(channel), fencing, held)
            for rules, fencing in (both.before, both.after)
        )
        if was != will:
            yield FigureChange(item, channel, was, will)


class Previewer:
    """Runs previews over the record, a page of items at a time; silent sources are taken as heard."""

    def __init__(self, store: Store, rulebook: Rulebook, locations: LocationMap, clock: Clock) -> None:
        self._store = store
        self._locations = locations
        self._rulebook = rulebook
        self._clock = clock

    async def preview(
        self, tenant: str, channel: str, terms: ChannelTerms, *, at: datetime | None, offset: int, limit: int
    ) -> Preview:
        """Compare `terms` with what is in force for `channel` at `at` (now, if None)."""
        instant = at or self._clock.now()
        async with self._store.connection() as connection:
            rules = await self._rulebook.in_force(connection, tenant, instant)
            wanted = ChannelRule(channel=channel, version=0, terms=terms)
            terms = (await self._rulebook.narrow(connection, tenant, wanted)).terms
        both = sides(rules, channel, terms)
        found: list[FigureChange] = []
        only = _only(rules.get(channel), terms)
        after, items, complete = "", 0, False
        while items < _MOST:
            async with self._store.connection() as connection:
                page = await connection.fetch(_rules.stocked_items, tenant, after, _PAGE, only)
                names = [row["item"] for row in page]
                found += await _of_page(connection, tenant, names, both, dates_at(self._locations, tenant, instant))
            items += len(names)
            if len(names) < _PAGE:
                complete = True
                break
            after = names[-1]
            await asyncio.sleep(0)
        largest = heapq.nsmallest(offset + limit, found, key=_largest)[offset:]
        return Preview(
            replaces=rules[channel].version if channel in rules else 0,
            at=instant,
            items=items,
            changed=len({change.item for change in found}),
            gained=sum((max(each.after - each.before, Decimal(0)) for each in found), Decimal(0)),
            lost=sum((max(each.before - each.after, Decimal(0)) for each in found), Decimal(0)),
            complete=complete,
            changes=largest,
        )


async def _of_page(
    connection: Connection, tenant: str, items: Sequence[str], both: Sides, today: Callable[[str], date]
) -> list[FigureChange]:
    lines: dict[str, list[StockLine]] = defaultdict(list)
    held: dict[str, dict[tuple[str, str], Held]] = defaultdict(dict)
    for row in await connection.fetch(_sql.lines_of_items, tenant, list(items)):
        lines[row["item"]].append(line_of_row(row))
    for row in await connection.fetch(_sql.channels_of_items, tenant, list(items)):
        held[row["item"]][row["channel"], row["owner"]] = _held(row)
    lots = await lots_of(connection, tenant, items)
    lines |= {item: with_lots(lines[item], lots, today) for item in {lot.item for lot in lots}}
    return [change for item in items for change in differences(item, lines[item], held[item], both)]


def _held(row: Any) -> Held:
    return Held(row["open"], row["version"], row["allotment"], row["drawn"])


def _only(before: ChannelRule | None, terms: ChannelTerms) -> list[str] | None:
    """The items that can change at all: those whose own terms differ, where nothing else does."""
    was = ChannelTerms() if before is None else before.terms
    names = [name for name in ChannelTerms.__struct_fields__ if name not in ("items", "groups", "classes")]
    if any(getattr(was, name) != getattr(terms, name) for name in names):
        return None
    both = was.items.keys() | terms.items.keys()
    return sorted(item for item in both if was.items.get(item) != terms.items.get(item))


def _largest(change: FigureChange) -> tuple[Decimal, str, str]:
    return (-abs(change.after - change.before), change.item, change.channel)
