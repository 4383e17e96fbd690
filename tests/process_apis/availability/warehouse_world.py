"""A simulated distributor: the truth in four warehouses, and what five feeds say of it. Knows nothing of the ledger.

Physical stock, orders, transfers and returns are played action by action; each writes what its warehouse's system will
report, in that system's codes and units and at its place in that system's order. The systems differ: `wms_n` numbers
its events and counts in cases, `wms_s` has a coarse clock that is hours off (so events tie), `wms_w` was restored from
a backup (so its sequence starts again in a new epoch) and keeps lots, `tpl_e` only tells what it shipped. `erp` talks
about all of them and holds none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from gateway.canonical.stock import (
    Bucket,
    MovementType,
    OrderKey,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
OPENING = Decimal(600)
SKUS = ("A", "B", "K", "C")
"""A, B and C count in pieces (a case is 12), K in kilograms (told in grams too). `wms_n` knows C by a code of its own
that nobody has mapped yet."""
UNITS = {
    "A": ("EA", {"CS": Decimal(12)}),
    "B": ("EA", {"CS": Decimal(12)}),
    "C": ("EA", {"CS": Decimal(12)}),
    "K": ("KGM", {"GRM": Decimal("0.001")}),
}
VERBS = [
    "receive", "put_away", "pick", "pick", "pick", "unpick", "ship", "ship", "ship", "adjust", "adjust", "change",
    "dispatch", "arrive", "come_back", "dispose", "lose", "count", "miscount", "snapshot", "snapshot",
    "restore", "gossip",
]  # fmt: skip
ZERO = Decimal(0)

Key = tuple[str, str, str, str]
"""Place, SKU, bucket, lot."""


@dataclass
class Feed:
    """How one warehouse's system orders and tells its events."""

    source: str
    place: str
    picks: bool = True
    lots: tuple[str, ...] = ("",)
    clock: bool = False
    skew: timedelta = timedelta()
    restarts: bool = False
    epoch: int = 1
    sequence: int = 0
    ids: int = 0

    def name(self) -> str:
        self.ids += 1
        return f"{self.epoch}-{self.ids:05}"

    def moment(self) -> datetime:
        """Its own idea of now."""
        return START + self.skew + timedelta(seconds=self.sequence, days=self.epoch)

    def step(self, *, always: bool = False) -> None:
        """Move its order on: a clock only now and then, so that events tie."""
        if always or not self.clock or self.ids % 3 == 0:
            self.sequence += 1

    def key(self) -> OrderKey:
        return OrderKey(self.epoch, int(self.moment().timestamp() * 1_000_000) if self.clock else self.sequence)


class Action(NamedTuple):
    """One thing that happens; numbers are read as each verb needs them."""

    verb: str
    place: int
    sku: int
    amount: int
    choice: int
    misreported: bool


@dataclass
class Promise:
    """What we promise to one order: claimed once, perhaps released."""

    order: str
    lines: dict[int, tuple[str, str, Decimal]]
    released: bool


