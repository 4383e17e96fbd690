"""Orders, shipments and invoices against the ERPs that confirmed them: each is there once, as it was confirmed.

A run looks at so many of an installation's orders and the next goes on from there, round and round: an ERP is asked at
the pace it can bear. Nothing is mended here: whatever is wrong with an order waits for a person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from msgspec import structs

from gateway.canonical.capabilities import Call, FindsAccounts, TellsBooked
from gateway.canonical.order import SystemOrder, SystemShipment
from gateway.canonical.reconciliation import BookedOrder, BookedShipment
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, NotFound
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.reconciliation.invoice_rules import wrong_invoices
from process_apis.reconciliation.models import Cause, Finding, Scope, Tally, What
from process_apis.reconciliation.options import ReconciliationOptions
from process_apis.reconciliation.records import sql, write_finding
from process_apis.reconciliation.rules import wrong_order, wrong_shipment

_asked: Final = queries_beside(__file__, "trouble_queries.sql")
_TWINS: Final = "erp.twin_orders"
_ONE: Final = Decimal(1)
Wrong = tuple[Cause, str, Decimal]


class Documents:
    """Compares what `orders` says was booked with what the ERPs have."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        orders: TellsBooked,
        accounts: FindsAccounts,
        options: ReconciliationOptions,
    ) -> None:
        self._store = store
        self._clock = clock
        self._orders = orders
        self._accounts = accounts
        self._options = options

    async def compare(self, call: Call, run: str, scope: Scope, tally: Tally, *, dry: bool) -> list[Finding]:
        """Look at the next so many orders, or at the shipments booked for them, and at those that somebody asks for."""
        place = f"{scope.what.value}/{scope.source or ''}"
        after = await self._store.fetchval(sql.journal_cursor, call.tenant, place) or ""
        now, limit = self._clock.now(), self._options.orders_per_run
        since = now - timedelta(hours=self._options.window_hours)
        until = now - timedelta(seconds=self._options.in_flight_seconds)
        booked = await self._orders.booked(call.tenant, after=after, since=since, until=until, limit=limit)
        following = booked[-1].order if len(booked) == limit else ""
        rows = await self._store.fetch(_asked.asked_orders, call.tenant, scope.what.value, limit)
        if asked := {row["reference"] for row in rows} - {each.order for each in booked}:
            booked = [
                *booked,
                *await self._orders.booked(
                    call.tenant, after="", since=since, until=until, limit=limit, orders=sorted(asked)
                ),
            ]
        look = {What.ORDERS: self._order, What.INVOICES: self._invoices}.get(scope.what, self._shipments)
        found: list[Finding] = []
        for each in booked:
            if scope.source in (None, each.system):
                found += await self._look(call, run, scope.what, each, look, tally, dry=dry)
        if not dry:
            await self._store.execute(sql.keep_cursor, call.tenant, place, following)
        tally.differing += len(found)
        return found

    async def _look(
        self,
        call: Call,
        run: str,
        what: What,
        booked: BookedOrder,
        look: Callable[[Call, BookedOrder, Tally], Awaitable[Mapping[str, Wrong]]],
        tally: Tally,
        *,
        dry: bool,
    ) -> list[Finding]:
        wrong = await look(call, booked, tally)
        findings = [
            Finding(
                finding="",
                run=run,
                what=what,
                against="erp",
                scope=f"{booked.system}/{run}",
                cause=cause,
                source=booked.system,
                code=code,
                reference=booked.order,
                amount=amount,
                detail=detail,
            )
            for code, (cause, detail, amount) in wrong.items()
        ]
        if not dry:
            await self._write(call.tenant, what, booked, findings)
        return findings

    async def _order(self, call: Call, booked: BookedOrder, tally: Tally) -> dict[str, Wrong]:
        tally.compared += 1
        erp = self._accounts.takes_orders(booked.system)
        found: SystemOrder | None = None
        try:
            found = await erp.find_order(call, reference=booked.order)
        except NotFound:
            pass
        except Conflict as conflict:
            if conflict.code != _TWINS:
                raise
            return {"": (Cause.SOURCE_ONLY, f"{conflict.detail}: cancel one of them in {booked.system}", _ONE)}
        wrong = wrong_order(booked, found)
        return {} if wrong is None else {"": (*wrong, _ONE)}

    async def _shipments(self, call: Call, booked: BookedOrder, tally: Tally) -> dict[str, Wrong]:
        wrong: dict[str, Wrong] = {}
        for shipment in booked.shipments:
            tally.compared += 1
            found = await self._posting(call, booked, shipment)
            if (verdict := wrong_shipment(shipment, found, booked.system)) is not None:
                wrong[shipment.posting] = verdict
        return wrong

    async def _invoices(self, call: Call, booked: BookedOrder, tally: Tally) -> Mapping[str, Wrong]:
        erp = self._accounts.reads_invoices(booked.system)
        if erp is None or not booked.shipments:
            return {}
        tally.compared += len(booked.shipments)
        found = await erp.read_invoices(call, reference=booked.order)
        due_before = self._clock.now() - timedelta(hours=self._options.invoice_hours)
        return wrong_invoices(booked, found, due_before=due_before, tolerance=self._options.invoice_tolerance)

    async def _posting(self, call: Call, booked: BookedOrder, shipment: BookedShipment) -> SystemShipment | None:
        erp = self._accounts.posts_shipments(booked.system)
        try:
            return await erp.find_posting(call, reference=booked.order, posting=shipment.posting)
        except NotFound:
            return None

    async def _write(self, tenant: str, what: What, booked: BookedOrder, findings: Sequence[Finding]) -> None:
        async with self._store.transaction() as connection:
            await connection.execute(sql.lock_document, f"{tenant}/{what.value}/{booked.order}")
            rows = await connection.fetch(sql.findings_of_order, tenant, what.value, booked.system, booked.order)
            standing = {row["code"]: row for row in rows if row["state"] == "open"}
            refused = {(row["code"], row["detail"]) for row in rows if row["state"] in ("rejected", "accepted")}
            for each in findings:
                known = standing.pop(each.code, None)
                if known is None and (each.code, each.detail) in refused:
                    continue
                scope = each.scope if known is None else known["scope"]
                if known is not None and known["class"] != each.cause.value:
                    standing[each.code] = known
                await write_finding(connection, tenant, structs.replace(each, scope=scope))
            if standing:
                gone = [row["finding"] for row in standing.values()]
                await connection.execute(sql.explain_findings, tenant, gone)
