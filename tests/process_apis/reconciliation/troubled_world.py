"""A simulated distributor whose feeds lose, delay and garble events, and whose warehouses change things in silence.

`warehouse_world` plays the truth; here each event it tells is given a fate, and what was done in silence is noted, so
that a test knows why each figure will differ before anybody looks.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec

from gateway.canonical.capabilities import Report
from gateway.canonical.item import ReportedItem
from gateway.canonical.stock import ReportedMovement
from gateway.kernel.clock import SystemClock
from gateway.kernel.quantity import UnitConversion
from process_apis.reconciliation.process import Reconciliation
from tests.process_apis.availability.books import SOURCES, Books
from tests.process_apis.availability.warehouse_world import SKUS, UNITS, Action, Truth

FATES = ("told", "lost", "late", "garbled")
VERBS = ["receive", "put_away", "pick", "pick", "unpick", "ship", "ship", "adjust", "change", "dispatch", "arrive",
         "come_back", "dispose", "lose", "snapshot", "restore"]  # fmt: skip


class Journal:
    """What a source can be asked to tell again: all of it, in pages."""

    def __init__(self, told: list[ReportedMovement]) -> None:
        self._told = told
        self.pages = 0

    async def read_movements(self, call: Any, *, cursor: str | None) -> tuple[Report, str | None]:
        self.pages += 1
        start = int(cursor or 0)
        page = self._told[start : start + 7]
        return Report(movements=tuple(page)), str(start + len(page)) if page else cursor


class Accounts:
    """`FindsAccounts`: the journals of some sources, and nobody to be asked afresh."""

    def __init__(self, journals: dict[str, Journal]) -> None:
        self._journals = journals

    def journals(self, tenant: str) -> dict[str, Journal]:
        return self._journals

    def owners(self, tenant: str) -> list[Any]:
        return []

    def ledgers(self, tenant: str) -> list[Any]:
        return []

    def posts_adjustments(self, instance: str) -> None:
        return None


class Nothing:
    """`TellsUnposted` where nothing is shipped."""

    async def unposted(self, tenant: str, locations: Any) -> list[Any]:
        return []


class TroubledWorld:
    """Plays, tells with trouble, mends, and holds what reconciliation found against what was done."""

    def __init__(self, store: Any, played: list[tuple[Action, str]]) -> None:
        self.truth = Truth()
        self.books = Books(store)
        self.store = store
        self.fates: dict[tuple[str, str], str] = {}
        self.hidden: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
        self.truth.open()
        for action, fate in played:
            self._play(action, fate)
        for feed in self.truth.feeds:
            self.truth._full_snapshot(feed)
        movements = [each for each in self.truth.reports if isinstance(each, ReportedMovement)]
        journals = {
            source: Journal([self._as_told(each) for each in movements if each.source == source])
            for source in SOURCES.values()
        }
        self.accounts = Accounts(journals)

    def _play(self, action: Action, fate: str) -> None:
        if action.verb == "lose":
            # So much that no event makes up for it: what cancels out nobody can see.
            action = action._replace(amount=action.amount + 50_000, choice=0)
        before, told = dict(self.truth.stock), len(self.truth.reports)
        self.truth.play(action)
        if action.verb == "lose":
            for key in {*before, *self.truth.stock}:
                self.hidden[key] += self.truth.stock.get(key, Decimal(0)) - before.get(key, Decimal(0))
        for each in self.truth.reports[told:]:
            if isinstance(each, ReportedMovement):
                garbled = fate == "garbled" and each.source != "wms_n"
                self.fates[each.source, each.event_id] = fate if garbled or fate != "garbled" else "told"

    def fate(self, each: ReportedMovement) -> str:
        return self.fates[each.source, each.event_id]

    def _as_told(self, each: ReportedMovement) -> ReportedMovement:
        """Garbled is told in a unit that nobody knows yet."""
        if self.fate(each) != "garbled":
            return each
        factor = dict(UNITS[each.source_item.rpartition(":")[2]][1]).get(each.uom, Decimal(1))
        return msgspec.structs.replace(each, uom="BX", amount=each.amount * factor)

    async def tell(self) -> None:
        """Everything but what is lost; late is what comes after the last snapshot, and units are mended in the end."""
        await self.books.open(self.truth)
        late: list[ReportedMovement] = []
        for each in self.truth.reports:
            if not isinstance(each, ReportedMovement):
                await self.books.tell([each])
            elif self.fate(each) == "late":
                late.append(each)
            elif self.fate(each) != "lost":
                await self.books.tell([self._as_told(each)])
        await self.books.tell(late)

    async def mend(self) -> None:
        known = [
            ReportedItem(source_code="elsewhere" if sku == "C" else f"wms_n:{sku}", sku=sku, name=sku,
                         base_uom=UNITS[sku][0],
                         packs=(*(UnitConversion(*pack) for pack in UNITS[sku][1].items()),
                                UnitConversion("BX", Decimal(1))))
            for sku in SKUS
        ]  # fmt: skip
        await self.books.items.adopt(self.books.tenant, "wms_n", known, correlation_id="mend")
        await self.books.availability.unpark(self.books.tenant)

    def reconciliation(self, **more: Any) -> Reconciliation:
        books = self.books
        return Reconciliation(
            self.store, SystemClock(), tenant=books.tenant, stock=books.availability.examiner,
            records=books.availability, orders=Nothing(), items=books.items, accounts=self.accounts, **more,
        )  # fmt: skip
