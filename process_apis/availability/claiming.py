"""Promising stock: decided in the caller's transaction, once per action id.

Locks: the order's row first, then stock lines in their order. What fits is decided after locking, under the rule in
force, or before and proved where it is taken (`optimistic.py`); the CHECK of `stock_line` is the last line of defence
and has never anything to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.kit import KitBook, ResolvesKits
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimOverride, ClaimRequest, Substitution
from gateway.canonical.substitute import ResolvesSubstitutes, Substitute, SubstituteBook
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Rejected
from gateway.store import log
from gateway.store.arrays import array
from gateway.store.audit import record_audit
from gateway.store.queries import queries_beside
from gateway.store.together import Together
from process_apis.availability.actions import ActionRow, action_reused, answered, claims_made, digest
from process_apis.availability.freshness import Heard, Holding, SourceObjectives, certainty
from process_apis.availability.fulfilling import OrderClaims
from process_apis.availability.leaving import Departures
from process_apis.availability.lines import Cause, LineChange, line_events, lock_lines, refresh_lines
from process_apis.availability.lots import dates_at
from process_apis.availability.models import ChannelRule, LineKey, Need
from process_apis.availability.narrowing import for_class
from process_apis.availability.optimistic import NeedsLocks, check_rules, reserve
from process_apis.availability.promising import Promise, Shelf, claim_events
from process_apis.availability.rulebook import Rulebook, fencing_of, open_rule
from process_apis.availability.rules import usable
from process_apis.availability.substituting import Allowed

_sql: Final = queries_beside(__file__)


_decode_heard: Final = msgspec.json.Decoder(dict[str, Heard]).decode
_decode_held: Final = msgspec.json.Decoder(dict[str, Holding]).decode
_decode_versions: Final = msgspec.json.Decoder(dict[str, int]).decode
_decode_actions: Final = msgspec.json.Decoder(list[ActionRow]).decode


class _Asked(msgspec.Struct, kw_only=True, frozen=True):
    """Requests of one tenant that are decided together: of different orders, with different action ids."""

    tenant: str
    requests: Sequence[ClaimRequest]
    orders: Sequence[str]
    channels: Sequence[str]
    items: Sequence[str]
    book: KitBook
    stand_ins: SubstituteBook | None
    now: datetime


class _Heads(msgspec.Struct, kw_only=True):
    """What the record says of orders, actions and rules, read behind the locks of the orders."""

    rules: Mapping[str, ChannelRule]
    own_rules: Sequence[ChannelRule]
    fencing: Sequence[ChannelRule]
    versions: Mapping[str, int]
    earlier: Mapping[str, ActionRow]
    made_before: Mapping[str, ClaimedLine]
    cancelled: Sequence[str]
    handled: Sequence[str]
    dates_lots: bool
    at: datetime


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
        heads = await self._heads(connection, asked, shelf)
        if any(rule.terms.fallback != "serve" for rule in heads.own_rules):
            heads.rules = await self._in_doubt(connection, tenant, heads.rules, asked.now)
        answers, promises = _decide(asked, heads, shelf)
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

    async def claim_unlocked(
        self, connection: Connection, *, tenant: str, requests: Sequence[ClaimRequest]
    ) -> Sequence[Sequence[ClaimedLine]]:
        """As `claim_all`, of plain requests (`is_plain`), and all is written; stock lines are locked last.

        Raises `NeedsLocks` where one of `requests` would be refused, or has to be decided behind locks.
        """
        asked = await self._asked(connection, tenant, requests)
        if asked.book.among(asked.items):
            raise NeedsLocks
        shelf = await Shelf.read(connection, tenant, asked.orders, asked.items, self._departures)
        heads = await self._heads(connection, asked, shelf)
        if heads.dates_lots or heads.handled:
            raise NeedsLocks
        check_rules([*heads.own_rules, *heads.fencing])
        answers, promises = _decide(asked, heads, shelf)
        made = [answer for answer in answers if not isinstance(answer, Conflict)]
        if len(made) < len(answers):
            raise NeedsLocks
        if promises:
            writes = Together()
            shelf.write_claims(writes, promises, asked.now)
            writes.tell(claim_events(tenant, promises, asked.now))
            await writes.run(connection)
            await reserve(connection, tenant, shelf, promises, asked.now)
        return made

    async def _asked(self, connection: Connection, tenant: str, requests: Sequence[ClaimRequest]) -> _Asked:
        for request in requests:
            check_lines(request.lines)
        book = await self._kits.book(tenant, connection)
        stand_ins = await self._stand_ins(connection, tenant, requests)
        return _Asked(
            tenant=tenant,
            requests=requests,
            orders=sorted(request.order for request in requests),
            channels=sorted({each.channel for each in requests}),
            items=sorted(book.with_components(_named(requests, stand_ins, book))),
            book=book,
            stand_ins=stand_ins,
            now=self._clock.now(),
        )

    async def _heads(self, connection: Connection, asked: _Asked, shelf: Shelf) -> _Heads:
        """What stands behind the locks of the orders; `shelf` is told what channels hold, and its lots."""
        tenant = asked.tenant
        names = ([each.action for each in asked.requests], asked.orders, asked.channels, asked.items)
        head = await connection.fetchrow(_sql.claim_heads, tenant, *map(array, names), asked.now)
        rules = await self._rulebook.of_heads(connection, tenant, head["rules"])
        shelf.count(head, dates_at(self._locations, tenant, asked.now))
        earlier = {row.action: row for row in _decode_actions(head["actions"])}
        return _Heads(
            rules=rules,
            own_rules=[rules[channel] for channel in asked.channels if channel in rules],
            fencing=fencing_of(rules),
            versions=_decode_versions(head["versions"]),
            earlier=earlier,
            made_before=await claims_made(connection, tenant, earlier.values()) if earlier else {},
            cancelled=head["cancelled"] or (),
            handled=head["handled"],
            dates_lots=head["lots"] is not None,
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


def _decide(asked: _Asked, heads: _Heads, shelf: Shelf) -> tuple[list[Sequence[ClaimedLine] | Conflict], list[Promise]]:
    """What each request is answered, one after the other, and what is to be written for it."""
    answers: list[Sequence[ClaimedLine] | Conflict] = []
    promises: list[Promise] = []
    for request in asked.requests:
        needs = [Need(line.line, line.item, line.amount, line.location) for line in sorted(request.lines, key=_number)]
        content = digest("claim", request.order, request.channel, _said(request, needs))
        try:
            if (known := heads.earlier.get(request.action)) is not None:
                answers.append(answered(known, content, heads.made_before))
                continue
            check_open(request.order, heads.cancelled)
            rule = for_class(heads.rules.get(request.channel) or open_rule(request.channel), request.customer_class)
            policies = _policies(request, rule, asked.stand_ins, asked.book)
            made = shelf.promise(request, rule, heads.fencing, needs, asked.now, *policies)
        except Conflict as refusal:
            answers.append(refusal)
            continue
        ends = request.expires_at if request.expires_in is None else heads.at + request.expires_in
        promises.append(Promise(request, rule, made, content, heads.versions[request.order], ends))
        answers.append(made)
    return answers, promises


def _named(requests: Sequence[ClaimRequest], stand_ins: SubstituteBook | None, book: KitBook) -> set[str]:
    """The items of all lines, and what may stand in for them."""
    items = {line.item for request in requests for line in request.lines}
    if stand_ins is None:
        return items
    lines = [(request.channel, line) for request in requests for line in request.lines if line.substitution != "none"]
    may = {each.item for channel, line in lines for each in stand_ins.of(line.item, channel)}
    return items | {item for item in may if item not in book.kits}


def _policies(
    request: ClaimRequest, rule: ChannelRule, stand_ins: SubstituteBook | None, book: KitBook
) -> tuple[Allowed, Allowed]:
    """What may stand in for which line, and what is only told of; kits do neither."""
    if stand_ins is None:
        return {}, {}
    found: dict[Substitution, dict[int, Sequence[Substitute]]] = {"none": {}, "offer": {}, "accept": {}}
    for line in request.lines:
        if line.item not in book.kits:
            may = [each for each in stand_ins.of(line.item, request.channel) if each.item not in book.kits]
            found[line.substitution or rule.terms.substitution][line.line] = may
    return found["accept"], found["offer"]


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


def check_lines(lines: Sequence[ClaimLine]) -> None:
    """Raise `Rejected` for lines that no order can have."""
    if len({line.line for line in lines}) != len(lines):
        raise Rejected("a line number is used twice: number the lines of an order", code="claim.line_repeated")
    for line in lines:
        if not line.amount.is_finite() or line.amount <= 0:
            raise Rejected(f"line {line.line} claims {line.amount}: claim more than zero", code="claim.amount_invalid")


def check_open(order: str, cancelled: Sequence[str]) -> None:
    """Raise `Conflict` (``claim.order_cancelled``) where `order` is among them."""
    if order in cancelled:
        raise Conflict(f"order {order} was cancelled: claim for a new one", code="claim.order_cancelled")


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


def _said(request: ClaimRequest, needs: Sequence[Need]) -> object:
    named = [line.substitution for line in sorted(request.lines, key=_number)]
    if request.customer_class is not None or any(each != "none" for each in named):
        return [request.fill, needs, named, request.customer_class]
    return needs if request.fill == "complete" else [request.fill, needs]


def _number(line: ClaimLine) -> int:
    return line.line
