"""What a channel has sold already and stock cannot give: never refused, it waits as a promise on supply.

Behind the locks of `claim_all` for the same request. A part waits at one location: the one whose known supply covers
it first, else the preferred one. Goods that come in there are its own before they are told of to anybody
(`arriving.py`); what is given back by others is, within a second or so of `attend_starved`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.kit import in_kits
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimRequest, ClaimState, StandingClaim
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Unavailable
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.arriving import Arrivals
from process_apis.availability.foreseeing import Ahead, Calendar, look_ahead
from process_apis.availability.fulfilling import claim_event, move_waiting
from process_apis.availability.lines import Cause, lock_lines
from process_apis.availability.models import ChannelTerms, LineKey
from process_apis.availability.promising_dates import HORIZON, Step, Waiting, expected_dates
from process_apis.availability.rulebook import Rulebook, open_rule
from process_apis.availability.rules import usable
from process_apis.availability.selling import terms_for

_sql: Final = queries_beside(__file__)
_own: Final = queries_beside(__file__, "backorders.sql")
_ZERO: Final = Decimal(0)
_CONTENDED: Final = "store.contended"


class _Place(NamedTuple):
    """A location where a part could wait, and when known supply would cover it there."""

    location: str
    expected: date | None


class Backorders:
    """Keeps what waits for supply without having been asked for a date."""

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        locations: LocationMap,
        calendar: Calendar,
        arrivals: Arrivals,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._locations = locations
        self._calendar = calendar
        self._arrivals = arrivals
        self._clock = clock

    async def backorder(
        self,
        connection: Connection,
        *,
        tenant: str,
        request: ClaimRequest,
        made: Sequence[ClaimedLine],
        writes: GathersWrites,
        known_supply: bool = False,
    ) -> Sequence[StandingClaim]:
        """Have what `made` lacks of `request` wait for supply; what was made so, nothing where nothing lacks.

        In the transaction of the `claim_all` that made it, for an order that nobody has handled yet. Raises `Conflict`
        (``stock.no_location``) where there is no location to wait at, and with `known_supply` ``stock.insufficient``
        where no supply that is known covers a line.
        """
        lacking = list(_lacking(request, made))
        if not lacking:
            return []
        now = self._clock.now()
        rules = await self._rulebook.in_force(connection, tenant, now)
        rule = rules.get(request.channel) or open_rule(request.channel)
        ahead = await look_ahead(connection, tenant, sorted({line.item for line in lacking}))
        placed = [(line, self._place(tenant, line, rule.terms, ahead, request.need_by)) for line in lacking]
        owner, today = rule.terms.owner, self._calendar.today(tenant)
        if known_supply and (bare := [line for line, place in placed if place.expected is None]):
            raise _no_supply(bare)
        await lock_lines(connection, tenant, {LineKey(line.item, place.location, owner) for line, place in placed})
        waiting = [
            ClaimedLine(
                claim=new_id("clm"),
                line=line.line,
                item=line.item,
                location=place.location,
                amount=line.amount,
                state=ClaimState.PROMISED,
            )
            for line, place in placed
        ]
        rows = zip(
            *(
                (each.claim, each.line, each.item, each.location, each.amount, place.expected, bool(line.location))
                for each, (line, place) in zip(waiting, placed, strict=True)
            ),
            strict=True,
        )
        what = (request.order, owner, rule.channel, rule.version, request.action, now, request.need_by or today)
        columns = (*map(list, rows), today + HORIZON)
        await connection.execute(_own.insert_backorders, tenant, *what, request.priority, *columns)
        await move_waiting(
            connection, tenant, ((LineKey(each.item, each.location, owner), each.amount) for each in waiting)
        )
        [locked] = await connection.fetch(_sql.lock_orders, tenant, [request.order])
        data: dict[str, Any] = {"channel": rule.channel, "rule_version": rule.version, "reason": "backordered"}
        told = (request.order, locked["version"], now, request.correlation_id, {**data, "claims": waiting})
        writes.tell([claim_event("claim.made", tenant, *told)])
        return [
            StandingClaim(
                claim=each.claim,
                line=each.line,
                location=each.location,
                amount=each.amount,
                lacking=each.amount,
                handed=False,
                due=place.expected,
                expected=place.expected,
            )
            for each, (_, place) in zip(waiting, placed, strict=True)
        ]

    async def standing(self, connection: Connection, *, tenant: str, order: str) -> Sequence[StandingClaim]:
        """All that an order holds open now, by line and location."""
        rows = await connection.fetch(_own.standing_of_order, tenant, order)
        return [StandingClaim(**row) for row in rows]

    async def attend_starved(self, tenant: str, limit: int = 100) -> int:
        """Give free stock to late promises that wait beside it; returns at how many stock lines there were any."""
        rows = await self._store.fetch(_own.starved_lines, tenant, limit)
        for row in rows:
            key = LineKey(row["item"], row["location"], row["owner"])
            try:
                async with self._store.transaction() as connection:
                    awaited = await lock_lines(connection, tenant, [key])
                    why = Cause(f"backorder/{key.item}/{key.location}")
                    await log.append(connection, await self._arrivals.attend_alone(connection, tenant, awaited, why))
            except Unavailable as error:
                if error.code != _CONTENDED:
                    raise
        return len(rows)

    def _place(self, tenant: str, line: ClaimLine, terms: ChannelTerms, ahead: Ahead, wanted: date | None) -> _Place:
        own = terms_for(terms, line.item)
        known = sorted((each.location for each in self._locations.of(tenant)), key=self._preference(tenant))
        # What is not for this channel was sold by it all the same: it waits somewhere.
        places = [line.location] if line.location else [each for each in known if usable(each, own)] or known
        if not places:
            raise Conflict("there is no location that stock could come to: declare one", code="stock.no_location")
        found = [_Place(each, self._expected(tenant, line, each, terms.owner, ahead, wanted)) for each in places]
        return min(found, key=lambda place: (place.expected is None, place.expected or date.max))

    def _expected(
        self, tenant: str, line: ClaimLine, location: str, owner: str, ahead: Ahead, wanted: date | None
    ) -> date | None:
        key = LineKey(line.item, location, owner)
        arrivals = ahead.arrivals(key, self._calendar.today(tenant, location))
        before: Sequence[Step] = ahead.waiting.get(key, ())
        waiting = [Waiting(str(number), step.amount, step.on, 0) for number, step in enumerate(before)]
        return expected_dates([*waiting, Waiting("", line.amount, wanted, 0)], arrivals, _ZERO)[""]

    def _preference(self, tenant: str) -> Callable[[str], tuple[int, str]]:
        return lambda location: self._locations.priority(tenant, location)


def _no_supply(lines: Sequence[ClaimLine]) -> Conflict:
    numbers = ", ".join(str(line.line) for line in lines)
    return Conflict(
        f"there is not enough stock for line {numbers}, nor supply on its way: order less of it or leave it out",
        code="stock.insufficient",
        context={"lines": [{"line": each.line, "item": each.item, "amount": plain(each.amount)} for each in lines]},
    )


def _lacking(request: ClaimRequest, made: Sequence[ClaimedLine]) -> Iterator[ClaimLine]:
    promised = in_kits(made)
    made = in_kits(made)
    for line in sorted(request.lines, key=lambda line: (line.item, line.line)):
        left = line.amount - sum((each.amount for each in promised if each.line == line.line), _ZERO)
        if left > 0:
            yield ClaimLine(line=line.line, item=line.item, amount=left, location=line.location)
