"""Movements and positions: rows for the ledger, effects on figures, what shipments took from the picked bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from gateway.canonical.capabilities import Connection
from gateway.canonical.order import order_of
from gateway.canonical.stock import MovementType
from gateway.store.arrays import Element, column_arrays
from gateway.store.queries import queries_beside
from process_apis.availability.models import Effect, Mapped

_sql: Final = queries_beside(__file__)
_parts: Final = queries_beside(__file__, "line_queries.sql")
_AFTER_ALL: Final = 2**63 - 1
"""An epoch and a sequence behind every cut-off."""


class Deed(NamedTuple):
    """A movement to be done (`sign` 1), or undone by a revision (-1)."""

    sign: int
    type: str
    location: str
    item: str
    owner: str
    lot: str
    origin: str | None
    target: str | None
    amount: Decimal
    epoch: int
    sequence: int
    occurred_at: datetime
    order: str | None
    order_line: int | None
    handling: str | None
    document: str | None


def deed_of_mapped(each: Mapped) -> Deed:
    """The movement, to be done."""
    reported, way = each.reported, each.way
    return Deed(
        1,
        reported.type,
        each.location,
        each.item,
        each.owner,
        reported.lot or "",
        way.origin,
        way.target,
        each.amount,
        reported.order_key.epoch,
        reported.order_key.sequence,
        reported.occurred_at,
        order_of(reported.order_reference)[0],
        reported.order_line,
        each.handling,
        reported.document,
    )


def deed_of_row(row: Mapping[str, Any]) -> Deed:
    """The recorded movement of a row, to be undone."""
    return Deed(
        -1,
        row["type"],
        row["location"],
        row["item"],
        row["owner"],
        row["lot"],
        row["from_bucket"],
        row["to_bucket"],
        row["amount"],
        row["epoch"],
        row["sequence"],
        row["occurred_at"],
        row["order_id"],
        row["order_line"],
        row["handling"],
        row["document"],
    )


def movement_row(each: Mapped) -> tuple[Element, ...]:
    """The row of `insert_movements`."""
    reported, way = each.reported, each.way
    return (
        each.movement,
        reported.source,
        reported.event_id,
        reported.line,
        reported.revision,
        reported.order_key.epoch,
        reported.order_key.sequence,
        reported.type,
        reported.occurred_at,
        each.owner,
        each.location,
        each.item,
        reported.lot or "",
        way.origin,
        way.target,
        each.amount,
        reported.source_item,
        reported.source_location,
        reported.amount,
        reported.uom,
        each.factor,
        order_of(reported.order_reference)[0],
        reported.order_line,
        each.handling,
        reported.document,
        reported.reason,
        reported.serial,
        reported.bin,
        reported.correlation_id,
        each.moves,
    )


def effects_of(deeds: Iterable[Deed]) -> list[Effect]:
    """What deeds do to positions by themselves; for what shipments take from `picked` see `settle_deeds`."""
    effects = []
    for deed in deeds:
        if deed.type == MovementType.CYCLE_COUNTED:
            continue
        amount = deed.amount if deed.sign > 0 else -deed.amount
        for bucket, delta in ((deed.origin, -amount), (deed.target, amount)):
            if bucket is not None:
                effects.append(
                    Effect(
                        deed.location, deed.item, deed.owner, bucket, deed.lot, delta, deed.epoch, deed.sequence,
                        deed.occurred_at,
                    )
                )  # fmt: skip
    return effects


async def settle_deeds(connection: Connection, tenant: str, deeds: Sequence[Deed]) -> list[Effect]:
    """`settle` for the handling groups of deeds, which are in the ledger already; their lines are locked."""
    handled = [deed for deed in deeds if deed.handling is not None]
    if not handled:
        return []
    groups = {(deed.location, deed.item, deed.owner, deed.lot, deed.handling or "") for deed in handled}
    return await settle(connection, tenant, groups, max(deed.occurred_at for deed in handled))


async def apply_effects(connection: Connection, tenant: str, effects: Sequence[Effect]) -> None:
    """Change positions, each by what lies after the snapshot that its figure stands on."""
    if effects:
        statement = f"with {_parts.move_figures} select"
        await connection.execute(statement, tenant, *column_arrays([(*each, 0) for each in sorted(effects)]))


async def settle(
    connection: Connection, tenant: str, groups: set[tuple[str, str, str, str, str]], at: datetime
) -> list[Effect]:
    """Reckon again what the shipments of these handling groups took from `picked` instead of `sellable`.

    What that changes is kept as settled, and returned to be applied whatever the figures stand on.
    """
    if not groups:
        return []
    rows = await connection.fetch(_sql.settle, tenant, *map(list, zip(*sorted(groups), strict=True)))
    return [
        Effect(
            row["location"],
            row["item"],
            row["owner"],
            row["bucket"],
            row["lot"],
            row["delta"],
            _AFTER_ALL,
            _AFTER_ALL,
            at,
        )
        for row in rows
    ]
