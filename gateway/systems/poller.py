"""Catch-up: asks systems again for what a webhook may have lost, and for figures to hold our own against.

Each instance that owns stock is opened with a snapshot, then read from a cursor that is kept in PostgreSQL and moves
only after what it points past is committed. Everything is at least once: `RecordsStock` takes each event once. Of
several workers, the one that holds an instance's lease asks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from gateway.canonical.capabilities import (
    Call,
    ReadsDemand,
    ReadsStock,
    RecordsMilestones,
    RecordsStock,
    Report,
    ReportsMilestones,
    ReportsMovements,
)
from gateway.canonical.stock import DemandLine
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from gateway.systems.directory import Directory

_logger = logging.getLogger(__name__)
_sql = queries_beside(__file__)

_CALL_S: Final = 60.0
_LEASE_S: Final = 90.0
_PAGES_PER_ROUND: Final = 200
_PREPARED_S: Final = 60.0
_LOOK_S: Final = 0.5


class Reads(Protocol):
    """Reads a page of what a system reports, from a cursor."""

    async def __call__(self, call: Call, *, cursor: str | None) -> tuple[Report, str | None]:
        """The page and the next cursor."""
        ...


class RecordsDemand(Protocol):
    """Takes the open demand lines of one source in place of those it told before."""

    async def record_demand(
        self, tenant: str, source: str, lines: Sequence[DemandLine], *, read_at: datetime | None = None
    ) -> object:
        """Returns when they are committed. Those that were read before what is known change nothing."""
        ...


class Poller:
    """One per worker. `every` seconds each instance is asked; `snapshot_every` seconds its figures are compared.

    Nothing is asked until `prepared` says that what reports are mapped by is there, or a minute is over.
    """

    def __init__(
        self,
        store: Store,
        directory: Directory,
        stock: RecordsStock,
        clock: Clock,
        *,
        tenant: str,
        every: float = 30.0,
        snapshot_every: float = 3600.0,
        demand: RecordsDemand | None = None,
        milestones: RecordsMilestones | None = None,
        prepared: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._stock = stock
        self._clock = clock
        self._tenant = tenant
        self._every = every
        self._snapshot_every = snapshot_every
        self._demand = demand
        self._milestones = milestones
        self._prepared = prepared
        self._worker = new_id("poll")

    async def run(self, stop: asyncio.Event) -> None:
        """Ask every instance until `stop`; one slow or dead system delays no other."""
        await self._until_prepared(stop)
        names = [system.name for system in self._directory.systems if self._polled(system.name)]
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._repeat(name, stop))

    async def _until_prepared(self, stop: asyncio.Event) -> None:
        if self._prepared is None:
            return
        end = self._clock.monotonic() + _PREPARED_S
        while not await self._prepared() and self._clock.monotonic() < end and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stop.wait()

    async def _repeat(self, name: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.poll(name)
            except CrossdockError as error:
                _logger.warning("%s was not polled: %s (%s)", name, error.detail, error.code)
            except Exception:
                _logger.exception("%s was not polled, for a reason its adapter does not know", name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await stop.wait()

    async def poll(self, name: str) -> int | None:
        """One round: opening or due snapshot, then all pages. Movements read, or None when another worker does it.

        Raises what the system or the record raised, after noting it in the instance's row.
        """
        row = await self._store.fetchrow(_sql.lease, self._tenant, name, self._worker, _LEASE_S)
        if row is None:
            return None
        try:
            if self._snapshot_due(row["snapshot_at"]):
                await self._take_snapshot(name)
            count = await self._read_on(name, row["cursor"])
            await self._read_demand(name)
        except CrossdockError as error:
            await self._store.execute(_sql.failed, self._tenant, name, self._worker, f"{error.code}: {error.detail}")
            raise
        finally:
            with contextlib.suppress(CrossdockError):
                await self._store.execute(_sql.release_lease, self._tenant, name, self._worker)
        return count

    def _polled(self, name: str) -> bool:
        system = self._directory.system(name)
        owns = bool(self._directory.held_by(name)) and system.offers(ReadsStock)
        tracks = self._milestones is not None and system.offers(ReportsMilestones)
        asked = self._demand is not None and system.offers(ReadsDemand)
        return owns or tracks or asked or system.offers(ReportsMovements)

    def _snapshot_due(self, taken: datetime | None) -> bool:
        return taken is None or (self._clock.now() - taken).total_seconds() >= self._snapshot_every

    async def _take_snapshot(self, name: str) -> None:
        locations = [location.codes.get(name, location.location) for location in self._directory.held_by(name)]
        if not locations or not self._directory.system(name).offers(ReadsStock):
            return
        reader = self._directory.instance(name, ReadsStock)
        snapshot = await reader.read_stock(self._call(), locations=locations)
        await self._stock.record(self._tenant, Report(snapshots=(snapshot,)))
        await self._store.execute(_sql.snapshot_taken, self._tenant, name, self._worker, _LEASE_S)

    async def _read_on(self, name: str, cursor: str | None) -> int:
        system = self._directory.system(name)
        if system.offers(ReportsMovements):
            total = await self._pages(name, self._directory.instance(name, ReportsMovements).read_movements, cursor)
            if not total:
                await self._stock.heard(self._tenant, name)
            return total
        if self._milestones is not None and system.offers(ReportsMilestones):
            return await self._pages(name, self._directory.instance(name, ReportsMilestones).read_milestones, cursor)
        return 0

    async def _pages(self, name: str, read: Reads, cursor: str | None) -> int:
        total = 0
        for _ in range(_PAGES_PER_ROUND):
            report, following = await read(self._call(), cursor=cursor)
            count = len(report.movements) + len(report.snapshots) + len(report.milestones)
            if report.milestones and self._milestones is not None:
                await self._milestones.record_milestones(self._tenant, report.milestones)
            elif count:
                await self._stock.record_again(self._tenant, report)
            total += count
            moved = await self._store.execute(
                _sql.move_cursor, self._tenant, name, self._worker, following, count, _LEASE_S
            )
            if not count or following is None or moved == "UPDATE 0":
                break
            cursor = following
        return total

    async def _read_demand(self, name: str) -> None:
        if self._demand is None or not self._directory.system(name).offers(ReadsDemand):
            return
        read_at = self._clock.now()
        lines = await self._directory.instance(name, ReadsDemand).read_demand(self._call())
        await self._demand.record_demand(self._tenant, name, lines, read_at=read_at)

    def _call(self) -> Call:
        return Call(tenant=self._tenant, correlation_id=new_id("cor"), deadline=self._clock.monotonic() + _CALL_S)