@dataclass
class Truth:
    """Play actions, then read what is true (`stock`, `picked`, `shipped`, `balances`) and what is said (`reports`)."""

    feeds: list[Feed] = field(
        default_factory=lambda: [
            Feed("wms_n", "N"),
            Feed("wms_s", "S", clock=True, skew=timedelta(hours=-7)),
            Feed("wms_w", "W", restarts=True, lots=("", "L1", "L2")),
            Feed("tpl_e", "E", picks=False, clock=True, skew=timedelta(hours=3)),
        ]
    )
    stock: dict[Key, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    picked: dict[tuple[str, int, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    shipped: dict[tuple[str, int, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    waiting: dict[tuple[str, str, str, str, int, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    opened: dict[tuple[str, str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    closed: dict[tuple[str, str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    promises: list[Promise] = field(default_factory=list)
    opening: list[ReportedSnapshot] = field(default_factory=list)
    reports: list[ReportedMovement | ReportedSnapshot] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    told: int = 0

    # --- what may happen ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Opening stock, told by a full snapshot of each warehouse."""
        for feed in self.feeds:
            for sku in SKUS:
                if sku != "C":
                    self.stock[feed.place, sku, "sellable", ""] = OPENING
            self.opening.append(self._counted(feed, full=True))
            feed.step(always=True)

    def play(self, action: Action) -> None:
        feed = self.feeds[action.place % len(self.feeds)]
        sku = SKUS[action.sku % len(SKUS)]
        amount = _measure(sku, action)
        lot = feed.lots[action.choice % len(feed.lots)]
        verb: Callable[..., None] = getattr(self, f"_{action.verb}")
        verb(feed, sku, amount, lot, action)

    def close(self) -> None:
        """What went missing unseen is found by a last full snapshot of that warehouse."""
        for feed in self.feeds:
            if feed.place in self.hidden:
                self._full_snapshot(feed)

    def _receive(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        target = "sellable" if action.choice == 1 else "receiving"
        more = {"to_bucket": Bucket.SELLABLE} if target == "sellable" else {}
        document = f"PO{action.choice % 2}"
        self.closed["receipt", document, sku] += amount
        self._move(feed, "receipt_posted", sku, amount, lot, None, target, action, document=document, **more)

    def _put_away(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        self._move(feed, "put_away", sku, amount, lot, "receiving", "sellable", action)

    def _pick(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        if feed.picks:
            group = self._group(action, sku)
            self.waiting[feed.place, sku, lot, *group] += amount
            self._handle(self.picked, group, feed, amount)
            self._move(feed, "pick_confirmed", sku, amount, lot, "sellable", "picked", action, **_named(group))

    def _unpick(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        if (found := self._packed(feed, action)) is not None:
            sku, lot, order, line, document = found
            group = (order, line, document)
            amount = min(_measure(sku, action), self.waiting[feed.place, *found])
            self.waiting[feed.place, *found] -= amount
            self._handle(self.picked, group, feed, -amount)
            self._move(feed, "unpicked", sku, amount, lot, "picked", "sellable", action, **_named(group))

    def _ship(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        group = self._group(action, sku)
        if not feed.picks:
            group = (f"{group[0]}-E" if group[0] else "", *group[1:])
        elif (found := self._packed(feed, action)) is not None:
            sku, lot, *_ = found
            group = found[2:]
            amount = min(_measure(sku, action), self.waiting[feed.place, *found])
            self.waiting[feed.place, *found] -= amount
        else:
            return
        self._handle(self.shipped, group, feed, amount)
        origin = "picked" if feed.picks else "sellable"
        self._move(feed, "shipment_confirmed", sku, amount, lot, origin, None, action, **_named(group))

    def _adjust(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        # Books go below zero too: a system may post what left before what came.
        signed = -amount if action.choice % 3 else amount
        bucket = "damaged" if action.choice == 4 else "sellable"
        more = {"to_bucket": Bucket.DAMAGED} if bucket == "damaged" else {}
        self._move(feed, "stock_adjusted", sku, signed, lot, None, bucket, action, **more)

    def _change(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        ways = [("sellable", "damaged"), ("sellable", "quality_hold"), ("quality_hold", "sellable")]
        origin, target = ways[action.choice % len(ways)]
        both = {"from_bucket": Bucket(origin), "to_bucket": Bucket(target)}
        self._move(feed, "status_changed", sku, amount, lot, origin, target, action, **both)

    def _dispatch(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        document = f"T{action.choice % 2}"
        self.opened["transfer", document, sku] += amount
        self._move(feed, "transfer_dispatched", sku, amount, lot, "sellable", None, action, document=document)

    def _arrive(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        document = f"T{action.choice % 2}"
        self.closed["transfer", document, sku] += amount
        self._move(feed, "transfer_received", sku, amount, lot, None, "receiving", action, document=document)

    def _come_back(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        document = f"R{action.choice % 2}"
        self.opened["return", document, sku] += amount
        self._move(feed, "return_received", sku, amount, lot, None, "returned", action, document=document)

    def _dispose(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        document, target = f"R{action.choice % 2}", ("sellable", "damaged", None)[action.choice % 3]
        amount = min(amount, self.opened["return", document, sku] - self.closed["return", document, sku])
        if amount > 0:
            self.closed["return", document, sku] += amount
            more = {"to_bucket": Bucket(target)} if target else {}
            kind = "return_dispositioned"
            self._move(feed, kind, sku, amount, lot, "returned", target, action, document=document, **more)

    def _lose(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        """Goods go, or an event does, and nobody says so: some of one figure, or all of another."""
        aside = sorted(key for key, n in self.stock.items() if key[0] == feed.place and n and key[2] != "sellable")
        if aside and action.choice % 2:
            self.stock[aside[action.amount % len(aside)]] = ZERO
        else:
            self.stock[feed.place, sku, "sellable", lot] -= amount
        self.hidden.add(feed.place)

    def _count(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        feed.step(always=True)
        figure = self.stock[feed.place, sku, "sellable", lot]
        self._tell(feed, "cycle_counted", sku, figure, lot, misreported=action.misreported)
        feed.step(always=True)

    def _miscount(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        """A count that was entered for another item, and at a later time; then corrected."""
        feed.step(always=True)
        self.told += 1
        right = self._movement(feed, "cycle_counted", sku, self.stock[feed.place, sku, "sellable", lot], lot, {})
        other = f"{feed.source}:{'B' if sku == 'A' else 'A'}"
        key = right.order_key if action.choice % 2 else OrderKey(right.order_key.epoch, right.order_key.sequence + 3)
        wrong = msgspec.structs.replace(right, source_item=other, uom="EA", amount=amount.to_integral_value(),
                                        order_key=key)  # fmt: skip
        self.reports += [wrong, msgspec.structs.replace(right, revision=1)]
        feed.step(always=True)

    def _snapshot(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        if action.choice % 2:
            self._full_snapshot(feed)
            return
        keys = {key for key in self.stock if key[:2] == (feed.place, sku)} | {(feed.place, sku, "sellable", lot)}
        self.reports.append(self._counted(feed, full=False, keys=keys, bins=action.choice == 2))
        feed.step(always=True)

    def _full_snapshot(self, feed: Feed) -> None:
        self.reports.append(self._counted(feed, full=True, bins=True))
        self.hidden.discard(feed.place)
        feed.step(always=True)

    def _restore(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        if feed.restarts:
            feed.epoch, feed.sequence = feed.epoch + 1, 0

    def _gossip(self, feed: Feed, sku: str, amount: Decimal, lot: str, action: Action) -> None:
        """The ERP's own account of what it does not hold."""
        erp = replace(feed, source="erp", ids=len(self.reports) * 10, clock=False)
        self.reports.append(self._movement(erp, "stock_adjusted", sku, amount, "", {}))
        figure = ReportedFigure(
            source_item=f"erp:{sku}",
            source_location=feed.place,
            bucket=Bucket.SELLABLE,
            amount=amount,
            uom=UNITS[sku][0],
        )
        self.reports.append(self._head(erp, (figure,), full=action.choice % 2 == 1))

    # --- how it is told -------------------------------------------------------------------------------------------

    def _group(self, action: Action, sku: str) -> tuple[str, int, str]:
        """Order, line, document: an order that is promised, one that is not, or a document alone."""
        order = ("ord_1", "ord_2", "ord_9", "")[action.choice % 4]
        return order, 0 if not order else 1 + SKUS.index(sku), "" if order else "D1"

    def _packed(self, feed: Feed, action: Action) -> tuple[str, str, str, int, str] | None:
        """Something that was picked here and waits: SKU, lot and what it was picked for."""
        some = sorted(key[1:] for key, amount in self.waiting.items() if key[0] == feed.place and amount > 0)
        return some[action.amount % len(some)] if some else None

    def _handle(
        self, counter: dict[tuple[str, int, str], Decimal], group: tuple[str, int, str], feed: Feed, amount: Decimal
    ) -> None:
        if group[0]:
            counter[group[0], group[1], feed.place] += amount

    def _move(
        self,
        feed: Feed,
        kind: str,
        sku: str,
        amount: Decimal,
        lot: str,
        origin: str | None,
        target: str | None,
        action: Action,
        **more: Any,
    ) -> None:
        if origin:
            self.stock[feed.place, sku, origin, lot] -= amount
        if target:
            self.stock[feed.place, sku, target, lot] += amount
        feed.step()
        self._tell(feed, kind, sku, amount, lot, misreported=action.misreported, **more)

    def _tell(
        self, feed: Feed, kind: str, sku: str, amount: Decimal, lot: str, *, misreported: bool, **more: Any
    ) -> None:
        self.told += 1
        told = self._movement(feed, kind, sku, amount, lot, more)
        if misreported:
            # First told wrongly (too much, or of another item), then corrected under the same id.
            self.reports.append(
                msgspec.structs.replace(told, amount=told.amount + 2)
                if self.told % 2
                else msgspec.structs.replace(told, source_item=f"{feed.source}:{'B' if sku == 'A' else 'A'}", uom="EA",
                                             amount=Decimal(3))
            )  # fmt: skip
            told = msgspec.structs.replace(told, revision=1)
        self.reports.append(told)

    def _movement(
        self, feed: Feed, kind: str, sku: str, amount: Decimal, lot: str, more: dict[str, Any]
    ) -> ReportedMovement:
        uom, factor = _unit(sku, amount, feed.ids)
        return ReportedMovement(
            source=feed.source,
            event_id=feed.name(),
            line=0,
            order_key=feed.key(),
            type=MovementType(kind),
            occurred_at=feed.moment(),
            source_item=f"{feed.source}:{sku}",
            source_location=feed.place,
            amount=amount / factor,
            uom=uom,
            lot=lot or None,
            **more,
        )

    def _counted(self, feed: Feed, *, full: bool, keys: set[Key] | None = None, bins: bool = False) -> ReportedSnapshot:
        known = {key: amount for key, amount in self.stock.items() if key[0] == feed.place and amount}
        figures: list[ReportedFigure] = []
        for key in sorted(keys if keys is not None else known):
            whole = known.get(key, ZERO)
            # A figure may come as several: one for each bin.
            for part in (whole - 1, Decimal(1)) if bins and key[1] != "K" else (whole,):
                uom, factor = _unit(key[1], part, len(figures))
                figures.append(
                    ReportedFigure(
                        source_item=f"{feed.source}:{key[1]}",
                        source_location=feed.place,
                        bucket=Bucket(key[2]),
                        amount=part / factor,
                        uom=uom,
                        lot=key[3] or None,
                    )
                )
        return self._head(feed, tuple(figures), full=full)

    def _head(self, feed: Feed, figures: tuple[ReportedFigure, ...], *, full: bool) -> ReportedSnapshot:
        return ReportedSnapshot(
            source=feed.source,
            event_id=feed.name(),
            cut_off=feed.key(),
            taken_at=feed.moment(),
            full=full,
            locations=(feed.place,),
            figures=figures,
        )

    # --- what is true ---------------------------------------------------------------------------------------------

    def promise(self, order: str, amounts: list[int], *, released: bool, place: str) -> None:
        skus = [sku for sku in SKUS if sku != "C"]
        lines = {1 + SKUS.index(sku): (sku, place, Decimal(n)) for sku, n in zip(skus, amounts, strict=False) if n}
        if lines:
            self.promises.append(Promise(order, lines, released))

    def claims(self) -> dict[tuple[str, int], tuple[Decimal, Decimal, Decimal]]:
        """By order line: promised, consumed by its handling, still open."""
        found = {}
        for promise in self.promises:
            for line, (_, _, amount) in promise.lines.items():
                gone = [
                    sum((n for (order, no, _), n in counter.items() if (order, no) == (promise.order, line)), ZERO)
                    for counter in (self.picked, self.shipped)
                ]
                consumed = min(amount, max(gone))
                found[promise.order, line] = (amount, consumed, ZERO if promise.released else amount - consumed)
        return found


def _measure(sku: str, action: Action) -> Decimal:
    return Decimal(action.amount) / 8 if sku == "K" else Decimal(action.amount)


def _unit(sku: str, amount: Decimal, turn: int) -> tuple[str, Decimal]:
    """The unit a figure is told in: the other one where it comes out whole and it is its turn."""
    base, packs = UNITS[sku]
    ((other, factor),) = packs.items()
    return (other, factor) if turn % 2 and amount % factor == 0 else (base, Decimal(1))


def _named(group: tuple[str, int, str]) -> dict[str, Any]:
    order, line, document = group
    return {"order_reference": order, "order_line": line} if order else {"document": document}
