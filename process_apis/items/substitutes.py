"""Substitutes as master data: what may stand in for what from when on, and a copy of that in this process."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.events import Event
from gateway.canonical.kit import ResolvesKits
from gateway.canonical.substitute import ListedSubstitute, SubstituteBook, substitute_book
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotFound
from gateway.reference.csv_rows import Layout, Row
from gateway.reference.importing import Taken
from gateway.store import log
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.items.dated_copy import DatedCopies
from process_apis.items.dated_rows import holds, take
from process_apis.items.models import item_of_row
from process_apis.items.substitute_rules import LAYOUT, Listing, listing_of_row, skus_of_row, unfit, with_units

_items: Final = queries_beside(__file__)
_sql: Final = queries_beside(__file__, "substitute_queries.sql")
_decode: Final = msgspec.json.Decoder(list[tuple[str, str, bool, tuple[str, ...], bool]]).decode


class Substitutes:
    """The substitutes of every tenant's items. One per process, for its copy; `ResolvesSubstitutes` and `TakesRows`."""

    def __init__(self, store: Store, clock: Clock, items: ResolvesItems, kits: ResolvesKits) -> None:
        self._store = store
        self._clock = clock
        self._items = items
        self._kits = kits
        self._copies = DatedCopies(store, clock, version=_sql.version, read=_listings, opened=_book_of)

    async def book(self, tenant: str, connection: Connection | None = None) -> SubstituteBook:
        """What may stand in for what now, by a copy that is compared with the record once a second."""
        return await self._copies.book(tenant, connection)

    async def versions(self, tenant: str, item: str) -> Sequence[Any]:
        """What stands and stood in for an item, the latest first, with `listed`; raises `NotFound`."""
        if item not in await self._items.by_id(tenant, [item]):
            raise NotFound("there is no such item; look it up by its SKU", code="item.not_found")
        rows = await self._store.fetch(_sql.versions_of_item, tenant, item)
        return [{**row, "listed": _listed_of(row["substitutes"])} for row in rows]

    async def change(
        self,
        caller: Caller,
        item: str,
        substitutes: Sequence[ListedSubstitute],
        *,
        effective_from: datetime | None,
        note: str,
    ) -> Listing:
        """Let `substitutes` stand in for `item` from an instant on (now by default), the preferred first.

        Promises that stand keep what they were made with. Raises `NotFound`, `Conflict` (``substitute.*``).
        """
        tenant = caller.tenant
        items = await self._items.by_id(tenant, [item, *(each.item for each in substitutes)])
        if item not in items:
            raise NotFound("there is no such item; look it up by its SKU", code="item.not_found")
        kits = (await self._kits.book(tenant)).kits
        async with self._store.transaction() as connection:
            version = await connection.fetchval(_sql.next_version, tenant)
            now = self._clock.now()
            listing = Listing(item, effective_from or now, tuple(substitutes))
            if (misfit := unfit(listing, items, kits.__contains__, now)) is not None:
                raise Conflict(misfit.detail, code=misfit.code)
            listing = with_units(listing, items)
            if holds(listing, await _listings(connection, tenant, now)):
                return listing
            subject = caller.principal.subject
            await _write(connection, tenant, version, [listing], subject, subject, now, note, caller.correlation_id)
            await record_act(
                connection,
                caller,
                "item.substitutes_changed",
                item,
                detail={"effective_from": listing.effective_from, "note": note, "substitutes": _told(listing)},
            )
        self._copies.forget(tenant)
        return listing

    # --- files ----------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """Where they are kept."""
        return self._store

    @property
    def layout(self) -> Layout:
        """The columns of a file of substitutes."""
        return LAYOUT

    async def take_rows(
        self, connection: Connection, *, tenant: str, source: str, rows: Sequence[Row], correlation_id: str
    ) -> Taken:
        """Let stand in for items what `rows` say. Copies follow within a second."""
        version = await connection.fetchval(_sql.next_version, tenant)
        now = self._clock.now()
        standing = await _listings(connection, tenant, now)
        kits = (await self._kits.book(tenant, connection)).kits
        named = sorted({sku for row in rows for sku in skus_of_row(row)})
        found = await connection.fetch(_items.whole_items_by_sku, tenant, named)
        by_sku = {row["sku"]: item_of_row(row) for row in found}
        made, taken = take(rows, standing, lambda row, _: listing_of_row(row, by_sku, kits.__contains__, now))
        await _write(connection, tenant, version, made, source, source, now, "imported", correlation_id)
        return taken


def _book_of(listings: Sequence[Listing]) -> SubstituteBook:
    return substitute_book((each.item, each.substitutes) for each in listings)


def _listed_of(encoded: str | None) -> tuple[ListedSubstitute, ...]:
    return tuple(
        ListedSubstitute(item, Decimal(factor), both_ways, channels, counted)
        for item, factor, both_ways, channels, counted in _decode(encoded or "[]")
    )


async def _listings(connection: Connection, tenant: str, now: datetime) -> list[Listing]:
    """What holds now and what is to come, each item's in the order of their dates."""
    return [
        Listing(row["item"], row["effective_from"], _listed_of(row["substitutes"]))
        for row in await connection.fetch(_sql.lists, tenant, now)
    ]


async def _write(
    connection: Connection,
    tenant: str,
    version: int,
    listings: Sequence[Listing],
    source: str,
    actor: str,
    now: datetime,
    note: str,
    correlation_id: str,
) -> None:
    if not listings:
        return
    heads = [[each.item for each in listings], [each.effective_from for each in listings]]
    await connection.execute(_sql.drop_lists, tenant, *heads)
    await connection.execute(_sql.insert_lists, tenant, *heads, version, source, actor, now, note)
    parts = [
        (
            each.item,
            each.effective_from,
            rank,
            one.item,
            one.factor,
            one.both_ways,
            "\n".join(one.channels),
            one.counted,
        )
        for each in listings
        for rank, one in enumerate(each.substitutes, 1)
    ]
    if parts:
        await connection.execute(_sql.insert_substitutes, tenant, *map(list, zip(*parts, strict=True)))
    await log.append(connection, [_event(tenant, each, version, now, correlation_id) for each in listings])


def _told(listing: Listing) -> list[dict[str, Any]]:
    return [
        {"item": each.item, "factor": each.factor, "both_ways": each.both_ways, "channels": list(each.channels)}
        for each in listing.substitutes
    ]


def _event(tenant: str, listing: Listing, version: int, now: datetime, correlation_id: str) -> Event:
    return Event(
        tenant=tenant,
        type="item.substitutes_changed",
        aggregate=f"substitutes/{listing.item}",
        aggregate_version=version,
        occurred_at=now,
        correlation_id=correlation_id,
        data={"item": listing.item, "effective_from": listing.effective_from, "substitutes": _told(listing)},
    )
