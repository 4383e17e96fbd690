"""Availability as one object: what `gateway/app.py` makes, and everybody else knows by its capabilities."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec

from gateway.cache.valkey import Cache
from gateway.canonical.capabilities import Connection, GathersWrites, Report, ResolvesGroups, ResolvesItems
from gateway.canonical.kit import ResolvesKits, WithoutKits
from gateway.canonical.location import LocationMap
from gateway.canonical.stock import (
    ClaimedLine,
    ClaimLine,
    ClaimRequest,
    DemandFeed,
    DemandLine,
    ItemAvailability,
    ItemPromises,
    LotAtHand,
    OrderKey,
    Receipt,
    ReportedSupply,
    StandingClaim,
)
from gateway.canonical.substitute import ResolvesSubstitutes, WithoutSubstitutes
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict
from gateway.kernel.quantity import UnitConversion
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.answering import Answerer, Explained, explain
from process_apis.availability.arriving import Arrivals
from process_apis.availability.backordering import Backorders
from process_apis.availability.claiming import Claimer
from process_apis.availability.counting import Counter
from process_apis.availability.dated_claims import DatedClaimer
from process_apis.availability.demanding import DemandRecorder
from process_apis.availability.examining import Examiner
from process_apis.availability.falling_due import DueDates
from process_apis.availability.foreseeing import Calendar, Foreseer
from process_apis.availability.freshness import SourceObjectives
from process_apis.availability.hearing import hear
from process_apis.availability.history import History, HistoryOptions
from process_apis.availability.holding import Holders, Switch
from process_apis.availability.kit_news import KitNews
from process_apis.availability.lags import Lags
from process_apis.availability.lateness import Lateness
from process_apis.availability.leaving import Departures
from process_apis.availability.lots import Lots
from process_apis.availability.models import ChannelRule, ChannelTerms, DatedRequest, RuleVersion
from process_apis.availability.parking import ALL, Codes
from process_apis.availability.partitions import lacks_span
from process_apis.availability.parts import PartCounter
from process_apis.availability.previewing import Previewer
from process_apis.availability.projecting import Projection
from process_apis.availability.promising_dates import SupplyLine
from process_apis.availability.recording import Recorder
from process_apis.availability.regions import Regions, RegionStanding
from process_apis.availability.relieving import Shortages
from process_apis.availability.reserving import Reserver
from process_apis.availability.rulebook import Rulebook
from process_apis.availability.ruling import RuleChange, Rules
from process_apis.availability.sifting import sift
from process_apis.availability.standing import Standing
from process_apis.availability.substitute_answers import SubstituteAnswers
from process_apis.availability.supplying import SupplyRecorder
from process_apis.availability.translating import Translator

_sql: Final = queries_beside(__file__)
_supply: Final = queries_beside(__file__, "supply_queries.sql")
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Availability:
    """Implements `RecordsStock`, `ClaimsStock` and `AnswersAvailability`.

    Without a `cache` every answer comes from the record: right, and slower. `freshness` gives objectives by source.
    `claims` has the verbs for whoever holds no transaction, `examiner` implements `ExaminesStock`, `rules` the versions
    of channels' rules, `departures` tells when goods leave.
    """

    def __init__(
        self,
        *,
        store: Store,
        cache: Cache | None,
        items: ResolvesItems,
        kits: ResolvesKits | None = None,
        substitutes: ResolvesSubstitutes | None = None,
        groups: ResolvesGroups | None = None,
        locations: LocationMap,
        clock: Clock,
        freshness: Mapping[str, SourceObjectives] | None = None,
        history: HistoryOptions | None = None,
    ) -> None:
        kits, stand_ins = kits or WithoutKits(), substitutes or WithoutSubstitutes()
        translator = Translator(items, locations)
        self._store = store
        self._clock = clock
        self.lags = Lags(store, clock)
        self.history = History(store, history or HistoryOptions(), clock)
        lateness = Lateness(store, self.history.options.late, clock)
        self.projection = None if cache is None else Projection(store, cache, self.lags)
        self._calendar = Calendar(locations, clock)
        arrivals = Arrivals(self._calendar, clock)
        counter = Counter(store, translator, arrivals, lateness, clock)
        self._recorder = Recorder(store, translator, counter, arrivals, lateness, clock)
        self.parts = PartCounter(store, translator, counter, lateness, clock)
        rulebook = Rulebook(groups)
        self.rules = Rules(store, items, locations, clock)
        self.previewer = Previewer(store, rulebook, locations, clock)
        self.lots = Lots(store, items, rulebook, clock)
        self.departures = Departures(locations, clock)
        self._claimer = Claimer(locations, clock, freshness or {}, rulebook, kits, self.departures, stand_ins)
        self._standing = Standing(store, clock)
        self.shortages = Shortages(store, locations, rulebook, clock)
        self.claims = Reserver(store, self._claimer, self._standing)
        self.examiner = Examiner(store, translator, items)
        self._demand = DemandRecorder(store, translator, items, clock)
        self._supply = SupplyRecorder(store, translator, arrivals, clock)
        self._due_dates = DueDates(store, locations, self._calendar, arrivals, clock)
        self.kit_news = KitNews(kits, clock)
        self._foreseer = Foreseer(store, items, kits, self._calendar, clock)
        self._holders = Holders(store, locations, clock)
        self._regions = Regions(store, locations, freshness or {}, clock)
        self._answerer = Answerer(store, self.projection, items, locations, clock, freshness or {}, rulebook, kits)
        self.substitutes = SubstituteAnswers(store, self._answerer, kits, stand_ins)
        self.backorders = Backorders(store, rulebook, locations, self._calendar, arrivals, clock)
        self._dated = DatedClaimer(store, self._claimer, self._answerer.rules_now, locations, self._calendar, clock)

    # --- stock in -------------------------------------------------------------------------------------------------

    async def record(self, tenant: str, report: Report) -> Receipt:
        """Record movements, snapshots and supply; committed when it returns. Delivering it again changes nothing.

        Parts of a snapshot are kept, and applied by `parts.apply_next` in a worker when all have come.
        """
        try:
            receipt = await self._recorder.record(tenant, report)
        except asyncpg.CheckViolationError as error:
            if not lacks_span(error):
                raise
            await self.history.make_room()
            receipt = await self._recorder.record(tenant, report)
        for part in report.parts:
            receipt = receipt.plus(await self.parts.record(tenant, part))
        return receipt.plus(await self._supply.record(tenant, report.supply)) if report.supply else receipt

    async def record_again(self, tenant: str, report: Report) -> Receipt:
        """See `RecordsStock`."""
        movements, known = await sift(self._store, tenant, report.movements)
        if known.others and not movements:
            await self.heard(tenant, *{each.source for each in known.others})
        return known.plus(await self.record(tenant, msgspec.structs.replace(report, movements=movements)))

    async def record_demand(
        self, tenant: str, source: str, lines: Sequence[DemandLine], *, read_at: datetime | None = None
    ) -> Receipt:
        """Replace the open demand of `source` by `lines`, unless it was read before what is known (now by default)."""
        at = OrderKey(0, int((read_at or self._clock.now()).timestamp() * 1_000_000))
        return await self.take_demand(tenant, DemandFeed(source=source, order_key=at, full=True, lines=lines))

    async def take_demand(self, tenant: str, feed: DemandFeed) -> Receipt:
        """Take open demand of another system: see `DemandRecorder.record`."""
        return await self._demand.record(tenant, feed)

    async def unpark(self, tenant: str, source: str | None = None, codes: Codes = ALL) -> Receipt:
        """Try what is parked again, after a mapping was mended; with `codes` only what waits for those items."""
        receipt = await self._recorder.unpark(tenant, source, codes)
        receipt = receipt.plus(await self._demand.unpark(tenant, source, codes))
        return receipt.plus(await self._supply.unpark(tenant, source, codes))

    async def unpark_some(self, tenant: str, parked: Sequence[int]) -> Receipt:
        """See `Recorder.unpark_some`."""
        return await self._recorder.unpark_some(tenant, parked)

    async def keep_supply(self, connection: Connection, *, tenant: str, lines: Sequence[ReportedSupply]) -> Receipt:
        """Supply lines in the caller's transaction (`KeepsSupply`)."""
        return await self._supply.record_within(connection, tenant, lines)

    async def heard(self, tenant: str, *sources: str) -> None:
        """These sources answered and had nothing new to tell: their figures are as of now."""
        async with self._store.transaction() as connection:
            await hear(connection, tenant, sorted(sources), self._clock)

    async def parked(self, tenant: str, *, before: int | None, limit: int) -> Sequence[Any]:
        """What waits for a person or a mapping, latest first."""
        return await self._store.fetch(_sql.parked_list, tenant, before, limit)

    # --- promises -------------------------------------------------------------------------------------------------

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
        """See `Claimer.claim`."""
        return await self._claimer.claim(
            connection,
            tenant=tenant,
            action=action,
            order=order,
            channel=channel,
            lines=lines,
            correlation_id=correlation_id,
            expires_at=expires_at,
        )

    async def claim_all(
        self, connection: Connection, *, tenant: str, requests: Sequence[ClaimRequest], writes: GathersWrites
    ) -> Sequence[Sequence[ClaimedLine] | Conflict]:
        """See `Claimer.claim_all`."""
        return await self._claimer.claim_all(connection, tenant=tenant, requests=requests, writes=writes)

    async def allocate(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        correlation_id: str,
        handed: bool = False,
        lines: Sequence[int] | None = None,
    ) -> Sequence[ClaimedLine]:
        """See `Standing.allocate`."""
        return await self._standing.allocate(
            connection,
            tenant=tenant,
            action=action,
            order=order,
            correlation_id=correlation_id,
            handed=handed,
            lines=lines,
        )

    async def release(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        lines: Sequence[int] | None,
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """See `Standing.release`."""
        return await self._standing.release(
            connection, tenant=tenant, action=action, order=order, lines=lines, correlation_id=correlation_id
        )

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
        """See `Backorders.backorder`."""
        return await self.backorders.backorder(
            connection, tenant=tenant, request=request, made=made, writes=writes, known_supply=known_supply
        )

    async def release_waiting(
        self, connection: Connection, *, tenant: str, action: str, order: str, correlation_id: str
    ) -> Sequence[ClaimedLine]:
        """See `Standing.release_waiting`."""
        return await self._standing.release_waiting(
            connection, tenant=tenant, action=action, order=order, correlation_id=correlation_id
        )

    async def take_back(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        claims: Sequence[str],
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """See `Standing.take_back`."""
        return await self._standing.take_back(
            connection, tenant=tenant, action=action, order=order, claims=claims, correlation_id=correlation_id
        )

    async def lessen(
        self,
        connection: Connection,
        *,
        tenant: str,
        action: str,
        order: str,
        amounts: Mapping[int, Decimal],
        keep: Collection[str],
        correlation_id: str,
    ) -> Sequence[ClaimedLine]:
        """See `Standing.lessen`."""
        return await self._standing.lessen(
            connection, tenant=tenant, action=action, order=order, amounts=amounts, keep=keep,
            correlation_id=correlation_id,
        )  # fmt: skip

    async def standing(self, connection: Connection, *, tenant: str, order: str) -> Sequence[StandingClaim]:
        """See `Backorders.standing`."""
        return await self.backorders.standing(connection, tenant=tenant, order=order)

    def arrive_late(self, tenant: str, request: ClaimRequest, made: Sequence[ClaimedLine]) -> Mapping[int, date]:
        """See `Departures.arrive_late`."""
        return self.departures.arrive_late(tenant, request, made)

    async def claim_ahead(self, tenant: str, dated: DatedRequest) -> Sequence[ClaimedLine]:
        """Promise for a date; committed when it returns: see `DatedClaimer.claim`."""
        return await self._dated.claim(tenant, dated)

    async def late_claims(self, tenant: str, *, after: str, limit: int) -> Sequence[Any]:
        """Promises that no known supply covers by their date, in the order they were made."""
        return await self._store.fetch(_supply.late_claims, tenant, after, limit)

    async def watch_supply(self, tenant: str) -> None:
        """See `DueDates.watch`; run it every second or so in a worker."""
        await self._due_dates.watch(tenant)

    async def pass_over_supply(self, tenant: str) -> int:
        """See `DueDates.pass_over`."""
        return await self._due_dates.pass_over(tenant)

    async def expire(self, limit: int = 100) -> int:
        """End reservations whose time has come; run it every second or so in a worker."""
        return await self._standing.expire(limit)

    # --- answers --------------------------------------------------------------------------------------------------

    async def availability(
        self,
        tenant: str,
        *,
        channel: str,
        items: Sequence[str],
        locations: bool = False,
        from_record: bool = False,
        customer_class: str | None = None,
    ) -> Sequence[ItemAvailability]:
        """See `Answerer.availability`."""
        return await self._answerer.availability(
            tenant,
            channel=channel,
            items=items,
            locations=locations,
            from_record=from_record,
            customer_class=customer_class,
        )

    async def promises(
        self,
        tenant: str,
        *,
        channel: str,
        items: Sequence[str],
        dates: Sequence[date] | None = None,
        amount: Decimal | None = None,
    ) -> Sequence[ItemPromises]:
        """`available_to_promise` for each of `dates` (today by default); see `Foreseer.promises`."""
        rule, fencing = await self._answerer.rules_now(tenant, channel)
        on = [self._calendar.today(tenant)] if dates is None else dates
        return await self._foreseer.promises(tenant, rule=rule, fencing=fencing, items=items, dates=on, amount=amount)

    async def supply(self, tenant: str, items: Sequence[str]) -> Sequence[tuple[SupplyLine, Decimal, Any]]:
        """See `Foreseer.supply`."""
        return await self._foreseer.supply(tenant, items)

    async def regions(self, tenant: str, *, minutes: int = 15) -> Sequence[RegionStanding]:
        """See `Regions.standing`."""
        return await self._regions.standing(tenant, minutes=minutes)

    async def units(self, tenant: str, items: Sequence[str], uom: str) -> Mapping[str, UnitConversion]:
        """See `Answerer.units`."""
        return await self._answerer.units(tenant, items, uom)

    async def explained(
        self, tenant: str, *, channel: str, items: Sequence[str], customer_class: str | None = None
    ) -> Sequence[Explained]:
        """See `Answerer.explained`."""
        return await self._answerer.explained(tenant, channel=channel, items=items, customer_class=customer_class)

    async def switch_holder(
        self, tenant: str, location: str, *, to: str, actor: str, reason: str, correlation_id: str
    ) -> Switch:
        """See `Holders.switch`."""
        made = await self._holders.switch(
            tenant, location, to=to, actor=actor, reason=reason, correlation_id=correlation_id
        )
        self._answerer.forget(tenant)
        return made

    async def holders(self, tenant: str) -> Sequence[Any]:
        """See `Holders.holders`."""
        return await self._holders.holders(tenant)

    async def stand_in(self, tenant: str) -> Sequence[Switch]:
        """Switch what is declared to switch by itself; run it every few seconds in a worker."""
        return await self._holders.stand_in(tenant)

    async def claims_of(self, tenant: str, order: str) -> Sequence[Any]:
        """All claims of an order, over or not, in the order they were made."""
        return await self._store.fetch(_sql.claims_of_order, tenant, order)

    async def positions(
        self,
        tenant: str,
        *,
        items: Sequence[str],
        location: str | None,
        as_known_at: datetime | None = None,
        as_happened_at: datetime | None = None,
    ) -> Sequence[Any]:
        """The physical figures of `items` by their full key: now, or at instants of the past.

        `as_known_at`: by what had been recorded then. `as_happened_at`: by what had occurred then, whenever it was
        told. Those are reckoned from what was told, both together if both are given.
        """
        if as_known_at is None and as_happened_at is None:
            return await self._store.fetch(_sql.positions, tenant, list(items), location)
        instants = (as_known_at or _NEVER, as_happened_at or _NEVER)
        rows = await self._store.fetch(_sql.positions_at, tenant, list(items), location, *instants, None, None)
        await self.history.check(tenant, min(instants))
        return rows

    async def positions_by(
        self, tenant: str, *, items: Sequence[str], location: str, cut_off: OrderKey, at: datetime
    ) -> Sequence[Any]:
        """See `TellsPositions`."""
        bounds = (_NEVER, _NEVER, cut_off.epoch, cut_off.sequence)
        rows = await self._store.fetch(_sql.positions_at, tenant, list(items), location, *bounds)
        await self.history.check(tenant, at)
        return rows

    async def lots_at(
        self, connection: Connection, *, tenant: str, channel: str, location: str, items: Sequence[str]
    ) -> Sequence[LotAtHand]:
        """See `TellsLots`."""
        return await self.lots.at_hand(connection, tenant, channel, location, items)

    async def explain(self, tenant: str, *, item: str, location: str, limit: int = 50) -> Mapping[str, Sequence[Any]]:
        """Why a figure is what it is."""
        return await explain(self._store, tenant, item=item, location=location, limit=limit)

    # --- rules ----------------------------------------------------------------------------------------------------

    async def rule(self, tenant: str, channel: str) -> ChannelRule:
        """The rule in force for `channel`; open terms with version 0 where none was set."""
        return await self._answerer.rule(tenant, channel)

    async def set_rule(
        self, tenant: str, channel: str, terms: ChannelTerms, *, actor: str, effective_from: datetime | None = None
    ) -> int:
        """Add a version of a channel's rule, in force from `effective_from` (now by default); returns its number."""
        change = RuleChange(channel=channel, terms=terms, actor=actor, effective_from=effective_from)
        return (await self.change_rule(tenant, change)).version

    async def change_rule(self, tenant: str, change: RuleChange) -> RuleVersion:
        """See `Rules.change`."""
        made = await self.rules.change(tenant, change)
        self._answerer.forget(tenant)
        return made
