"""Lines of kits that are served in components: a kit has left when all of it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.stock import ClaimedLine
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.models import Order, OrderLine

_sql: Final = queries_beside(__file__, "kit_queries.sql")


def insert_kit_lines(writes: GathersWrites, made: Mapping[str, Sequence[ClaimedLine]]) -> None:
    """Keep, by order, what goes into the kits that were promised in components; nothing where there are none."""
    rows = {
        (order, each.line, each.item, each.per_kit)
        for order, claims in made.items()
        for each in claims
        if each.kit is not None
    }
    if rows:
        writes.add(_sql.insert_kit_lines, *map(list, zip(*sorted(rows), strict=True)))


async def lines_concerned(connection: Connection, order: Order, data: Mapping[str, Any]) -> list[OrderLine]:
    """The lines of kits that a movement's item is a component of: of those, the one that it names, if it names one."""
    number = data.get("order_line")
    if any(line.line == number and line.item == data["item"] for line in order.lines):
        return []
    rows = await connection.fetch(_sql.lines_with, order.order_id, data["item"])
    numbers = {row["line"] for row in rows} & ({number} if number is not None else {row["line"] for row in rows})
    return [line for line in order.lines if line.line in numbers]


async def note_component(connection: Connection, order: Order, line: int, data: Mapping[str, Any]) -> Decimal:
    """Count a component that left; how many more kits have left whole with it, or fewer than were counted."""
    what = (str(data["movement"]), order.order_id, line, data["item"], Decimal(data["amount"]))
    await connection.fetchval(_sql.insert_shipped, *what)
    return await _balance(connection, order, line)


async def withdraw_component(connection: Connection, order: Order, movement: str) -> tuple[int, Decimal] | None:
    """Take back a component that was told by mistake: its line, and how many kits fewer have left; None if it was none.

    Its own `shipment_line` is withdrawn before.
    """
    line = await connection.fetchval(_sql.withdraw, movement)
    if line is None:
        return None
    balance = await _balance(connection, order, line)
    if balance < 0:
        await connection.execute(_sql.trim, order.order_id, line, -balance)
    return line, min(balance, Decimal(0))


async def _balance(connection: Connection, order: Order, line: int) -> Decimal:
    found: Decimal | None = await connection.fetchval(_sql.balance, order.order_id, line)
    return found or Decimal(0)
