"""Purchase orders in, as an ERP tells them: once per version, mapped to what we know, or waiting with the cause."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.location import LocationMap
from gateway.canonical.purchase import (
    PURCHASE_PREFIX,
    PurchaseStatus,
    ReportedPurchase,
    ReportedPurchaseLine,
)
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import COUNTED_UNITS, plain
from gateway.store.postgres import Store
from process_apis.procure_to_pay.models import Purchase, PurchaseLine
from process_apis.procure_to_pay.records import encoded, load, lock, save, save_told, sql
from process_apis.procure_to_pay.settling import Settling

_LARGEST_LINE: Final = 9_999_999


class _Unknown(Exception):
    """What cannot be mapped: a stable code and what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


class Intake:
    """Takes what ERPs tell."""

    def __init__(self, store: Store, items: ResolvesItems, locations: LocationMap, settling: Settling) -> None:
        self._store = store
        self._items = items
        self._locations = locations
        self._settling = settling

    async def take(self, tenant: str, told: Sequence[ReportedPurchase], correlation: str) -> Sequence[Purchase]:
        """Those that are new or changed, each in a transaction of its own. Older news changes nothing.

        An order that was over before we heard of it is left out: there is nothing to ask of anybody.
        """
        taken = [await self._take(tenant, each, correlation) for each in told]
        return [each for each in taken if each is not None]

    async def _take(self, tenant: str, told: ReportedPurchase, correlation: str) -> Purchase | None:
        items = await self._items_of(tenant, told)
        async with self._store.transaction() as connection:
            if told.status is not PurchaseStatus.APPROVED and not await connection.fetchval(
                sql.is_known, tenant, told.source, told.number
            ):
                return None
            purchase = await begin(connection, tenant, told, test=False)
            now = await lock(connection, purchase)
            before = await load(connection, purchase)
            # One version told with two contents: what was read later is what the ERP has now.
            older = (told.order_key.epoch, told.order_key.sequence) < (before.epoch, before.sequence)
            if before.version and (older or told == before.reported):
                return None
            if before.version and before.cause is None and _is_restated(before.reported, told):
                await save(connection, _of(before, told))
                return None
            return await self._map(connection, _of(before, told), items, now, correlation)

    async def mend(self, tenant: str, purchase: str, correlation: str) -> Purchase:
        """Try again to map what waits; what still cannot be goes on waiting."""
        async with self._store.transaction() as connection:
            return await self.mend_within(connection, tenant, purchase, correlation)

    async def mend_within(self, connection: Connection, tenant: str, purchase: str, correlation: str) -> Purchase:
        """`mend` in the caller's transaction."""
        now = await lock(connection, purchase, tenant)
        before = await load(connection, purchase)
        if before.cause is None:
            return before
        return await self._map(connection, before, await self._items_of(tenant, before.reported), now, correlation)

    async def mend_all(self, tenant: str, correlation: str) -> int:
        """Try everything that waits; returns how much of it went on."""
        after, mended = "", 0
        while rows := await self._store.fetch(sql.unmapped, tenant, after, 100):
            for row in rows:
                after = row["purchase"]
                mended += (await self.mend(tenant, after, correlation)).cause is None
        return mended

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _items_of(self, tenant: str, told: ReportedPurchase) -> dict[str, Item]:
        codes = sorted({line.source_item for line in told.lines})
        return dict(await self._items.by_source(tenant, told.source, codes))

    async def _map(
        self, connection: Connection, purchase: Purchase, items: dict[str, Item], now: datetime, correlation: str
    ) -> Purchase:
        told, first = purchase.reported, purchase.approved_at is None
        try:
            supplier = await self._supplier(connection, purchase.tenant, told)
            location = self._location(purchase.tenant, told)
            lines = tuple(_line(line, items.get(line.source_item), told) for line in told.lines)
        except _Unknown as unknown:
            waiting = replace(purchase, cause=unknown.code, detail=unknown.detail)
            why = {"cause": unknown.code, "detail": unknown.detail}
            if (purchase.cause, purchase.detail) != (waiting.cause, waiting.detail) or purchase.version == 0:
                return await save_told(connection, waiting, [("purchase_order.unmapped", why)], now, correlation)
            return purchase
        mapped = replace(
            purchase, supplier=supplier, location=location, lines=(*lines, *_gone(purchase, lines)), cause=None,
            detail=None, approved_at=purchase.approved_at or now,
        )  # fmt: skip
        kind = "purchase_order.approved" if first else "purchase_order.changed"
        if told.status is PurchaseStatus.CANCELLED:
            kind = "purchase_order.cancelled"
        said = {"status": told.status, "currency": told.currency, "lines": [_told(line) for line in lines]}
        return await self._settling.settle(connection, mapped, [(kind, said)], now, correlation)

    def _location(self, tenant: str, told: ReportedPurchase) -> str:
        place = self._locations.by_code(tenant, told.source, told.source_location)
        if place is None:
            detail = f"{told.source} knows a location {told.source_location!r}: add its code to one of ours"
            raise _Unknown("purchase.location_unknown", detail)
        return place.location

    async def _supplier(self, connection: Connection, tenant: str, told: ReportedPurchase) -> str:
        row = await connection.fetchrow(sql.supplier_of_code, tenant, told.source, told.source_supplier)
        if row is None:
            detail = f"{told.source} knows a supplier {told.source_supplier!r}: make it known, with that code"
            raise _Unknown("purchase.supplier_unknown", detail)
        if row["state"] != "active":
            detail = f"supplier {row['supplier']} is {row['state']}: finish its onboarding, and the order goes out"
            raise _Unknown("purchase.supplier_not_active", detail)
        supplier: str = row["supplier"]
        return supplier


