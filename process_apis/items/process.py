"""Items, kept from the systems that publish them and resolved for everybody else (`ResolvesItems`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from gateway.canonical.capabilities import Call, Connection, ReadsItems
from gateway.canonical.events import Event
from gateway.canonical.item import Item, ReportedItem
from gateway.kernel.clock import Clock
from gateway.kernel.errors import NotFound
from gateway.kernel.ids import new_id
from gateway.reference.csv_rows import Layout, RefusedRow, Row
from gateway.reference.importing import Taken
from gateway.store import log
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.items.files import LAYOUT, codes_of_row, readable
from process_apis.items.known import KnownItems
from process_apis.items.models import ITEM_PREFIX, Known, KnownItem, Plan, SyncReport, item_of_row
from process_apis.items.rules import plan

_sql: Final = queries_beside(__file__)


class Items:
    """The items process. Safe to use from any number of tasks; one per process, for its copy."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, KnownItems] = {}

    # --- from the systems -----------------------------------------------------------------------------------------

    async def sync(self, call: Call, source: str, reader: ReadsItems) -> SyncReport:
        """Read all items of `source`, page by page, each page one transaction. Running it again changes nothing."""
        total, cursor = SyncReport(), None
        while True:
            page = await reader.read_items(call, cursor=cursor)
            total = total.plus(await self.adopt(call.tenant, source, page.items, correlation_id=call.correlation_id))
            cursor = page.next_cursor
            if cursor is None:
                return total

    async def adopt(
        self, tenant: str, source: str, reported: Sequence[ReportedItem], *, correlation_id: str
    ) -> SyncReport:
        """Take one page of reported items, in one transaction with its `item.changed` events."""
        async with self._store.transaction() as connection:
            report = await self._adopt_in(connection, tenant, source, reported, correlation_id)
        self._forget(tenant)
        return report

    async def _adopt_in(
        self, connection: Connection, tenant: str, source: str, reported: Sequence[ReportedItem], correlation_id: str
    ) -> SyncReport:
        version = await connection.fetchval(_sql.next_catalogue_version, tenant)
        known = await self._read_known(connection, tenant, source, reported)
        made = plan(source, reported, known, lambda: new_id(ITEM_PREFIX))
        await self._write(connection, tenant, source, made, version, correlation_id)
        changed = len(made.described) - len(made.created) + len(made.touched)
        return SyncReport(
            created=len(made.created), changed=changed, unchanged=made.unchanged, refused=tuple(made.refused)
        )

    async def cross_reference(
        self, tenant: str, source: str, skus_by_code: Mapping[str, str], *, correlation_id: str
    ) -> Sequence[str]:
        """Say which SKU each code of `source` means; returns the codes whose SKU is unknown, which are left out."""
        async with self._store.transaction() as connection:
            version = await connection.fetchval(_sql.next_catalogue_version, tenant)
            rows = await connection.fetch(_sql.items_by_sku, tenant, sorted(set(skus_by_code.values())))
            by_sku = {row["sku"]: row["item"] for row in rows}
            wanted = {code: by_sku[sku] for code, sku in skus_by_code.items() if sku in by_sku}
            rows = await connection.fetch(_sql.items_by_source, tenant, source, list(wanted))
            current = {row["code"]: row["item"] for row in rows}
            codes = {code: item for code, item in wanted.items() if current.get(code) != item}
            left = frozenset(current[code] for code in codes if code in current)
            made = Plan(described=[], created=set(), codes=codes, unchanged=0, refused=[])
            await self._write(connection, tenant, source, made, version, correlation_id, also=left)
        self._forget(tenant)
        return sorted(code for code in skus_by_code if code not in wanted)

    # --- files ----------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """Where items are kept."""
        return self._store

    @property
    def layout(self) -> Layout:
        """The columns of a file of items."""
        return LAYOUT

    async def take_rows(
        self, connection: Connection, *, tenant: str, source: str, rows: Sequence[Row], correlation_id: str
    ) -> Taken:
        """Let `source` describe the items that it publishes, and add codes of any. Copies follow within a second."""
        await connection.fetchval(_sql.next_catalogue_version, tenant)
        found = await connection.fetch(_sql.whole_items_by_sku, tenant, [row.values["sku"] for row in rows])
        known = {row["sku"]: KnownItem(item_of_row(row), row["publisher"], row["version"]) for row in found}
        there = await self._codes_there(connection, tenant, rows)
        read, refused = readable(rows, known, there, source)
        reported = [made for _, made in read if made is not None]
        report = await self._adopt_in(connection, tenant, source, reported, correlation_id)
        lines = {row.values["sku"]: row.line for row in rows}
        unfit = {each.sku: RefusedRow(line=lines[each.sku], column="sku", code=each.code, detail=each.detail)
                 for each in report.refused}  # fmt: skip
        left = [row for row, _ in read if row.values["sku"] not in unfit]
        coded = await self._add_codes(connection, tenant, left, there, correlation_id)
        changed = report.changed + len(coded & {row.values["sku"] for row, made in read if made is None})
        return Taken(
            created=report.created,
            changed=changed,
            unchanged=len(left) - report.created - changed,
            refused=(*refused, *unfit.values()),
        )

    async def _codes_there(
        self, connection: Connection, tenant: str, rows: Sequence[Row]
    ) -> dict[tuple[str, str], str]:
        """Which items the codes of these rows mean already."""
        by_source: dict[str, set[str]] = {}
        for row in rows:
            for source, code in codes_of_row(row.values).items():
                by_source.setdefault(source, set()).add(code)
        found: dict[tuple[str, str], str] = {}
        for source, codes in sorted(by_source.items()):
            known = await connection.fetch(_sql.items_by_source, tenant, source, sorted(codes))
            found |= {(source, row["code"]): row["item"] for row in known}
        return found

    async def _add_codes(
        self,
        connection: Connection,
        tenant: str,
        rows: Sequence[Row],
        there: Mapping[tuple[str, str], str],
        correlation_id: str,
    ) -> set[str]:
        """Add what is not there; the SKUs of items that got a code."""
        found = await connection.fetch(_sql.items_by_sku, tenant, [row.values["sku"] for row in rows])
        ids = {row["sku"]: row["item"] for row in found}
        new: dict[str, dict[str, str]] = {}
        coded: set[str] = set()
        for row in rows:
            for source, code in codes_of_row(row.values).items():
                if (source, code) not in there:
                    new.setdefault(source, {})[code] = ids[row.values["sku"]]
                    coded.add(row.values["sku"])
        for source, codes in sorted(new.items()):
            version = await connection.fetchval(_sql.next_catalogue_version, tenant)
            made = Plan(described=[], created=set(), codes=codes, unchanged=0, refused=[])
            await self._write(connection, tenant, source, made, version, correlation_id)
        return coded

    # --- ResolvesItems --------------------------------------------------------------------------------------------

    async def by_id(self, tenant: str, items: Sequence[str]) -> Mapping[str, Item]:
        """Items by our id; unknown ones are left out."""
        known = self._known.get(tenant)
        if known is None or not known.fresh:
            known = await self._copy(tenant)
        while True:
            dropped = known.dropped
            if missing := [item for item in items if item not in known.items]:
                await known.load(missing)
            if known.dropped == dropped:
                return {item: known.items[item] for item in items if item in known.items}

    async def by_sku(self, tenant: str, skus: Sequence[str]) -> Mapping[str, Item]:
        """Items by SKU; unknown ones are left out."""
        known = await self._copy(tenant)
        while True:
            dropped = known.dropped
            if missing := [sku for sku in skus if sku not in known.skus]:
                await known.load_skus(missing)
            if known.dropped == dropped:
                return {sku: known.items[known.skus[sku]] for sku in skus if sku in known.skus}

    async def by_source(self, tenant: str, source: str, codes: Sequence[str]) -> Mapping[str, Item]:
        """Items by a source's own codes; unknown ones are left out."""
        known = await self._copy(tenant)
        while True:
            dropped = known.dropped
            if missing := {code for code in codes if (source, code) not in known.codes}:
                await known.load_codes(source, sorted(missing))
            await known.load(known.ids_of(source, codes))
            resolved = {code: known.items.get(known.codes.get((source, code), "")) for code in codes}
            if known.dropped == dropped:
                return {code: item for code, item in resolved.items() if item is not None}

    async def source_codes(self, tenant: str, source: str, items: Sequence[str]) -> Mapping[str, str]:
        """The code `source` uses for each item; where it has several, the first in their order."""
        rows = await self._store.fetch(_sql.codes_of_items, tenant, source, list(items))
        return {row["item"]: row["code"] for row in rows}

    async def list_items(self, tenant: str, *, after: str | None, limit: int) -> Sequence[Item]:
        """A page of items in the order of their ids, which is the order they were created in."""
        rows = await self._store.fetch(_sql.item_page, tenant, after, limit)
        ids = [row["item"] for row in rows]
        found = await self.by_id(tenant, ids)
        return [found[item] for item in ids if item in found]

    async def get(self, tenant: str, item: str) -> Item:
        """One item; raises `NotFound`."""
        found = await self.by_id(tenant, [item])
        if item not in found:
            raise NotFound("there is no such item; look it up by its SKU", code="item.not_found")
        return found[item]

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _copy(self, tenant: str) -> KnownItems:
        known = self._known.get(tenant)
        if known is None:
            known = self._known[tenant] = KnownItems(self._store, tenant, self._clock)
        if not known.fresh:
            await known.compare()
        return known

    def _forget(self, tenant: str) -> None:
        if (known := self._known.get(tenant)) is not None:
            known.forget_freshness()

    async def _read_known(
        self, connection: Connection, tenant: str, source: str, reported: Sequence[ReportedItem]
    ) -> Known:
        by_code = await connection.fetch(_sql.items_by_source, tenant, source, [each.source_code for each in reported])
        by_sku = await connection.fetch(_sql.items_by_sku, tenant, [each.sku for each in reported])
        ids = sorted({row["item"] for row in [*by_code, *by_sku]})
        rows = await connection.fetch(_sql.items_by_id, tenant, ids)
        items = {row["item"]: KnownItem(item_of_row(row), row["publisher"], row["version"]) for row in rows}
        return Known(
            by_code={row["code"]: items[row["item"]] for row in by_code},
            by_sku={row["sku"]: items[row["item"]] for row in by_sku},
        )

    async def _write(
        self,
        connection: Connection,
        tenant: str,
        source: str,
        made: Plan,
        version: int,
        correlation_id: str,
        also: frozenset[str] = frozenset(),
    ) -> None:
        now = self._clock.now()
        described = made.described
        touched = sorted({*made.touched, *also})
        if described:
            columns = [_columns(item) for item in described]
            await connection.execute(
                _sql.upsert_items, tenant, *map(list, zip(*columns, strict=True)), source, version, now
            )
            await _date_packs(connection, tenant, described, now)
        if touched:
            await connection.execute(_sql.touch_items, tenant, touched, version, now)
        if made.codes:
            await connection.execute(_sql.upsert_codes, tenant, source, list(made.codes), list(made.codes.values()))
        if changed := [item.item for item in described] + touched:
            rows = await connection.fetch(_sql.versions_of, tenant, changed)
            events = [
                Event(
                    tenant=tenant,
                    type="item.changed",
                    aggregate=row["item"],
                    aggregate_version=row["version"],
                    occurred_at=now,
                    correlation_id=correlation_id,
                    data={"item": row["item"], "sku": row["sku"], "name": row["name"], "sellable": row["sellable"]},
                )
                for row in rows
            ]
            await log.append(connection, events)


def _columns(item: Item) -> tuple[object, ...]:
    price = item.list_price
    amount, currency = (None, None) if price is None else (price.amount, price.currency)
    return (item.item, item.sku, item.name, item.base_uom, item.sellable, amount, currency)


async def _date_packs(connection: Connection, tenant: str, items: Sequence[Item], now: datetime) -> None:
    """Let other factors hold from now on. A unit that an item never had is taken to have held what it holds."""
    rows = [(item.item, pack.uom, pack.factor) for item in items for pack in item.packs]
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
    await connection.execute(_sql.end_packs, tenant, [item.item for item in items], now, *columns)
    if rows:
        await connection.execute(_sql.begin_packs, tenant, now, *columns)
