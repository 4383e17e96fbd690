"""Shipments: a warehouse's movements move the counters of their order, once, and are then told to the ERP."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, FindsSystems
from gateway.canonical.events import Event, Recorded
from gateway.canonical.stock import MovementType
from gateway.canonical.warehouse import TRANSFER_PREFIX
from gateway.kernel.errors import CrossdockError
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from process_apis.order_to_ship.erp_moves import told_of
from process_apis.order_to_ship.kits import lines_concerned, note_component, withdraw_component
from process_apis.order_to_ship.models import (
    EXCEPTION_PREFIX,
    SHIPMENT_PREFIX,
    ExceptionClass,
    Finding,
    Order,
    OrderLine,
    Shipment,
    ShippedLine,
    Task,
    TaskKind,
    TaskState,
)
from process_apis.order_to_ship.records import Change, lock_all, sql
from process_apis.order_to_ship.rules import ship, unship
from process_apis.order_to_ship.steps import is_going_back, is_withdrawn, with_task

# The lines of one document arrive as movements one after another: the posting waits for them this long, in seconds.
_GATHER_S: Final = 0.2
_TRANSFER: Final = f"{TRANSFER_PREFIX}_"
_HEARD: Final = frozenset({MovementType.SHIPMENT_CONFIRMED, MovementType.PICK_CONFIRMED})
Data = dict[str, Any]
"""What a `stock.movement_recorded` says."""


class Shipping:
    """Handles `stock.movement_recorded` in the consumer's transaction."""

    def __init__(self, systems: FindsSystems) -> None:
        self._systems = systems

    async def on_movement(self, connection: Connection, recorded: Recorded) -> None:
        """Note that picking began, or count a shipment. What names no order of ours is left alone."""
        await self.on_movements(connection, [recorded])

    async def on_movements(self, connection: Connection, recorded: Sequence[Recorded]) -> None:
        """As `on_movement` for each in turn; each order is read and written once."""
        by_order: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for each in recorded:
            if _concerns_orders(each.event.data):
                by_order[each.event.tenant, each.event.data["order"]].append(each.event)
        if not by_order:
            return
        locked = await lock_all(connection, [order_id for _, order_id in by_order])
        ids = [str(event.data["movement"]) for events in by_order.values() for event in events]
        known = {row["movement"] for row in await connection.fetch(sql.movements_known, ids)}
        for (tenant, order_id), events in by_order.items():
            order, now = locked.get(order_id, (None, None))
            if order is None or now is None or order.tenant != tenant:
                for event in events:
                    await _unknown_order(connection, tenant, order_id, event.data)
                continue
            change = Change(connection, order, now)
            for event in events:
                await self._count_one(change, event.data, known)
                _drop_empty_documents(change)
            await change.save()

    async def _count_one(self, change: Change, data: Data, known: set[str]) -> None:
        """Count one movement unless it is among the `known`, those that are on a document; adds it to them."""
        order, movement = change.order, str(data["movement"])
        told = bool(data.get("replaces")) and await _take_back(change, data)
        known.discard(str(data.get("replaces")))
        if data["type"] == MovementType.PICK_CONFIRMED and order.picking_began_at is None:
            change.set(picking_began_at=change.now)
        kit_lines = await lines_concerned(change.connection, change.order, data)
        if unclear := _is_unclear(order, data, kit_lines):
            detail = (
                f"{data['type']} of {data['item']} names no line, and several have it: its source must name the line"
            )
            change.find(replace(_mismatch(data, detail), code="order.line_unclear"))
        shipped = data["type"] == MovementType.SHIPMENT_CONFIRMED and Decimal(data["amount"]) > 0
        if shipped and not unclear and movement not in known:
            await self._ship(change, data, kit_lines, told=told)
            known.add(movement)

    async def _ship(self, change: Change, data: Data, kit_lines: Sequence[OrderLine], *, told: bool) -> None:
        """Count one line. `told`: the ERP knows what this one corrects, so that a person tells it the difference.

        Of `kit_lines`, which has the line that it is a component of, the kits count that are whole with it.
        """
        line = kit_lines[0] if kit_lines else _line_of(change.order, data)
        if line is None:
            change.find(_mismatch(data, f"{data['item']} was shipped for the order, which has no such line"))
            return
        amount = Decimal(data["amount"])
        if kit_lines:
            await change.flush()
            if (amount := await note_component(change.connection, change.order, line.line, data)) <= 0:
                return
        part = ShippedLine(movement=str(data["movement"]), line=line.line, item=line.item, amount=amount)
        counted = ship(line, amount)
        change.set(lines=tuple(counted if known.line == line.line else known for known in change.order.lines))
        if counted.over_shipped > line.over_shipped:
            change.find(_mismatch(data, f"line {line.line} was shipped beyond what was ordered"))
        if is_withdrawn(change.order, data.get("release", 1)):
            detail = f"line {line.line} was shipped of a release that was withdrawn: bill it or fetch it back"
            change.find(_mismatch(data, detail))
            told = True
        if change.order.cancelled_at or change.order.rejected_at or is_going_back(change.order):
            detail = f"line {line.line} was shipped although the order is given up: bill it or fetch it back"
            change.find(_mismatch(data, detail))
        shipment = await self._document(change, data, part, told=told)
        change.tell(
            "order.shipment_confirmed",
            shipment=shipment.shipment_id,
            location=shipment.location,
            line=line.line,
            item=line.item,
            amount=plain(amount),
            uom=line.uom,
        )

    async def _document(self, change: Change, data: Data, part: ShippedLine, *, told: bool) -> Shipment:
        """Put the line on the document it belongs to, or, where that is posted already, on a new one."""
        order = change.order
        key = (data["source"], data["event_id"], data["location"], data.get("release", 1))
        shipment = next(
            (
                known
                for known in order.shipments
                if (known.source, known.event_id, known.location, known.release) == key
                and _is_open(order, known.shipment_id)
            ),
            None,
        )
        if shipment is None:
            shipment = await self._open_document(change, data, told=told)
        change.write(sql.insert_shipment_lines, part.movement, shipment.shipment_id, part.line, part.item, part.amount)
        filled = replace(shipment, lines=(*shipment.lines, part))
        known = change.order.shipments
        change.set(shipments=tuple(filled if one.shipment_id == filled.shipment_id else one for one in known))
        return filled

    async def _open_document(self, change: Change, data: Data, *, told: bool) -> Shipment:
        order = change.order
        shipment = Shipment(
            shipment_id=new_id(SHIPMENT_PREFIX),
            sequence=len(order.shipments) + 1,
            source=data["source"],
            event_id=data["event_id"],
            location=data["location"],
            lines=(),
            release=data.get("release", 1),
        )
        change.write(
            sql.insert_shipments, shipment.shipment_id, order.order_id, shipment.sequence, shipment.source,
            shipment.event_id, shipment.location, change.now, shipment.release,
        )  # fmt: skip
        change.set(shipments=(*change.order.shipments, shipment))
        poster = None if told else self._poster_of(change, shipment.location, shipment.release)
        if poster is not None:
            task = Task(kind=TaskKind.SHIPMENT_POSTING, target=shipment.shipment_id, system=poster)
            change.set(tasks=with_task(change.order, task).tasks)
        change.wake(_GATHER_S)
        return shipment

    def _poster_of(self, change: Change, location: str, release: int) -> str | None:
        try:
            poster = self._systems.poster_of(change.order.tenant, location)
            return told_of(change.order, location, release, poster, self._systems)
        except CrossdockError:
            # The goods have left: they are counted, and the posting fails where a person sees it and can retry.
            return "unknown"


