"""Promising stock: decided in the caller's transaction, once per action id.

Locks: the order's row first, then stock lines in their order. What fits is decided after locking, under the rule in
force; the CHECK of `stock_line` is the last line of defence and has never anything to do.
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
from process_apis.availability.promising import Promise, Shelf, claim_events
from process_apis.availability.rulebook import Rulebook, fencing_of, open_rule
from process_apis.availability.rules import usable
from process_apis.availability.substituting import Allowed

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
        for request in requests:
            check_lines(request.lines)
        orders = sorted(request.order for request in requests)
        book = await self._kits.book(tenant, connection)
        stand_ins = await self._stand_ins(connection, tenant, requests)
        items = sorted(book.with_components(_named(requests, stand_ins, book)))
        shelf = await Shelf.lock(connection, tenant, orders, items, self._departures, book.among(items))
        actions, channels = [each.action for each in requests], sorted({each.channel for each in requests})
        asked = [array(names) for names in (actions, orders, channels, items)]
        now = self._clock.now()
        head = await connection.fetchrow(_sql.claim_heads, tenant, *asked, now)
        rules = await self._rulebook.of_heads(connection, tenant, head["rules"])
        fencing = fencing_of(rules)
        shelf.count(head, dates_at(self._locations, tenant, now))
        versions = _decode_versions(head["versions"])
        earlier = {row.action: row for row in _decode_actions(head["actions"])}
        made_before = await claims_made(connection, tenant, earlier.values()) if earlier else {}
        if any(rules[channel].terms.fallback != "serve" for channel in channels if channel in rules):
            rules = await self._in_doubt(connection, tenant, rules, now)
        answers: list[Sequence[ClaimedLine] | Conflict] = []
        promises: list[Promise] = []
        for request in requests:
            needs = [
                Need(line.line, line.item, line.amount, line.location) for line in sorted(request.lines, key=_number)
            ]
            content = digest("claim", request.order, request.channel, _asked(request, needs))
            try:
                if (known := earlier.get(request.action)) is not None:
                    answers.append(answered(known, content, made_before))
                    continue
                check_open(request.order, head["cancelled"] or ())
                rule = for_class(rules.get(request.channel) or open_rule(request.channel), request.customer_class)
                policies = _policies(request, rule, stand_ins, book)
                made = shelf.promise(request, rule, fencing, needs, now, *policies)
            except Conflict as refusal:
                answers.append(refusal)
                continue
            ends = request.expires_at if request.expires_in is None else head["at"] + request.expires_in
            promises.append(Promise(request, rule, made, content, versions[request.order], ends))
            answers.append(made)
        late = [each.request.order for each in promises if each.request.order in head["handled"]]
        if promises:
            first = Together()
            shelf.write(first if late else writes, promises, now)
            (first if late else writes).tell(claim_events(tenant, promises, now))
            await first.run(connection)
        for order in late:
            await catch_up(connection, tenant, order, now)
        _forget_refused(tenant, requests, answers, writes)
        for each in promises:
            if each.request.override is not None:
                await _audit(connection, tenant, each.request, each.request.override)
        return answers

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


def _asked(request: ClaimRequest, needs: Sequence[Need]) -> object:
    named = [line.substitution for line in sorted(request.lines, key=_number)]
    if request.customer_class is not None or any(each != "none" for each in named):
        return [request.fill, needs, named, request.customer_class]
    return needs if request.fill == "complete" else [request.fill, needs]


def _number(line: ClaimLine) -> int:
    return line.line
