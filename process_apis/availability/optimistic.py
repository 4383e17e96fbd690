"""Promising stock without waiting for others: decided on what is read unlocked, proved by the statement that takes it.

A batch that is decided behind the locks of its stock lines keeps every other process waiting while it is decided and
its claims are written; two batches nearly always share a line. Here everything is read as of one moment and nothing is
locked. What is refused then was refused at that moment, and costs no more than the reading. What is promised is taken
by a statement that takes nothing of a line that has not what it needs any more; the requests that it fails, and nobody
else of the batch, are decided anew. So only that may be decided like this what a stock line can prove by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimedLine, ClaimRequest
from gateway.kernel.errors import Conflict
from gateway.store.arrays import array, column_arrays
from gateway.store.queries import queries_beside
from gateway.store.together import Together
from process_apis.availability.deciding import Asked, Heads, decide
from process_apis.availability.models import ChannelRule, LineKey
from process_apis.availability.promising import (
    INSERT_CLAIMS,
    CounterKey,
    Promise,
    Shelf,
    claim_columns,
    claim_events,
    counter_sums,
    write_actions,
)
from process_apis.availability.rules import available, usable

_sql: Final = queries_beside(__file__, "optimistic_queries.sql")
_ZERO: Final = Decimal(0)
_decode_lines: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_versions: Final = msgspec.json.Decoder(dict[str, int]).decode
LOOK: Final = _sql.look
"""Of a tenant: action ids, orders, channels, items, now."""
_TAKE: Final = f"with made as (\n{INSERT_CLAIMS}\nreturning 1\n),\n{_sql.take}"


class Undecided(Enum):
    """What becomes of a request that has neither its promise nor its refusal yet."""

    AGAIN = "others took what it was decided on: to be decided anew, on what is there by then"
    LOCKS = "a stock line alone cannot prove it: to be decided behind locks"


Answer = Sequence[ClaimedLine] | Conflict | Undecided


class Unlocked:
    """Requests decided on what was read. Promises among `answers` hold once `take` was committed."""

    def __init__(self, asked: Asked, shelf: Shelf, answers: dict[str, Answer], promises: list[Promise]) -> None:
        self._asked = asked
        self._shelf = shelf
        self._by_order = answers
        self._promises = promises

    @property
    def answers(self) -> list[Answer]:
        """One for each request, in their order."""
        return [self._by_order[request.order] for request in self._asked.requests]

    @property
    def is_to_take(self) -> bool:
        """Whether anything was promised that has to be taken."""
        return bool(self._promises)

    async def take(self, connection: Connection) -> None:
        """Write claims, lock orders and lines, take what is still there: in one statement. Write the rest in another.

        The answers of requests that it was not there for become `Undecided`, and nothing of them is left behind.
        Claims are written before others wait for these lines.
        """
        tenant, now, shelf = self._asked.tenant, self._asked.now, self._shelf
        asked_for, sums = dict(shelf.taken), counter_sums(self._promises)
        kept = _kept(self._promises)
        keys = sorted(asked_for)
        rows = [(*key, asked_for[key], asked_for[key] + kept.get(key, _ZERO), shelf.line(key).version) for key in keys]
        counters = [(*counter[:3], amount) for counter, amount in sums.items()]
        orders = array(sorted(promise.request.order for promise in self._promises))
        found = await connection.fetchrow(
            _TAKE, tenant, now, *claim_columns(self._promises), orders, *column_arrays(rows), *column_arrays(counters)
        )
        taken = set(keys) if found["taken"] is None else {keys[number - 1] for number in found["taken"]}
        changed = _decode_lines(found["lines"] or "[]")
        shelf.amend(changed, found)
        dated = await self._dated(connection, changed)
        versions = _decode_versions(found["versions"])
        whole = len(taken) == len(keys) and not dated

        def stands(promise: Promise) -> bool:
            unmoved = versions[promise.request.order] == promise.version
            return unmoved and (whole or all(key in taken and key.item not in dated for key in promise.keys))

        if lost := [promise for promise in self._promises if not stands(promise)]:
            self._drop(lost, Undecided.AGAIN)
            sums = await self._give_back(connection, lost, {key: asked_for[key] for key in taken}, sums)
        if self._promises:
            told = Together()
            write_actions(told, tenant, self._promises)
            told.tell(claim_events(tenant, self._promises, now))
            shelf.tell(told, sums, now)
            await told.run(connection)

    async def _dated(self, connection: Connection, changed: Iterable[Mapping[str, Any]]) -> Collection[str]:
        """Items of which goods moved since they were read, and a lot has a last day that was not looked at."""
        moved = {row["item"] for row in changed if Decimal(row["sellable"]) != self._shelf.line(_key(row)).sellable}
        return await connection.fetchval(_sql.with_lots, self._asked.tenant, array(sorted(moved))) if moved else ()

    def _drop(self, promises: Collection[Promise], instead: Undecided) -> None:
        """`promises` are none: nothing of them is taken."""
        dropped = {promise.request.order for promise in promises}
        self._by_order.update(dict.fromkeys(dropped, instead))
        self._promises = [promise for promise in self._promises if promise.request.order not in dropped]
        self._shelf.settle(self._promises)

    async def _give_back(
        self,
        connection: Connection,
        lost: Sequence[Promise],
        taken: Mapping[LineKey, Decimal],
        raised: Mapping[CounterKey, Decimal],
    ) -> Mapping[CounterKey, Decimal]:
        """Undo what was written, `taken` and `raised` for those that are `lost`; returns what counters stay up by."""
        keep, sums = self._shelf.taken, counter_sums(self._promises)
        lines = [
            (*key, amount - keep.get(key, _ZERO), key not in keep)
            for key, amount in taken.items()
            if amount != keep.get(key)
        ]
        counters = [
            (*counter[:3], amount - sums.get(counter, _ZERO), counter not in sums)
            for counter, amount in raised.items()
            if amount != sums.get(counter)
        ]
        orders = array([promise.request.order for promise in lost])
        claims = array([claim.claim for promise in lost for claim in promise.made])
        columns = column_arrays(lines) if lines else ["{}"] * 5
        found = await connection.fetchrow(
            _sql.give_back, self._asked.tenant, orders, *columns, *column_arrays(counters), claims
        )
        self._shelf.amend((), found)
        return sums

    def leave_unprovable(self) -> None:
        """Leave to locks what stands on a line that has less than the rule keeps back: other places make up for it."""
        kept = _kept(self._promises)
        thin = {key for key, least in kept.items() if available(self._shelf.line(key)) < least}
        if thin:
            self._drop([each for each in self._promises if not thin.isdisjoint(each.keys)], Undecided.LOCKS)


def decide_unlocked(asked: Asked, heads: Heads, shelf: Shelf) -> Unlocked:
    """Decide on what was read of one moment, one request after the other."""
    further = _looking_further(asked, heads)
    plain = [request for request in asked.requests if request.order not in further]
    answers: dict[str, Answer] = dict.fromkeys(further, Undecided.LOCKS)
    found, promises = decide(asked.only(plain), heads, shelf)
    for request, answer in zip(plain, found, strict=True):
        answers[request.order] = answer
        if isinstance(answer, Conflict) and _leans(request, shelf):
            answers[request.order] = _refused_alone(asked.only([request]), heads, shelf)
    unlocked = Unlocked(asked, shelf, answers, promises)
    unlocked.leave_unprovable()
    return unlocked


def is_plain(request: ClaimRequest) -> bool:
    """Whether a request says no more than which stock it wants, all of it, under its channel's rule."""
    return (
        request.override is None
        and request.fill == "complete"
        and all(line.substitution == "none" for line in request.lines)
    )