async def begin(connection: Connection, tenant: str, told: ReportedPurchase, *, test: bool) -> str:
    """The id of the purchase of that number, made where it is new: then what came in under it before is its own."""
    await connection.execute(sql.lock_number, tenant, told.number)
    made = await connection.fetchval(
        sql.insert_purchase, tenant, new_id(PURCHASE_PREFIX), told.source, told.number, told.status, told.currency,
        told.order_key.epoch, told.order_key.sequence, encoded(told), test,
    )  # fmt: skip
    if made is not None and not test:
        await connection.execute(sql.adopt_receipts, tenant, told.number, made)
    found: str = made or await connection.fetchval(sql.lock_by_number, tenant, told.source, told.number)
    return found


def _is_restated(before: ReportedPurchase, told: ReportedPurchase) -> bool:
    """Only the version moved: ERPs count up for what is booked under an order too, our own postings among it."""
    return replace(told, order_key=before.order_key) == before


def _of(before: Purchase, told: ReportedPurchase) -> Purchase:
    return replace(
        before, reported=told, status=told.status, currency=told.currency,
        epoch=told.order_key.epoch, sequence=told.order_key.sequence,
    )  # fmt: skip


def _line(line: ReportedPurchaseLine, item: Item | None, told: ReportedPurchase) -> PurchaseLine:
    if item is None:
        detail = f"{told.source} knows an item {line.source_item!r}: add its code to an item's cross-references"
        raise _Unknown("purchase.item_unknown", detail)
    conversion = item.factor(line.uom)
    if conversion is None:
        raise _Unknown("purchase.unit_unknown", f"{item.sku} has no unit {line.uom}: add it to the item's packs")
    base = line.amount * conversion.factor
    if line.amount <= 0 or not 0 < line.line <= _LARGEST_LINE:
        raise _Unknown(
            "purchase.line_invalid", f"line {line.line} of {plain(line.amount)}: correct it in {told.source}"
        )
    if item.base_uom in COUNTED_UNITS and base != base.to_integral_value():
        detail = f"{plain(line.amount)} {line.uom} is {plain(base)} {item.base_uom} of {item.sku}: pieces are whole"
        raise _Unknown("purchase.not_exact", detail)
    if line.unit_price.currency != told.currency:
        detail = f"line {line.line} is priced in {line.unit_price.currency}, the order in {told.currency}"
        raise _Unknown("purchase.currency", f"{detail}: correct it in {told.source}")
    return PurchaseLine(
        line=line.line,
        item=item.item,
        sku=item.sku,
        source_item=line.source_item,
        amount=line.amount,
        uom=line.uom,
        factor=conversion.factor,
        base_uom=item.base_uom,
        unit_price=line.unit_price.amount,
        requested=line.requested,
        supplier_item=line.supplier_item,
    )


def _gone(before: Purchase, lines: Sequence[PurchaseLine]) -> list[PurchaseLine]:
    """Lines that the ERP took out stand on with nothing: what was said of them is about nothing else."""
    kept = {line.line for line in lines}
    return [replace(line, amount=Decimal(0)) for line in before.lines if line.line not in kept]


def _told(line: PurchaseLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in ("line", "item", "amount", "uom", "requested")}
