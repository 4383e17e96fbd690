"""The worker: durable workflows, consumers of the log, pollers, partner webhooks. Any number may run side by side."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from gateway.app import Core, initial_configuration
from gateway.backbone.backbone import Backbone
from gateway.backbone.leases import Leases
from gateway.canonical.capabilities import Call, ListsCustomers, ReadsItems, ReadsPurchases, TakesOrders
from gateway.chores import Work, attempt, attempt_all
from gateway.configuration.following import Follower
from gateway.durable.backlog_figures import backlog_families
from gateway.durable.calling import Calling
from gateway.durable.retention import prune_workflows
from gateway.durable.runtime import Durable
from gateway.durable.worker_figures import worker_families
from gateway.durable.workers import Standing
from gateway.kernel.background import background
from gateway.kernel.errors import CrossdockError
from gateway.kernel.ids import new_id
from gateway.serving.backlog import Backlog
from gateway.serving.collector import calm_collector
from gateway.serving.figures import show_figures
from gateway.serving.state import show_breakers
from gateway.settings import load_settings
from gateway.store.postgres import Store
from gateway.systems.poller import Poller
from gateway.telemetry.counters import CountedElsewhere, Counters, Family, Kind
from process_apis.availability.files import FileDrop
from process_apis.exceptions import figures as exception_figures
from process_apis.reconciliation.figures import Tallies

_log: Final = logging.getLogger("crossdock.worker")
_PAUSE_SECONDS: Final = 1.0
_HOUSEKEEPING_SECONDS: Final = 2.0
_LAGS_SECONDS: Final = 2.0
_HUNDREDTH: Final = 100
_TWENTIETH: Final = 20
_PRUNE_SECONDS: Final = 60.0
_HISTORY_SECONDS: Final = 60.0
_RECONCILE_SECONDS: Final = 10.0
_KEEP_WORKFLOWS: Final = timedelta(days=7)
_ITEMS_CALL_SECONDS: Final = 120.0
_DRAIN_SECONDS: Final = 8


def main() -> None:
    """``python -m gateway.worker worker --settings FILE``: run until SIGINT or SIGTERM.

    Then what can be finished is finished, and the rest is left to the other workers.
    """
    parser = argparse.ArgumentParser(prog="python -m gateway.worker")
    parser.add_argument("role", choices=["worker"])
    parser.add_argument("--settings", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(Core(load_settings(given.settings))))
    except CrossdockError as error:
        sys.exit(f"crossdock: {error.detail}")


async def _run(core: Core) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    follower = Follower(
        core.store, core.clock, role="worker", initial=initial_configuration(core.settings), adopt=core.adopt
    )
    async with core.opened(), follower.following():
        worker = Worker(core, stop)
        calm_collector()
        await worker.run()


class Worker:
    """Everything that runs beside the gateway, in one event loop."""

    def __init__(self, core: Core, stop: asyncio.Event) -> None:
        self._core = core
        self._ended = stop
        self._stop = asyncio.Event()
        self._prune_at = 0.0
        settings = core.settings
        self._counters = Counters()
        self._subscriptions = core.subscriptions()
        self._turn_sessions = Store(core.store.url, size=settings.worker.concurrency)
        in_turns = (core.stock_operations, core.returns, core.procurement)
        self._operation_sessions = Store(core.store.url, size=sum(each.turning.per_worker for each in in_turns))
        self._backbone = Backbone(core.store, core.nats_url, core.clock)
        self._durable = Durable(
            core.store.url,
            workflows=[
                *core.orders.workflows(self._turn_sessions),
                *(workflow for each in in_turns for workflow in each.workflows(self._operation_sessions)),
            ],
            queues=[
                *core.orders.queues(),
                *(queue for each in in_turns for queue in each.queues()),
            ],
            grace=settings.worker.takeover_seconds,
            clock=core.clock,
            counters=self._counters,
            pinned=self._are_open,
        )
        self._poller = Poller(
            core.store,
            core.directory,
            core.availability,
            core.clock,
            tenant=settings.tenant,
            every=settings.worker.poll_seconds,
            demand=core.availability,
            milestones=core.orders.milestones,
            # The stock of items that nobody knows yet would wait line by line, each in the queue of exceptions.
            prepared=lambda: core.items.were_asked(settings.tenant, [name for name, _ in self._item_sources()]),
        )
        self._left = Backlog(core.store, self._subscriptions, lambda: self._backbone.relayed)
        self._show_state()

    def _show_state(self) -> None:
        show_breakers(self._counters, self._core.outbound.breakers)
        for name, text, read in (
            (
                "crossdock_carrier_connected",
                "1 while this worker is connected to NATS; without it events are read from the record.",
                lambda: [({}, float(self._backbone.connected))],
            ),
            (
                "crossdock_worker_duties",
                "What this worker does on behalf of all: the relay, and consumers of the log.",
                lambda: [({"duty": duty}, 1.0) for duty in sorted(self._backbone.runs)],
            ),
        ):
            self._counters.show(CountedElsewhere(name, text, read, Kind.GAUGE))

    async def _are_open(self, shape: str) -> bool:
        """Whether anything is not over whose turns are of this shape, though it may have none now."""
        core = self._core
        owners = (core.visits, core.orders, core.stock_operations, core.returns, core.procurement)
        return any([await owner.are_open(shape) for owner in owners])

    async def run(self) -> None:
        """Run all of it until `stop`, or until it was drained; what fails for lack of the record is begun again."""
        await self._turn_sessions.open()
        await self._operation_sessions.open()
        try:
            await self._durable.start()
            while not self._ended.is_set() and self._durable.standing is not Standing.DONE:
                await self._stand(self._durable.standing)
        finally:
            await self._durable.stop(drain=_DRAIN_SECONDS)
            await self._turn_sessions.close()
            await self._operation_sessions.close()

    async def _stand(self, standing: Standing) -> None:
        """Do what is to be done beside the turns until that changes: all of it, or, standing aside, nothing."""
        _log.info("this worker is %s", standing)
        self._stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_standing(standing))
            group.create_task(self._again("figures", self._tell_figures))
            if standing is Standing.AT_WORK:
                self._begin_duties(group)

    async def _follow_standing(self, standing: Standing) -> None:
        over = [asyncio.ensure_future(wait) for wait in (self._ended.wait(), self._durable.leaves(standing))]
        await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        for each in over:
            each.cancel()
        self._stop.set()

    def _begin_duties(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._again("backbone", lambda: self._backbone.run(self._subscriptions, self._stop)))
        group.create_task(self._again("items", self._keep_items))
        group.create_task(self._again("customers", self._keep_customers))
        group.create_task(self._again("purchases", self._keep_purchases))
        group.create_task(self._again("projection", self._keep_projection))
        group.create_task(self._again("pacing", self._call_waiting))
        group.create_task(self._again("lags", self._keep_lags))
        group.create_task(self._again("snapshots", self._apply_parts))
        group.create_task(self._again("history", self._keep_history))
        for source, options in self._core.settings.files.items():
            drop = FileDrop(self._core.availability, self._core.settings.tenant, source, options)
            group.create_task(self._again(f"files of {source}", partial(drop.run, self._stop)))
        group.create_task(self._again("poller", lambda: self._poller.run(self._stop)))
        group.create_task(self._again("reconciliation", self._reconcile))
        group.create_task(self._again("exceptions", self._keep_exceptions))
        group.create_task(self._again("notifications", lambda: self._core.notifications.run(self._stop)))
        group.create_task(self._again("publication", lambda: self._core.publication.run(self._stop)))
        group.create_task(self._again("housekeeping", self._keep_house))

    async def _again(self, name: str, work: Work) -> None:
        """Run `work` until `stop`, beginning again when it fails: one part's trouble is not another's."""
        while not self._stop.is_set():
            await attempt(name, work)
            await self._pause(_PAUSE_SECONDS)

    async def _keep_items(self) -> None:
        await self._in_one_worker("items", self._follow_items)

    async def _follow_items(self) -> None:
        """Read items from every system that has them, those of the order-taking systems first."""
        told: dict[str, object] = {}
        while not self._stop.is_set():
            began = self._core.clock.monotonic()
            for name, reader in self._item_sources():
                call = Call(
                    tenant=self._core.settings.tenant,
                    correlation_id=new_id("sync"),
                    deadline=self._core.clock.monotonic() + _ITEMS_CALL_SECONDS,
                )
                try:
                    report = await self._core.items.sync(call, name, reader)
                except CrossdockError as error:
                    _log.warning("items of %s were not read: %s", name, error.detail)
                    continue
                if report.created or report.changed:
                    _log.info("items of %s: %d new, %d changed", name, report.created, report.changed)
                if report.refused and told.get(name) != report.refused:
                    first = report.refused[0]
                    _log.warning(
                        "items of %s: %d refused, the first %s: %s",
                        name, len(report.refused), first.source_code, first.detail,
                    )  # fmt: skip
                told[name] = report.refused
            # Lists are read whole: a long one never takes more than a part of this worker's time.
            await self._rest(began, _TWENTIETH, self._core.settings.worker.poll_seconds)

    def _item_sources(self) -> list[tuple[str, ReadsItems]]:
        found = list(self._core.directory.find(ReadsItems))
        return sorted(found, key=lambda source: not self._core.directory.system(source[0]).offers(TakesOrders))

    async def _keep_customers(self) -> None:
        await self._in_one_worker("customers", self._follow_customers)

    async def _follow_customers(self) -> None:
        """Read what changed in every system's list of customers, and the whole list as often as the settings ask."""
        core, told = self._core, dict[str, object]()
        while not self._stop.is_set():
            for name, lister in core.directory.find(ListsCustomers):
                if not core.customer_lists.is_read(name):
                    continue
                try:
                    read = await core.customer_lists.read(core.settings.tenant, name, lister)
                except CrossdockError as error:
                    _log.warning("customers of %s were not read: %s", name, error.detail)
                    continue
                if read.created or read.changed or read.closed:
                    _log.info(
                        "customers of %s: %d new, %d changed, %d closed", name, read.created, read.changed, read.closed
                    )
                if read.refused and told.get(name) != read.refused:
                    first = read.refused[0]
                    _log.warning("customers of %s: %d refused, the first %s: %s",
                                 name, len(read.refused), first.record, first.detail)  # fmt: skip
                told[name] = read.refused
            await self._pause(core.settings.worker.poll_seconds)

    async def _keep_purchases(self) -> None:
        if self._core.settings.procurement.sources:
            await self._in_one_worker("purchases", self._follow_purchases)

    async def _follow_purchases(self) -> None:
        """Read on in the purchase orders of every ERP that the settings name."""
        core = self._core
        while not self._stop.is_set():
            for name in core.settings.procurement.sources:
                call = Call(
                    tenant=core.settings.tenant,
                    correlation_id=new_id("sync"),
                    deadline=core.clock.monotonic() + _ITEMS_CALL_SECONDS,
                )
                try:
                    reader = core.directory.instance(name, ReadsPurchases)
                    if read := await core.procurement.read(call, name, reader):
                        _log.info("purchase orders of %s: %d new or changed", name, read)
                    books = core.directory.reads_supplier_invoices(name)
                    if books is not None and (heard := await core.procurement.read_bills(call, name, books)):
                        _log.info("suppliers' invoices in %s: %d new or changed", name, heard)
                except CrossdockError as error:
                    _log.warning("purchases in %s were not read: %s", name, error.detail)
            await self._pause(core.settings.worker.poll_seconds)

    async def _keep_projection(self) -> None:
        if self._core.availability.projection is not None:
            await self._core.availability.projection.run(self._stop)

    async def _call_waiting(self) -> None:
        """Call those who wait for a paced system, as it bears them."""
        await Calling(self._core.store, self._core.visits).run(self._stop)

    async def _keep_lags(self) -> None:
        while not self._stop.is_set():
            began = self._core.clock.monotonic()
            await self._core.availability.lags.keep()
            # Counting a busy minute takes longer: never more than a hundredth of the record's time.
            await self._rest(began, _HUNDREDTH, _LAGS_SECONDS)

    async def _apply_parts(self) -> None:
        parts = self._core.availability.parts
        while not self._stop.is_set():
            if not await parts.apply_next():
                await parts.forget()
                await self._pause(_HOUSEKEEPING_SECONDS)

    async def _keep_history(self) -> None:
        while not self._stop.is_set():
            await self._core.availability.history.turn(self._core.settings.tenant, self._stop)
            await self._pause(_HISTORY_SECONDS)

    async def _keep_house(self) -> None:
        core, tenant = self._core, self._core.settings.tenant
        chores: dict[str, Work] = {
            "claims that expire": core.availability.expire,
            "kits that begin": core.kits.tell_begun,
            "shortages": core.availability.shortages.relieve,
            "supply": partial(core.availability.watch_supply, tenant),
            "backorders": partial(core.availability.backorders.attend_starved, tenant),
            "substitutes": partial(core.availability.stand_in, tenant),
            "lost turns of orders": core.orders.sweep,
            "orders that are overdue": core.orders.cancel_overdue,
            "terms that hold orders": core.orders.ask_terms_again,
            "lost turns of stock operations": core.stock_operations.sweep,
            "lost turns of returns": core.returns.sweep,
            "lost turns of purchases": core.procurement.sweep,
            "what DBOS keeps of turns": self._prune,
        }
        while not self._stop.is_set():
            await attempt_all(chores)
            await self._pause(_HOUSEKEEPING_SECONDS)

    async def _prune(self) -> None:
        if self._core.clock.monotonic() < self._prune_at:
            return
        self._prune_at = self._core.clock.monotonic() + _PRUNE_SECONDS
        async with self._core.store.connection() as connection:
            await prune_workflows(connection, older_than=_KEEP_WORKFLOWS)

    async def _keep_exceptions(self) -> None:
        """Keep the queue of exceptions as the owners of troubles tell it, in one worker of all."""
        await self._in_one_worker("exceptions", self._look_for_troubles)

    async def _look_for_troubles(self) -> None:
        exceptions = self._core.exceptions
        while not self._stop.is_set():
            began = self._core.clock.monotonic()
            while await exceptions.bulks.run(self._core.settings.tenant) and not self._stop.is_set():
                pass
            await exceptions.sweep.look(self._core.settings.tenant)
            # A look at very many takes longer: never more than a part of the record's time.
            await self._rest(began, _TWENTIETH, exceptions.options.look_seconds)

    async def _reconcile(self) -> None:
        """Hold accounts against each other as the settings ask, in one worker of all."""
        await self._in_one_worker("reconciliation", self._reconcile_now_and_then)

    async def _in_one_worker(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        leases = Leases(self._core.store.url)
        async with background(leases.run(), name=f"{name}-lease"):
            scheduled = asyncio.ensure_future(leases.while_held(name, work))
            try:
                await self._stop.wait()
            finally:
                scheduled.cancel()
                await asyncio.gather(scheduled, return_exceptions=True)

    async def _reconcile_now_and_then(self) -> None:
        while not self._stop.is_set():
            await self._core.reconciliation.tick()
            await self._pause(_RECONCILE_SECONDS)

    async def _tell_figures(self) -> None:
        metrics = self._core.settings.metrics
        if metrics.worker_port is None:
            await self._stop.wait()
            return
        address = (metrics.host, metrics.worker_port)
        await show_figures(address, self._figures, lambda: sorted(self._backbone.runs), self._stop)

    async def _figures(self) -> list[Family]:
        tallies = Tallies(self._core.reconciliation, self._core.settings.tenant)
        published = await self._core.publication.families() if self._core.publication.names else []
        published += await self._core.orders.families(self._core.settings.tenant)
        published += await backlog_families(self._core.visits)
        published += await worker_families(self._core.store)
        published += await exception_figures.families(self._core.exceptions, self._core.settings.tenant)
        return [*self._counters.families(), *await self._left.families(), *await tallies.families(), *published]

    async def _rest(self, began: float, part: int, seconds: float) -> None:
        """Pause for `seconds`, or for `part` times as long as the work since `began` took, if that is longer."""
        await self._pause(max(seconds, part * (self._core.clock.monotonic() - began)))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


if __name__ == "__main__":
    main()
