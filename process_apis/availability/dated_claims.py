"""Promising for a date: on supply as far as it covers the date, the rest from what is at hand, all of it or nothing.

What waits for supply leaves today's stock to whoever wants it today. Locks: the order's row, then all stock lines of
its items, as for claims on stock at hand; what fits is decided behind them, by what `promises` answers with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimState
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.arrays import array
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from gateway.store.together import Together
from process_apis.availability.actions import action_of_row, answered, digest, record_action
from process_apis.availability.claiming import Claimer, catch_up
from process_apis.availability.deciding import check_lines, check_open
from process_apis.availability.foreseeing import Calendar, foresee, look_ahead, stocks_of
from process_apis.availability.fulfilling import claim_event, move_waiting
from process_apis.availability.models import ChannelRule, DatedRequest, LineKey, Need, Portion
from process_apis.availability.promising_dates import Outlook, Seen, from_supply
from process_apis.availability.reserving import tried

_sql: Final = queries_beside(__file__)
_supply: Final = queries_beside(__file__, "supply_queries.sql")
_RulesNow = Callable[[str, str], Awaitable[tuple[ChannelRule, Sequence[ChannelRule]]]]


class DatedClaimer:
    """Promises for dates, each order in a transaction of its own. Any number of processes may do so at once."""

    def __init__(
        self,
        store: Store,
        claimer: Claimer,
        rules_now: _RulesNow,
        locations: LocationMap,
        calendar: Calendar,
        clock: Clock,
    ) -> None:
        self._store = store
        self._claimer = claimer
        self._rules_now = rules_now
        self._locations = locations
        self._calendar = calendar
        self._clock = clock

    async def claim(self, tenant: str, dated: DatedRequest) -> Sequence[ClaimedLine]:
        """Promise all lines for `dated.due`, or none; committed when it returns.

        Raises `Rejected` (``promise.date_too_far``) and `Conflict`: ``stock.insufficient``, whose lines say when first
        it could be promised, ``claim.action_reused``, ``claim.order_cancelled``, ``claim.kit_dated``.
        """
        check_lines(dated.request.lines)
        self._calendar.check(tenant, dated.due)
        await self._claimer.check_no_kits(tenant, dated.request.lines)
        rule, fencing = await self._rules_now(tenant, dated.request.channel)

        async def attempt() -> Sequence[ClaimedLine]:
            async with self._store.transaction() as connection:
                return await self._claim(connection, tenant, dated, rule, fencing)

        return await tried(attempt)

    async def _claim(
        self,
        connection: Connection,
        tenant: str,
        dated: DatedRequest,
        rule: ChannelRule,
        fencing: Sequence[ChannelRule],
    ) -> Sequence[ClaimedLine]:
        request = dated.request
        items = sorted({line.item for line in request.lines})
        rows = await connection.fetch(_sql.lock_shelf, tenant, array([request.order]), array(items))
        head = await connection.fetch(_sql.order_claims, tenant, request.action, request.order)
        needs = [Need(line.line, line.item, line.amount, line.location) for line in request.lines]
        content = digest("date", request.order, request.channel, [sorted(needs), dated.due, request.priority])
        if (known := action_of_row(request.action, head[0])) is not None:
            return answered(known, content)
        cancelled = await connection.fetch(_sql.cancelled_orders, tenant, [request.order])
        check_open(request.order, [row["order_id"] for row in cancelled])
        channels = await connection.fetch(_sql.channels_of_items, tenant, items)
        ahead = await look_ahead(connection, tenant, items)
        today = partial(self._calendar.today, tenant)
        seen = {
            item: foresee(item, stock, rule, fencing, ahead, today)
            for item, stock in stocks_of(items, rows, channels).items()
        }
        _check(needs, seen, dated.due, self._calendar.today(tenant))
        places = {item: sorted(each.places, key=partial(self._preferred, tenant)) for item, each in seen.items()}
        portions, rest = from_supply(sorted(needs), places, dated.due)
        made = await self._at_hand(connection, tenant, dated, rest)
        promised = await self._write(connection, tenant, dated, rule, portions)
        answer = [*made, *promised]
        await record_action(connection, tenant, request.action, "date", request.order, content, answer)
        if promised:
            await catch_up(connection, tenant, request.order, self._clock.now())
        return answer

    def _preferred(self, tenant: str, place: Outlook) -> tuple[int, str]:
        return self._locations.priority(tenant, place.location)

    async def _at_hand(
        self, connection: Connection, tenant: str, dated: DatedRequest, rest: Sequence[Need]
    ) -> list[ClaimedLine]:
        if not rest:
            return []
        lines = [ClaimLine(line=need.line, item=need.item, amount=need.amount, location=need.location) for need in rest]
        request = msgspec.structs.replace(dated.request, action=f"{dated.request.action}/at-hand", lines=lines)
        writes = Together()
        [made] = await self._claimer.claim_all(connection, tenant=tenant, requests=[request], writes=writes)
        if isinstance(made, Conflict):
            raise made
        await writes.run(connection)
        return list(made)

    async def _write(
        self,
        connection: Connection,
        tenant: str,
        dated: DatedRequest,
        rule: ChannelRule,
        portions: Sequence[Portion],
    ) -> list[ClaimedLine]:
        if not portions:
            return []
        request, owner, now = dated.request, rule.terms.owner, self._clock.now()
        made = [
            ClaimedLine(
                claim=new_id("clm"),
                line=part.line,
                item=part.item,
                location=part.location,
                amount=part.amount,
                state=ClaimState.PROMISED,
            )
            for part in portions
        ]
        columns = zip(*((each.claim, each.line, each.item, each.location, each.amount) for each in made), strict=True)
        what = (request.order, owner, rule.channel, rule.version, request.action, now)
        until = (request.expires_at, request.expires_in, dated.due, request.priority)
        await connection.execute(_supply.insert_promised, tenant, *what, *until, *map(list, columns))
        await move_waiting(
            connection, tenant, ((LineKey(each.item, each.location, owner), each.amount) for each in made)
        )
        # Behind what was promised at hand, so that the order's events are told in the order of their versions.
        [locked] = await connection.fetch(_sql.lock_orders, tenant, [request.order])
        data: dict[str, Any] = {"channel": rule.channel, "rule_version": rule.version, "due": dated.due, "claims": made}
        event = claim_event("claim.made", tenant, request.order, locked["version"], now, request.correlation_id, data)
        await log.append(connection, [event])
        return made


def _check(needs: Sequence[Need], seen: Mapping[str, Seen], due: date, today: date) -> None:
    wanted: dict[str, Decimal] = defaultdict(Decimal)
    missing = []
    for need in needs:
        wanted[need.item] += need.amount
        whole, there = seen[need.item], seen[need.item].at(need.location)
        if wanted[need.item] > whole.promisable(due) or need.amount > there.promisable(due):
            missing.append((need, there.earliest(wanted[need.item], today)))
    if missing:
        raise _insufficient(missing, due)


def _insufficient(missing: Sequence[tuple[Need, date | None]], due: date) -> Conflict:
    lines = [
        {"line": need.line, "item": need.item, "amount": plain(need.amount), "earliest": first and first.isoformat()}
        for need, first in missing
    ]
    numbers = ", ".join(str(need.line) for need, _ in missing)
    return Conflict(
        f"line {numbers} cannot be promised for {due}: order less of it, or for the date that the line says",
        code="stock.insufficient",
        context={"lines": lines},
    )
