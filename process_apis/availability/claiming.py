"""Promising stock: decided in the caller's transaction, once per action id.

Locks: the order's row first, then stock lines in their order. What fits is decided after locking, under the rule in
force, or before and proved where it is taken (`optimistic.py`); the CHECK of `stock_line` is the last line of defence
and has never anything to do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.kit import KitBook, ResolvesKits
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimOverride, ClaimRequest
from gateway.canonical.substitute import ResolvesSubstitutes, SubstituteBook
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict
from gateway.store import log
from gateway.store.arrays import array
from gateway.store.audit import record_audit
from gateway.store.queries import queries_beside
from gateway.store.together import Together
from process_apis.availability.actions import ActionRow, action_reused, claims_made
from process_apis.availability.deciding import Asked, Heads, check_lines, decide
from process_apis.availability.freshness import Heard, Holding, SourceObjectives, certainty
from process_apis.availability.fulfilling import OrderClaims
from process_apis.availability.leaving import Departures
from process_apis.availability.lines import Cause, LineChange, line_events, lock_lines, refresh_lines
from process_apis.availability.lots import dates_at
from process_apis.availability.models import ChannelRule, LineKey
from process_apis.availability.optimistic import LOOK, Unlocked, decide_unlocked
from process_apis.availability.promising import Shelf, claim_events
from process_apis.availability.rulebook import Rulebook, fencing_of
from process_apis.availability.rules import usable

_sql: Final = queries_beside(__file__)


_decode_heard: Final = msgspec.json.Decoder(dict[str, Heard]).decode
_decode_held: Final = msgspec.json.Decoder(dict[str, Holding]).decode
_decode_versions: Final = msgspec.json.Decoder(dict[str, int]).decode
_decode_actions: Final = msgspec.json.Decoder(list[ActionRow]).decode


class Claimer:
    """Implements `ClaimsStock`."""

    def __init__(
        self,
        locations: LocationMap,
        clock: Clock,
        freshness: Mapping[str, SourceObjectives],
        rulebook: Rulebook,
        kits: ResolvesKits,
        departures: Departures,
        substitutes: ResolvesSubstitutes,
    ) -> None:
        self._locations = locations
        self._departures = departures
        self._substitutes = substitutes
        self._kits = kits
        self._rulebook = rulebook
        self._clock = clock
        self._freshness = freshness

    async def claim(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        channel: str,
        lines: Sequence[ClaimLine],
        correlation_id: str,
        expires_at: datetime | None = None,
    ) -> Sequence[ClaimedLine]:
        """Promise all `lines` or none: `claim_all` for one order, raising what it would return."""
        request = ClaimRequest(
            action=action,
            order=order,
            channel=channel,
            lines=lines,
            correlation_id=correlation_id,
            expires_at=expires_at,
        )
        writes = Together()
        [answer] = await self.claim_all(connection, tenant=tenant, requests=[request], writes=writes)
        if isinstance(answer, Conflict):
            raise answer
        try:
            await writes.run(connection)
        except asyncpg.UniqueViolationError as error:
            raise action_reused(action) from error
        return answer

    async def claim_all(
        self, connection: Connection, *, tenant: str, requests: Sequence[ClaimRequest], writes: GathersWrites
    ) -> Sequence[Sequence[ClaimedLine] | Conflict]:
        """Promise to different orders, each all of its lines or none, in two round trips and what runs `writes`.

        They are decided one after the other, as if each had come alone. In the place of one that cannot be promised
        stands its `Conflict`: ``stock.insufficient`` with ``context["lines"]``, ``claim.action_reused``, or
        ``claim.order_cancelled``.
        Running `writes` raises UniqueViolationError when two transactions used one action id at once for two orders.
        """
        asked = await self._asked(connection, tenant, requests)
        shelf = await Shelf.lock(
            connection, tenant, asked.orders, asked.items, self._departures, asked.book.among(asked.items)
        )
        head = await connection.fetchrow(_sql.claim_heads, tenant, *_named_in(asked), asked.now)
        shelf.count(head, dates_at(self._locations, tenant, asked.now))
        heads = await self._heads(connection, asked, head)
        if any(rule.terms.fallback != "serve" for rule in heads.own_rules):
            heads.rules = await self._in_doubt(connection, tenant, heads.rules, asked.now)
        answers, promises = decide(asked, heads, shelf)
        late = [each.request.order for each in promises if each.request.order in heads.handled]
        if promises:
            first = Together()
            shelf.write(first if late else writes, promises, asked.now)
            (first if late else writes).tell(claim_events(tenant, promises, asked.now))
            await first.run(connection)
        for order in late:
            await catch_up(connection, tenant, order, asked.now)
        _forget_refused(tenant, requests, answers, writes)
        for each in promises:
            if each.request.override is not None:
                await _audit(connection, tenant, each.request, each.request.override)
        return answers

    async def decide_unlocked(
        self, connection: Connection, *, tenant: str, requests: Sequence[ClaimRequest]
    ) -> Unlocked:
        """What `requests` are answered by what stands now: one round trip, no locks; see `optimistic.py`."""
        asked = await self._asked(connection, tenant, requests)
        look = await connection.fetchrow(LOOK, tenant, *_named_in(asked), asked.now)
        shelf = Shelf.of_look(tenant, look, self._departures)
        heads = await self._heads(connection, asked, look, with_lots=look["with_lots"])
        known = heads.versions
        heads.versions = {order: known.get(order, 0) + 2 for order in asked.orders}
        return decide_unlocked(asked, heads, shelf)

    async def _asked(self, connection: Connection, tenant: str, requests: Sequence[ClaimRequest]) -> Asked:
        for request in requests:
            check_lines(request.lines)
        book = await self._kits.book(tenant, connection)
        stand_ins = await self._stand_ins(connection, tenant, requests)
        return Asked(
            tenant=tenant,
            requests=requests,
            orders=sorted(request.order for request in requests),
            channels=sorted({each.channel for each in requests}),
            items=sorted(book.with_components(_named(requests, stand_ins, book))),
            book=book,
            stand_ins=stand_ins,
            now=self._clock.now(),
        )

    async def _heads(
        self, connection: Connection, asked: Asked, head: Mapping[str, Any], *, with_lots: Collection[str] = ()
    ) -> Heads:
        rules = await self._rulebook.of_heads(connection, asked.tenant, head["rules"])
        earlier = {row.action: row for row in _decode_actions(head["actions"])}
        return Heads(
            rules=rules,
            own_rules=[rules[channel] for channel in asked.channels if channel in rules],
            fencing=fencing_of(rules),
            versions=_decode_versions(head["versions"] or "{}"),
            earlier=earlier,
            made_before=await claims_made(connection, asked.tenant, earlier.values()) if earlier else {},
            cancelled=head["cancelled"] or (),
            handled=head["handled"],
            with_lots=with_lots,
            at=head["at"],
        )

    async def _stand_ins(
        self, connection: Connection, tenant: str, requests: Sequence[ClaimRequest]
    ) -> SubstituteBook | None:
        if all(line.substitution == "none" for request in requests for line in request.lines):
            return None
        return await self._substitutes.book(tenant, connection)

    async def check_no_kits(self, tenant: str, lines: Sequence[ClaimLine]) -> None:
        """Raise `Conflict` (``claim.kit_dated``) for lines that would have to be made of components to come."""
        book = await self._kits.book(tenant)
        if kits := book.among(line.item for line in lines):
            numbers = ", ".join(str(line.line) for line in lines if line.item in kits)
            raise Conflict(
                f"line {numbers} is of a kit, which is promised from what is there: claim it without a date, or its "
                "components for the date",
                code="claim.kit_dated",
            )

    async def _in_doubt(
        self, connection: Connection, tenant: str, rules: Mapping[str, ChannelRule], now: datetime
    ) -> Mapping[str, ChannelRule]:
        """The rules with what is in doubt now, by the same reckoning as in answers."""
        row = await connection.fetchrow(_sql.doubts, tenant)
        heard, held = _decode_heard(row["heard"]), _decode_held(row["held"])

        def doubting(rule: ChannelRule) -> ChannelRule:
            places = (place for place in self._locations.of(tenant) if usable(place.location, rule.terms) is not None)
            doubtful = certainty(places, self._freshness, heard, now, held).doubtful
            return msgspec.structs.replace(rule, doubtful=doubtful)

        return {channel: doubting(rule) for channel, rule in rules.items()}


def _named(requests: Sequence[ClaimRequest], stand_ins: SubstituteBook | None, book: KitBook) -> set[str]:
    """The items of all lines, and what may stand in for them."""
    items = {line.item for request in requests for line in request.lines}
    if stand_ins is None:
        return items
    lines = [(request.channel, line) for request in requests for line in request.lines if line.substitution != "none"]
    may = {each.item for channel, line in lines for each in stand_ins.of(line.item, channel)}
    return items | {item for item in may if item not in book.kits}


def _named_in(asked: Asked) -> list[str]:
    actions = [each.action for each in asked.requests]
    return [array(names) for names in (actions, asked.orders, asked.channels, asked.items)]


async def catch_up(connection: Connection, tenant: str, order: str, now: datetime) -> None:
    """Picks or shipments of this order came before its claim: they waited, and consume it now."""
    claims = await OrderClaims.lock(connection, tenant, [order])
    if ahead := {claim.key for claim in claims.claims if claim.state == "promised"}:
        await lock_lines(connection, tenant, ahead)
        await claims.look_again(connection, tenant)
    changes: dict[LineKey, LineChange] = {}
    events = await claims.consume(connection, tenant, None, changes, now)
    rows = await refresh_lines(connection, tenant, changes)
    await log.append(connection, [*line_events(tenant, rows, now, {}, Cause(order), changes), *events])


def _forget_refused(
    tenant: str, requests: Sequence[ClaimRequest], answers: Sequence[object], writes: GathersWrites
) -> None:
    both = zip(requests, answers, strict=True)
    refused = [request.order for request, answer in both if isinstance(answer, Conflict)]
    if refused:
        # Only rows that this transaction made: version 2 is the first that a lock gives.
        writes.add(_sql.forget_orders, tenant, array(refused))


async def _audit(connection: Connection, tenant: str, request: ClaimRequest, override: ClaimOverride) -> None:
    await record_audit(
        connection,
        tenant=tenant,
        actor=override.actor,
        action="availability.claim_override",
        subject=request.order,
        outcome="done",
        correlation_id=request.correlation_id,
        detail={"reason": override.reason, "channel": request.channel, "lines": request.lines},
    )
