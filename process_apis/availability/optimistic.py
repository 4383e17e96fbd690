"""Promising stock where there is plenty: decided on what is read unlocked, proved by the statement that takes it.

A batch that is decided behind the locks of its stock lines keeps every other process waiting while it is decided and
its claims are written; two batches nearly always share a line. Here they are locked last, by the statement that takes
from them. It takes nothing unless each line still has what the decision rests on; if one has not, all of it is undone,
and decided again behind locks. So only that may be decided like this what promises of others cannot make wrong while
there is that much left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimRequest
from gateway.store.arrays import array, column_arrays
from gateway.store.queries import queries_beside
from gateway.store.together import Together
from process_apis.availability.models import ChannelRule, LineKey
from process_apis.availability.promising import Promise, Shelf, counter_sums
from process_apis.availability.rules import available, usable

_sql: Final = queries_beside(__file__, "optimistic_queries.sql")
_ZERO: Final = Decimal(0)
_decode_lines: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


class NeedsLocks(Exception):
    """This has to be decided behind the locks of its stock lines. Nothing of the transaction may hold."""


def is_plain(request: ClaimRequest) -> bool:
    """Whether a request says no more than which stock it wants, all of it, under its channel's rule."""
    return (
        request.override is None
        and request.fill == "complete"
        and all(line.substitution == "none" for line in request.lines)
    )


def check_rules(rules: Iterable[ChannelRule]) -> None:
    """Raise `NeedsLocks` where a rule looks at more than the stock line itself: at counters, other channels, doubts."""
    for rule in rules:
        terms = rule.terms
        if rule.fences or terms.fallback != "serve" or terms.share is not None or terms.items or rule.by_class:
            raise NeedsLocks


async def reserve(
    connection: Connection, tenant: str, shelf: Shelf, promises: Sequence[Promise], now: datetime
) -> None:
    """Take what `promises` took of a `shelf` that is not locked, and tell the log of its lines.

    The last of the transaction, after the claims themselves. Raises `NeedsLocks` where not all of it is there any more,
    or so little that the next batch beside this one might take it.
    """
    kept = _kept(promises)
    rows = []
    for key, taken in sorted(shelf.taken.items()):
        line, needed = shelf.line(key), taken + kept.get(key, _ZERO)
        if available(line) < needed:  # what was taken is off it: as much again has to be left
            raise NeedsLocks
        rows.append((*key, taken, needed, line.version))
    sums = counter_sums(promises)
    counters = column_arrays([(*counter[:3], amount) for counter, amount in sums.items()])
    found = await connection.fetchrow(_sql.reserve, tenant, *column_arrays(rows), *counters)
    if found["taken"] < len(rows):
        raise NeedsLocks
    changed = _decode_lines(found["lines"] or "[]")
    moved = {row["item"] for row in changed if Decimal(row["sellable"]) != shelf.line(_key(row)).sellable}
    if moved and await connection.fetchval(_sql.any_lots, tenant, array(sorted(moved))):
        raise NeedsLocks  # what came in may be of a lot that this channel may not sell
    shelf.amend(changed, found)
    told = Together()
    shelf.tell(told, sums, now)
    await told.run(connection)


def _key(row: Mapping[str, Any]) -> LineKey:
    return LineKey(row["item"], row["location"], row["owner"])


def _kept(promises: Sequence[Promise]) -> Mapping[LineKey, Decimal]:
    """What has to be left at each line: the most that any of its channels keeps back there.

    A buffer is kept of an item, wherever that lies: to keep it at this line is enough.
    """
    kept: dict[LineKey, Decimal] = {}
    for promise in promises:
        terms = promise.rule.terms
        if not terms.buffer and not terms.locations:
            continue
        for key in promise.keys:
            place = usable(key.location, terms)
            least = terms.buffer + (_ZERO if place is None else place.safety_stock)
            kept[key] = max(least, kept.get(key, _ZERO))
    return kept
