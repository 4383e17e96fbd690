"""Reconciliation as one object: runs, what they found, and what people decide about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

from gateway.canonical.capabilities import (
    Call,
    ExaminesStock,
    FindsAccounts,
    RecordsStock,
    Report,
    ResolvesItems,
    StockAccount,
    TellsBooked,
    TellsUnposted,
)
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotFound
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.reconciliation.deciding import Desk
from process_apis.reconciliation.documents import Documents
from process_apis.reconciliation.journals import Journals
from process_apis.reconciliation.ledgers import Ledgers
from process_apis.reconciliation.models import Cause, Finding, Run, Scope, State, Tally, What
from process_apis.reconciliation.options import ReconciliationOptions
from process_apis.reconciliation.records import finding_of, run_of, sql
from process_apis.reconciliation.snapshots import Snapshots
from process_apis.reconciliation.troubles import FindingTroubles

_asked: Final = queries_beside(__file__, "trouble_queries.sql")
_CALL_S: Final = 600.0
_DEAD_AFTER: Final = timedelta(hours=1)
Tell = Callable[[str], None]


class TellsOrders(TellsBooked, TellsUnposted, Protocol):
    """Order to ship, as far as it is asked here."""


class Reconciliation:
    """Holds what others say against what we have. Any number of processes may run at once: a finding is raised once."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        tenant: str,
        stock: ExaminesStock,
        records: RecordsStock,
        orders: TellsOrders,
        items: ResolvesItems,
        accounts: FindsAccounts,
        options: ReconciliationOptions | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant
        self._records = records
        self._accounts = accounts
        self._items = items
        self.options = options or ReconciliationOptions()
        in_flight = timedelta(seconds=self.options.in_flight_seconds)
        journals = Journals(store, records, clock, in_flight=in_flight)
        self._snapshots = Snapshots(store, clock, stock=stock, items=items, journals=journals, options=self.options)
        self._ledgers = Ledgers(store, stock=stock, unposted=orders, items=items, options=self.options)
        self._documents = Documents(store, clock, orders=orders, accounts=accounts, options=self.options)
        self.desk = Desk(store, accounts=accounts, items=items, options=self.options)

    # --- running --------------------------------------------------------------------------------------------------

    async def run(
        self, scope: Scope, *, asked_by: str, dry: bool = False, fresh: bool = False, tell: Tell = lambda _: None
    ) -> tuple[Run, list[Finding]]:
        """Compare once; the run and what it found.

        `dry` writes nothing down, and asks for no events that were lost. `fresh` asks the owners for new snapshots
        first. What one account refuses or cannot answer fails the run, which says so; what the others said is kept.
        """
        call, begun = self._call(), self._clock.now()
        name, tally = call.correlation_id, Tally()
        self._check(scope)
        if not dry:
            where = (scope.what.value, scope.source, scope.location)
            await self._store.execute(sql.begin_run, self._tenant, name, *where, asked_by, begun - _DEAD_AFTER)
        found: list[Finding] = []
        troubles: list[str] = []
        for work in self._works(call, scope, tally, dry=dry, fresh=fresh and not dry, tell=tell):
            try:
                found += await work()
            except CrossdockError as error:
                troubles.append(f"{error.detail} ({error.code})")
        run = Run(
            run=name,
            what=scope.what,
            source=scope.source,
            location=scope.location,
            asked_by=asked_by,
            state="failed" if troubles else "done",
            started_at=begun,
            ended_at=self._clock.now(),
            compared=tally.compared,
            differing=tally.differing,
            recovered=tally.recovered,
            in_flight=tally.in_flight,
            error="; ".join(troubles)[:2000] or None,
        )
        if not dry:
            counts = (run.compared, run.differing, run.recovered, run.in_flight)
            await self._store.execute(sql.end_run, self._tenant, name, run.state, *counts, run.error)
            if scope == Scope(what=scope.what):
                await self._store.execute(_asked.answered, self._tenant, scope.what.value, name)
        return run, found

    def _works(
        self, call: Call, scope: Scope, tally: Tally, *, dry: bool, fresh: bool, tell: Tell
    ) -> list[Callable[[], Awaitable[list[Finding]]]]:
        """What a run does, part by part: one part's trouble is not another's."""
        if scope.what is not What.STOCK:

            async def documents() -> list[Finding]:
                tell(f"comparing {scope.what.value} with the ERPs")
                return await self._documents.compare(call, call.correlation_id, scope, tally, dry=dry)

            return [documents]
        wanted = [each for each in self._accounts.ledgers(self._tenant) if scope.source in (None, each.name)]
        owners = [each for each in self._accounts.owners(self._tenant) if scope.source in (None, each.name)]

        async def snapshots() -> list[Finding]:
            tell("examining snapshots")
            journals = self._accounts.journals(self._tenant)
            return await self._snapshots.examine(call, call.correlation_id, scope, journals, tally, dry=dry)

        def take(account: StockAccount) -> Callable[[], Awaitable[list[Finding]]]:
            async def work() -> list[Finding]:
                places = [theirs for ours, theirs in account.codes.items() if scope.location in (None, ours)]
                if places:
                    tell(f"reading the stock of {account.name}")
                    snapshot = await account.reads.read_stock(call, locations=places)
                    await self._records.record(self._tenant, Report(snapshots=(snapshot,)))
                return []

            return work

        def compare(account: StockAccount) -> Callable[[], Awaitable[list[Finding]]]:
            async def work() -> list[Finding]:
                tell(f"comparing with {account.name}")
                run = call.correlation_id
                found = await self._ledgers.compare(call, run, scope, account, tally, dry=dry)
                if not dry:
                    await self.desk.adjust_due(call)
                return found

            return work

        return [*([take(each) for each in owners] if fresh else []), snapshots, *(compare(each) for each in wanted)]

    def _check(self, scope: Scope) -> None:
        """Raise `NotFound` for a source or location that nobody has."""
        accounts = [*self._accounts.owners(self._tenant), *self._accounts.ledgers(self._tenant)]
        sources = {each.name for each in accounts} | self._accounts.journals(self._tenant).keys()
        places = {location for each in accounts for location in each.codes}
        if scope.source is not None and scope.source not in sources:
            known = ", ".join(sorted(sources)) or "none"
            raise NotFound(
                f"no system {scope.source[:60]!r} tells stock here: known are {known}", code="reconciliation.source"
            )
        if scope.location is not None and scope.location not in places:
            known = ", ".join(sorted(places)) or "none"
            raise NotFound(
                f"nobody tells the stock of a location {scope.location[:60]!r}: known are {known}",
                code="reconciliation.location",
            )

    async def due(self, what: What) -> bool:
        """Whether the schedule asks for a run now, or somebody does who has a finding compared again."""
        if await self._store.fetchval(_asked.asked, self._tenant, what.value):
            return True
        every = getattr(self.options, f"{what.value}_seconds")
        if not every:
            return False
        last = await self._store.fetchval(sql.last_end, self._tenant, what.value)
        return last is None or (self._clock.now() - last).total_seconds() >= every

    async def tick(self) -> int:
        """What the worker does now and then: corrections that are due, then the runs that are due; how many those."""
        await self.desk.adjust_due(self._call())
        due = [what for what in What if await self.due(what)]
        for what in due:
            await self.run(Scope(what=what), asked_by="schedule")
        return len(due)

    def _call(self) -> Call:
        return Call(tenant=self._tenant, correlation_id=new_id("run"), deadline=self._clock.monotonic() + _CALL_S)

    def troubles(self) -> FindingTroubles:
        """What of it waits for a person, for the queue of exceptions."""
        return FindingTroubles(self.desk, self._items)

    # --- reading --------------------------------------------------------------------------------------------------

    async def runs(self, tenant: str, *, what: What | None, before: str | None, limit: int) -> Sequence[Run]:
        """The newest first."""
        rows = await self._store.fetch(sql.list_runs, tenant, what, before, limit)
        return [run_of(row) for row in rows]

    async def get_run(self, tenant: str, run: str) -> Run:
        """One run; raises `NotFound`."""
        row = await self._store.fetchrow(sql.get_run, tenant, run)
        if row is None:
            raise NotFound(f"there is no run {run[:40]!r}", code="reconciliation.run_not_found")
        return run_of(row)

    async def findings(
        self,
        tenant: str,
        *,
        what: What | None = None,
        cause: Cause | None = None,
        state: State | None = None,
        source: str | None = None,
        location: str | None = None,
        run: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[Finding]:
        """The newest first."""
        wanted = (what, cause, state, source, location, run, before, limit)
        return [finding_of(row) for row in await self._store.fetch(sql.list_findings, tenant, *wanted)]

    async def standing(self, run: Run, limit: int = 500) -> Sequence[Finding]:
        """What a run raised, and what of its scope is not settled from before, newest first."""
        wanted = (run.run, run.what.value, run.source, run.location, limit)
        return [finding_of(row) for row in await self._store.fetch(sql.list_standing, self._tenant, *wanted)]

    async def get_finding(self, tenant: str, finding: str) -> Finding:
        """One finding; raises `NotFound`."""
        row = await self._store.fetchrow(sql.get_finding, tenant, finding)
        if row is None:
            raise NotFound(f"there is no finding {finding[:40]!r}", code="reconciliation.finding_not_found")
        return finding_of(row)

    async def tallies(self, tenant: str) -> Sequence[Any]:
        """What is not settled, by what, class and state: how many, and the age of the eldest in seconds."""
        return await self._store.fetch(sql.tallies, tenant)

    async def trend(self, tenant: str, *, slot_seconds: int, slots: int) -> Sequence[Any]:
        """How many findings of each class were raised in each slot of time, slot 0 being the latest."""
        return await self._store.fetch(sql.trend, tenant, slot_seconds, slots)
