"""Kits as master data: what they are made of from when on, and a copy of that in this process (`ResolvesKits`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from gateway.canonical.capabilities import Connection, ResolvesItems
from gateway.canonical.events import Event
from gateway.canonical.kit import Component, Kit, KitBook, book_of
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
from process_apis.items.kit_rules import LAYOUT, Recipe, recipe_of_row, skus_of_row, unfit
from process_apis.items.models import item_of_row

_items: Final = queries_beside(__file__)
_sql: Final = queries_beside(__file__, "kit_queries.sql")


class Kits:
    """The kits of every tenant. One per process, for its copy; implements `ResolvesKits` and `TakesRows`."""

    def __init__(self, store: Store, clock: Clock, items: ResolvesItems) -> None:
        self._store = store
        self._clock = clock
        self._items = items
        self._copies = DatedCopies(store, clock, version=_sql.kit_version, read=_recipes, opened=_book_of)

    # --- ResolvesKits ---------------------------------------------------------------------------------------------

    async def book(self, tenant: str, connection: Connection | None = None) -> KitBook:
        """The kits in force now, of a copy that is compared with the record once a second."""
        return await self._copies.book(tenant, connection)

    # --- reading --------------------------------------------------------------------------------------------------

    async def versions(self, tenant: str, kit: str) -> Sequence[Any]:
        """What an item is and was made of, the latest first; raises `NotFound` for an unknown item."""
        if kit not in await self._items.by_id(tenant, [kit]):
            raise NotFound("there is no such item; look it up by its SKU", code="item.not_found")
        return await self._store.fetch(_sql.versions_of_kit, tenant, kit)

    # --- changing -------------------------------------------------------------------------------------------------

    async def change(
        self, caller: Caller, kit: str, components: Sequence[Component], *, effective_from: datetime | None, note: str
    ) -> Recipe:
        """Let `kit` be made of `components` from an instant on (now by default); of none, and it is no kit.

        Promises that stand keep what they were made with. Raises `NotFound`, `Conflict` (``kit.*``).
        """
        tenant = caller.tenant
        items = await self._items.by_id(tenant, [kit, *(part.item for part in components)])
        if kit not in items:
            raise NotFound("there is no such item; look it up by its SKU", code="item.not_found")
        async with self._store.transaction() as connection:
            version = await connection.fetchval(_sql.next_kit_version, tenant)
            now = self._clock.now()
            recipe = Recipe(kit, effective_from or now, tuple(sorted(components)))
            others = await _recipes(connection, tenant, now)
            if (misfit := unfit(recipe, items, others, now)) is not None:
                raise Conflict(misfit.detail, code=misfit.code)
            subject, words = caller.principal.subject, {"note": note, "components": recipe.components}
            if holds(recipe, others):
                return recipe
            await _write(connection, tenant, version, [recipe], subject, subject, now, note, caller.correlation_id)
            await record_act(
                connection,
                caller,
                "item.kit_changed",
                kit,
                detail={"effective_from": recipe.effective_from, **words},
            )
        self._forget(tenant)
        return recipe

    async def tell_begun(self) -> int:
        """Tell of kits whose date has come; returns how many. Any number of processes may do so at once."""
        told = 0
        for row in await self._store.fetch(_sql.begun, self._clock.now()):
            tenant, kit, begins = row
            async with self._store.transaction() as connection:
                version = await connection.fetchval(_sql.next_kit_version, tenant)
                if not await connection.fetchval(_sql.tell, tenant, kit, begins):
                    continue
                parts = await connection.fetch(_sql.components, tenant, kit, begins)
                recipe = Recipe(kit, begins, tuple(Component(*part) for part in parts))
                await log.append(connection, [_event(tenant, recipe, version, self._clock.now(), f"kit/{kit}")])
            told += 1
        return told

    # --- files ----------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """Where kits are kept."""
        return self._store

    @property
    def layout(self) -> Layout:
        """The columns of a file of kits."""
        return LAYOUT

    async def take_rows(
        self, connection: Connection, *, tenant: str, source: str, rows: Sequence[Row], correlation_id: str
    ) -> Taken:
        """Let kits be made of what `rows` say. Copies follow within a second."""
        version = await connection.fetchval(_sql.next_kit_version, tenant)
        now = self._clock.now()
        standing = await _recipes(connection, tenant, now)
        named = {sku for row in rows for sku in skus_of_row(row)}
        found = await connection.fetch(_items.whole_items_by_sku, tenant, sorted(named))
        by_sku = {row["sku"]: item_of_row(row) for row in found}
        made, taken = take(rows, standing, lambda row, made: recipe_of_row(row, by_sku, [*standing, *made], now))
        await _write(connection, tenant, version, made, source, source, now, "imported", correlation_id)
        return taken

    def _forget(self, tenant: str) -> None:
        self._copies.forget(tenant)


def _book_of(recipes: Sequence[Recipe]) -> KitBook:
    return book_of([Kit(each.kit, each.components) for each in recipes])


async def _recipes(connection: Connection, tenant: str, now: datetime) -> list[Recipe]:
    """What holds now and what is to come, each kit's in the order of their dates."""
    return [
        Recipe(
            row["kit"],
            row["effective_from"],
            tuple(Component(*pair) for pair in zip(row["components"] or (), row["amounts"] or (), strict=True)),
        )
        for row in await connection.fetch(_sql.recipes, tenant, now)
    ]


async def _write(
    connection: Connection,
    tenant: str,
    version: int,
    recipes: Sequence[Recipe],
    source: str,
    actor: str,
    now: datetime,
    note: str,
    correlation_id: str,
) -> None:
    if not recipes:
        return
    heads = [[each.kit for each in recipes], [each.effective_from for each in recipes]]
    await connection.execute(_sql.drop_kits, tenant, *heads)
    await connection.execute(_sql.insert_kits, tenant, *heads, version, source, actor, now, note)
    parts = [(each.kit, each.effective_from, *part) for each in recipes for part in each.components]
    if parts:
        await connection.execute(_sql.insert_components, tenant, *map(list, zip(*parts, strict=True)))
    begun = [each for each in recipes if each.effective_from <= now]
    await log.append(connection, [_event(tenant, each, version, now, correlation_id) for each in begun])


def _event(tenant: str, recipe: Recipe, version: int, now: datetime, correlation_id: str) -> Event:
    return Event(
        tenant=tenant,
        type="item.kit_changed",
        aggregate=f"kit/{recipe.kit}",
        aggregate_version=version,
        occurred_at=now,
        correlation_id=correlation_id,
        data={
            "item": recipe.kit,
            "effective_from": recipe.effective_from,
            "components": [{"item": part.item, "amount": part.amount} for part in recipe.components],
        },
    )
