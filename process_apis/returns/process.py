"""Returns: what others call. The gateway takes commands and answers; the worker runs turns."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from gateway.canonical.capabilities import FindsCreditors, FindsWarehouses, RecordsStock, TellsSold
from gateway.canonical.events import Recorded
from gateway.canonical.location import LocationMap
from gateway.durable.turning import TurnOptions, WorksInTurns
from gateway.durable.turns import Work
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.store.log_reader import LogReader
from gateway.store.postgres import Store
from process_apis.returns.authorising import Authorisations
from process_apis.returns.crediting import Credits, CreditWork
from process_apis.returns.disposing import Dispositions, DispositionWork
from process_apis.returns.hearing import on_movement
from process_apis.returns.models import Dispose, Need, Return, ReturnState, Target
from process_apis.returns.options import ReturnOptions
from process_apis.returns.records import listed, load, sql, tasks
from process_apis.returns.rules import needs_of
from process_apis.returns.troubles import ReturnTroubles


class Returns(WorksInTurns):
    """The process. One per OS process; safe to use from any number of tasks."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        orders: TellsSold,
        locations: LocationMap,
        records: RecordsStock,
        warehouses: FindsWarehouses,
        creditors: FindsCreditors,
        turning: TurnOptions | None = None,
        settings: ReturnOptions | None = None,
    ) -> None:
        works: dict[str, Work] = {
            "disposition": DispositionWork(store, records=records, warehouses=warehouses),
            "credit": CreditWork(store, creditors=creditors),
        }
        super().__init__(store, clock, tasks, works, turning or TurnOptions())
        self._log = LogReader()
        self.settings = settings or ReturnOptions()
        self.authorisations = Authorisations(store, orders=orders, locations=locations, options=self.settings)
        self.dispositions = Dispositions(store, locations=locations, warehouses=warehouses, records=records)
        self.credits = Credits(store)
        self.hear = on_movement

    async def get(self, tenant: str, return_id: str, *, partner: str | None = None) -> Return:
        """One return; raises `NotFound`, for a partner also of somebody else's."""
        async with self._store.connection() as connection:
            return await load(connection, return_id, tenant, partner)

    async def history(self, tenant: str, return_id: str) -> tuple[Return, Sequence[Recorded]]:
        """One return and its events, oldest first; raises `NotFound`."""
        async with self._store.connection() as connection:
            known = await load(connection, return_id, tenant)
            return known, await self._log.read_aggregate(connection, tenant, return_id)

    async def dispose(
        self, caller: Caller, return_id: str, *, action: str, line: int, amount: Decimal, target: Target, reason: str
    ) -> Return:
        """A person's disposition, with the reason in the audit trail: see `Dispositions.ask`."""
        command = Dispose(action=action, line=line, amount=amount, target=target)
        return await self.dispositions.ask(caller, return_id, command, reason=reason)

    async def listed(
        self,
        tenant: str,
        *,
        partner: str | None = None,
        state: ReturnState | None = None,
        order: str | None = None,
        open_only: bool = False,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[Return]:
        """The newest first."""
        async with self._store.connection() as connection:
            wanted = (partner, state, order, open_only, before, limit)
            return await listed(connection, await connection.fetch(sql.list_returns, tenant, *wanted))

    def needs(self, known: Return) -> Sequence[Need]:
        """What a person should do about a return."""
        return needs_of(known, self._clock.now(), self.settings.expected_days, self.turning.pace.alert_after)

    def troubles(self) -> ReturnTroubles:
        """The same, for the queue of exceptions."""
        return ReturnTroubles(
            self._clock, expected_days=self.settings.expected_days, alert_after=self.turning.pace.alert_after
        )