def looks_further(rule: ChannelRule) -> bool:
    """Whether a rule looks at more than the stock line itself: at counters, other channels, doubts."""
    terms = rule.terms
    return bool(rule.fences or terms.fallback != "serve" or terms.share is not None or terms.items or rule.by_class)


def _looking_further(asked: Asked, heads: Heads) -> set[str]:
    """The orders of requests that have to be decided behind locks."""
    if heads.fencing:
        return set(asked.orders)
    channels = {rule.channel for rule in heads.own_rules if looks_further(rule)}
    special = {*asked.book.among(asked.items), *heads.with_lots}
    return {
        request.order
        for request in asked.requests
        if not is_plain(request)
        or request.channel in channels
        or request.order in heads.handled
        or not special.isdisjoint(line.item for line in request.lines)
    }


def _leans(request: ClaimRequest, shelf: Shelf) -> bool:
    """Whether it may be refused for what others of the batch, who have nothing yet, are promised."""
    promised = {key.item for key in shelf.taken}
    return any(line.item in promised for line in request.lines)


def _refused_alone(asked: Asked, heads: Heads, shelf: Shelf) -> Answer:
    """The refusal of a request that what was read had not enough for, whatever others of the batch are promised."""
    items = {line.item for request in asked.requests for line in request.lines}
    [answer], _ = decide(asked, heads, shelf.as_read(items))
    return answer if isinstance(answer, Conflict) else Undecided.AGAIN


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


def _key(row: Mapping[str, Any]) -> LineKey:
    return LineKey(row["item"], row["location"], row["owner"])