def _concerns_orders(data: Data) -> bool:
    order_id = data.get("order")
    if not order_id or order_id.startswith(_TRANSFER):
        return False
    return data["type"] in _HEARD or bool(data.get("replaces"))


async def _take_back(change: Change, data: Data) -> bool:
    """A revision replaces a movement: take back what that one counted. True when the ERP was told of it already."""
    await change.flush()
    row = await change.connection.fetchrow(sql.withdraw_movement, str(data["replaces"]))
    await _take_back_component(change, data)
    if row is None:
        return False
    order = change.order
    change.set(
        lines=tuple(unship(line, row["amount"]) if line.line == row["line"] else line for line in order.lines),
        shipments=tuple(
            replace(known, lines=tuple(part for part in known.lines if part.movement != str(data["replaces"])))
            for known in order.shipments
        ),
    )
    if _is_open(order, row["shipment_id"]):
        return False
    detail = f"shipment {row['shipment_id']} was revised after the ERP was told of it: correct it there"
    change.find(_mismatch(data, detail))
    return True


async def _take_back_component(change: Change, data: Data) -> None:
    taken = await withdraw_component(change.connection, change.order, str(data["replaces"]))
    if taken is None or not taken[1]:
        return
    number, fewer = taken
    change.set(lines=tuple(unship(line, -fewer) if line.line == number else line for line in change.order.lines))
    detail = f"a component of line {number} was revised: {plain(-fewer)} fewer kits have left than were told of"
    change.find(_mismatch(data, detail))


def _drop_empty_documents(change: Change) -> None:
    """Nothing is left to tell of a document whose lines were all taken back."""
    for shipment in change.order.shipments:
        task = change.order.task(TaskKind.SHIPMENT_POSTING, shipment.shipment_id)
        if task is not None and not shipment.lines and _is_open(change.order, shipment.shipment_id):
            change.set(tasks=with_task(change.order, replace(task, state=TaskState.DONE)).tasks)


def _is_open(order: Order, shipment_id: str) -> bool:
    task = order.task(TaskKind.SHIPMENT_POSTING, shipment_id)
    return task is not None and task.state is TaskState.PENDING and task.attempts == 0


def _is_unclear(order: Order, data: Data, kit_lines: Sequence[OrderLine]) -> bool:
    """Goods of a movement without a line could belong to several: they wait for a revision that names one."""
    alone = sum(line.item == data["item"] for line in order.lines)
    return data.get("order_line") is None and alone + len(kit_lines) > 1


def _line_of(order: Order, data: Data) -> OrderLine | None:
    number, item = data.get("order_line"), data["item"]
    by_number = next((line for line in order.lines if line.line == number), None)
    if by_number is not None:
        return by_number
    same_item = [line for line in order.lines if line.item == item]
    return same_item[0] if same_item else None


def _mismatch(data: Data, detail: str) -> Finding:
    return Finding(
        exception=ExceptionClass.SHIPMENT_MISMATCH,
        fault_domain=str(data["source"]),
        code="order.shipment_mismatch",
        detail=detail,
        blocking=False,
        kind="movement",
        target=str(data["movement"]),
    )


async def _unknown_order(connection: Connection, tenant: str, order_id: str, data: Data) -> None:
    found = replace(
        _mismatch(data, f"a movement names the order {order_id}, which does not exist"), code="order.unknown"
    )
    await connection.fetchval(
        sql.raise_exception, new_id(EXCEPTION_PREFIX), tenant, order_id, found.exception, found.fault_domain,
        found.code, found.detail, found.blocking, found.kind, found.target,
    )  # fmt: skip
