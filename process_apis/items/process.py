"""Items, kept from the systems that publish them and resolved for everybody else (`ResolvesItems`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Call, Connection, ReadsItems
from gateway.canonical.item import Item, ReportedItem
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid, NotFound, Problem
from gateway.reference import readings
from gateway.reference.csv_rows import Layout, Row
from gateway.reference.importing import Taken, taken_of
from gateway.reference.ownership import Matrix, held_matrix, matrix_of, own
from gateway.reference.readings import Reading
from gateway.reference.statements import statements_of
from gateway.reference.survivorship import Ownership, Provenance, provenance
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.items.changing import change_items, recount, write
from process_apis.items.describing import ATTRIBUTES, PACKS, owners_of
from process_apis.items.files import LAYOUT, changes_of_rows
from process_apis.items.known import KnownItems
from process_apis.items.models import (
    DOMAIN,
    Change,
    Code,
    Known,
    Plan,
    RefusedItem,
    SyncReport,
    item_of_row,
    known_of_row,
)
from process_apis.items.reading import read_list, refusals_of
from process_apis.items.rules import changes_of, said_of

_sql: Final = queries_beside(__file__)


class Items:
    """The items process. Safe to use from any number of tasks; one per process, for its copy."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, KnownItems] = {}

    # --- from the systems -----------------------------------------------------------------------------------------

    async def sync(self, call: Call, source: str, reader: ReadsItems) -> SyncReport:
        """Read all items of `source`, page by page, each page one transaction. Running it again changes nothing.

        Raises `Conflict` (``reference.reading_taken_over``) when somebody else began to read them since.
        """
        return await read_list(self._store, self._clock, call, source, reader, self._adopt)

    async def were_asked(self, tenant: str, sources: Collection[str]) -> bool:
        """Whether the list of each of these was read to its end once, or could not be."""
        known = await readings.readings(self._store, tenant, DOMAIN)
        return set(sources) <= {each.source for each in known if each.ended_at or each.failed}

    async def adopt(
        self, tenant: str, source: str, reported: Sequence[ReportedItem], *, correlation_id: str
    ) -> SyncReport:
        """Take one page of reported items, in one transaction with its `item.changed` events."""
        return await self._adopt(tenant, source, reported, correlation_id, None)

    async def _adopt(
        self, tenant: str, source: str, reported: Sequence[ReportedItem], correlation_id: str, reading: Reading | None
    ) -> SyncReport:
        changes, refused = changes_of(reported)
        async with self._store.transaction() as connection:
            if reading is not None:
                await readings.hold(connection, reading)
            made = await change_items(
                connection, self._clock, tenant=tenant, source=source, changes=changes, correlation_id=correlation_id
            )
            if reading is not None:
                told, codes = refusals_of(refused, made.refused), [each.source_code for each in reported]
                await readings.tell(connection, reading, codes, told, self._clock.now())
        if made.created or made.changed:
            self._forget(tenant)
        skus = {each.record: each.sku or "" for each in changes}
        return SyncReport(
            created=len(made.created),
            changed=len(made.changed),
            unchanged=len(made.unchanged),
            refused=(
                *refused,
                *(RefusedItem(each.record, skus[each.record], each.code, each.detail) for each in made.refused),
            ),
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
            made = Plan(codes={(source, code): item for code, item in codes.items()})
            await write(connection, self._clock, tenant, source, made, version, correlation_id, also=left)
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
        """Let `source` say what the rows say, besides what it said before of columns that they leave empty.

        Copies follow within a second.
        """
        lines = {row.values["sku"]: row.line for row in rows}
        found = await connection.fetch(_sql.whole_items_by_sku, tenant, list(lines))
        changes, refused = changes_of_rows(rows, {row["sku"]: item_of_row(row) for row in found})
        made = await change_items(
            connection, self._clock, tenant=tenant, source=source, changes=changes, correlation_id=correlation_id
        )
        taken = taken_of(made.outcome, lines)
        return replace(taken, refused=(*refused, *taken.refused))

    # --- what people and systems say --------------------------------------------------------------------------------

    async def add(self, caller: Caller, source: str, change: Change) -> Item:
        """Add an item that is not there yet; raises `Conflict` when its SKU is taken."""
        async with self._store.connection() as connection:
            if await connection.fetch(_sql.items_by_sku, caller.tenant, [change.sku]):
                raise Conflict(
                    f"there is an item {change.sku!r} already: state what you know of it", code="item.exists"
                )
        return await self._change(caller, source, change)

    async def state(self, caller: Caller, source: str, item: str, said: Mapping[str, Any]) -> Item:
        """Let `source` say of an item what it says, in place of what it said before; raises `NotFound`."""
        known = await self.get(caller.tenant, item)
        return await self._change(
            caller, source, Change(record=known.sku, sku=None, item=item, attributes=said, whole=True)
        )

    async def add_code(self, caller: Caller, source: str, item: str, code: str) -> Item:
        """Say that `source` calls this item `code`; raises `NotFound`."""
        known = await self.get(caller.tenant, item)
        change = Change(record=known.sku, sku=None, item=item, attributes={}, codes=((source, code),))
        return await self._change(caller, source, change)

    async def _change(self, caller: Caller, source: str, change: Change) -> Item:
        tenant = caller.tenant
        async with self._store.transaction() as connection:
            made = await change_items(
                connection, self._clock, tenant=tenant, source=source, changes=[change],
                correlation_id=caller.correlation_id,
            )  # fmt: skip
            if made.refused:
                refusal = made.refused[0]
                problems = [Problem(each.detail, pointer=f"/{each.attribute}") for each in made.refused]
                raise Invalid(refusal.detail, code=refusal.code, problems=problems)
            item = made.items[change.record]
            if not made.unchanged:
                await record_act(
                    connection,
                    caller,
                    "item.added" if made.created else "item.changed",
                    f"items/{item}",
                    detail={
                        "source": source,
                        "says": change.attributes,
                        "codes": [{"source": name, "code": code} for name, code in change.codes],
                    },
                )
        self._forget(tenant)
        return await self.get(tenant, item)

    async def codes(self, tenant: str, item: str) -> Sequence[Code]:
        """Every source's codes of an item."""
        rows = await self._store.fetch(_sql.all_codes_of, tenant, item)
        return [(row["source"], row["code"]) for row in rows]

    async def record_of(self, tenant: str, name: str) -> str | None:
        """The id of the item with the SKU `name`."""
        found = await self.by_sku(tenant, [name])
        return found[name].item if name in found else None

    async def provenance(self, tenant: str, item: str) -> Sequence[Provenance]:
        """Where each value of an item comes from, factors by their unit; raises `NotFound`."""
        async with self._store.connection() as connection:
            row = await connection.fetchrow(_sql.items_by_id, tenant, [item])
            if row is None:
                raise NotFound("there is no such item; look it up by its SKU", code="item.not_found")
            matrix = await matrix_of(connection, tenant, DOMAIN, ATTRIBUTES)
            said = await statements_of(connection, tenant, DOMAIN, [item])
        known = known_of_row(row)
        statements = said_of(Known(items={}, skus={}, codes={}, said=said), known)
        owners = owners_of(matrix.attributes, statements)
        packs = sorted(name for name in owners if name not in ATTRIBUTES)
        return provenance(statements, owners, [*(name for name in ATTRIBUTES if name != PACKS), *packs])

    async def ownership(self, tenant: str) -> Matrix:
        """Who owns which attribute."""
        return await held_matrix(self._store, tenant, DOMAIN, ATTRIBUTES)

    async def change_ownership(
        self, caller: Caller, attributes: Mapping[str, Ownership], *, expected: int, note: str
    ) -> Matrix:
        """Own `attributes` so from now on; what counts of every item follows in the same transaction."""
        tenant, trace = caller.tenant, caller.correlation_id
        made = await own(
            self._store, self._clock, caller, DOMAIN, attributes, known=ATTRIBUTES, expected=expected, note=note,
            lock=lambda connection: connection.fetchval(_sql.next_catalogue_version, tenant),
            recount=lambda connection, version: recount(connection, self._clock, tenant, version, trace),
        )  # fmt: skip
        self._forget(caller.tenant)
        return made

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
            found = known.by_source(source, codes)
            if missing := [code for code in codes if code not in found]:
                await known.load_codes(source, missing)
                found = known.by_source(source, codes)
            if known.dropped == dropped:
                return found

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

    async def refresh(self, tenant: str) -> None:
        """Answer by what the record has now: somebody told of a change."""
        self._forget(tenant)

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
