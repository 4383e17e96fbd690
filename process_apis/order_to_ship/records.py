"""Orders in the record: loaded whole, changed as facts, and written back as the difference with their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.canonical.events import Event
from gateway.durable.enqueue import GOING_ON, enqueue
from gateway.kernel.errors import NotFound
from gateway.kernel.ids import new_id
from gateway.store.queries import queries_beside
from gateway.store.together import Together
from process_apis.order_to_ship.erp_moves import followed
from process_apis.order_to_ship.models import (
    EXCEPTION_PREFIX,
    QUEUE,
    WORKFLOW,
    Allocation,
    ExceptionClass,
    Finding,
    Order,
    Task,
)
from process_apis.order_to_ship.rules import derive_state, exposure
from process_apis.order_to_ship.steps import Step, Wait, next_step

sql: Final = queries_beside(__file__)
_service: Final = queries_beside(__file__, "service_queries.sql")
_freight: Final = queries_beside(__file__, "freight_queries.sql")
_invoices: Final = queries_beside(__file__, "invoice_queries.sql")
_move_sql: Final = queries_beside(__file__, "erp_move_queries.sql")
_decode: Final = msgspec.json.Decoder(Order).decode
_COUNTED: Final = ("open", "backordered", "shipped", "cancelled", "over_shipped", "expected")
_ORDERED: Final = ("ordered", "asked_amount", *_COUNTED)
_STAYS: Final = ExceptionClass.SHIPMENT_MISMATCH
# What belongs to the order is read as it was when the statement began. Where that was before the lock could be had, and
# somebody changed the order meanwhile, its row is another one by now: then all of it is read again.
_LOCK_AND_LOAD: Final = f"""
select clock_timestamp() as now, ({sql.load_order}) as content,
       xmin::text = (select seen.xmin::text from order_to_ship.sales_order seen where seen.order_id = $1) as current
from order_to_ship.sales_order where order_id = $1 for update
"""
_LOCK_AND_LOAD_ALL: Final = f"""
select locked.order_id, clock_timestamp() as now, loaded.content,
       locked.xmin::text = (
           select seen.xmin::text from order_to_ship.sales_order seen where seen.order_id = locked.order_id) as current
from (select o.order_id, o.xmin from order_to_ship.sales_order o
      where o.order_id = any($1::text[]) order by o.order_id for update) locked
cross join lateral (
    {sql.load_order.replace("$1", "locked.order_id").replace("$2", "null").replace("$3", "null")}) loaded (content)
order by locked.order_id
"""


async def load(
    connection: Connection, order_id: str, *, tenant: str | None = None, partner: str | None = None
) -> Order | None:
    """The order with everything of it, None when it does not exist or this tenant or partner must not see it."""
    text = await connection.fetchval(sql.load_order, order_id, tenant, partner)
    return None if text is None else _decode(text)


async def find_by_identity(connection: Connection, order: Order) -> Order | None:
    """The order that has the identity of `order`, None where it is free."""
    row = await connection.fetchrow(
        sql.find_by_identity, order.tenant, order.channel, order.sold_to, order.external_number, order.release
    )
    return None if row is None else await load(connection, row["order_id"])


async def lock(connection: Connection, order_id: str) -> tuple[Order, datetime]:
    """The order under its row lock, and the database's time; held until the transaction ends."""
    row = await connection.fetchrow(_LOCK_AND_LOAD, order_id, None, None)
    if row is None:
        raise NotFound(f"there is no order {order_id}", code="order.not_found")
    content = row["content"] if row["current"] else await connection.fetchval(sql.load_order, order_id, None, None)
    return _decode(content), row["now"]


async def lock_all(connection: Connection, order_ids: Sequence[str]) -> Mapping[str, tuple[Order, datetime]]:
    """As `lock`, of those of `order_ids` that exist, one after the other in the order of their ids."""
    found = {}
    for row in await connection.fetch(_LOCK_AND_LOAD_ALL, list(order_ids)):
        name, content = row["order_id"], row["content"]
        if not row["current"]:
            content = await connection.fetchval(sql.load_order, name, None, None)
        found[name] = _decode(content), row["now"]
    return found


async def rouse(connection: Connection, order_id: str) -> None:
    """Enqueue another turn of an order that is not read: it may be of a release that has other words."""
    row = await connection.fetchrow(sql.rouse, order_id)
    if row is not None:
        writes = Together()
        _enqueue(writes, order_id, row["turn"], row["shape"])
        await writes.run(connection)


def _enqueue(
    writes: GathersWrites, order_id: str, turn: int, shape: str, *, delay: float = 0.0, priority: int = GOING_ON
) -> None:
    enqueue(
        writes,
        workflow=WORKFLOW,
        workflow_id=workflow_id(order_id, turn),
        args=[order_id, turn],
        queue=QUEUE,
        priority=priority,
        delay=delay,
        shape=shape,
    )


class Change:
    """A change of one locked order in one transaction. `order` is the state of affairs so far."""

    def __init__(self, connection: Connection, order: Order, now: datetime) -> None:
        self.connection = connection
        self.order = order
        self.now = now
        self._before = order
        self._writes = Together()
        self._events: list[tuple[str, int, dict[str, Any]]] = []
        self._raised: list[Finding] = []
        self._resolved: list[tuple[str | None, str | None, str, str]] = []

    def set(self, **facts: Any) -> None:
        """Replace facts of the order."""
        self.order = replace(self.order, **facts)

    def tell(self, event_type: str, **data: Any) -> None:
        """Add an event; each has a version of its own, because consumers drop a version they have seen."""
        self.order = replace(self.order, version=self.order.version + 1)
        self._events.append((event_type, self.order.version, data))

    def find(self, finding: Finding) -> None:
        """Raise an exception, or note that an open one was seen again."""
        same = (finding.exception, finding.kind, finding.target)
        known = any((seen.exception, seen.kind, seen.target) == same for seen in self.order.exceptions)
        self._raised.append(finding)
        kept = tuple(seen for seen in self.order.exceptions if (seen.exception, seen.kind, seen.target) != same)
        self.set(exceptions=(*kept, finding))
        if not known:
            self.tell("order.exception_raised", exception=finding.exception, code=finding.code, detail=finding.detail)

    def resolve(self, kind: str | None, target: str | None, *, by: str, resolution: str) -> None:
        """Close the open exceptions of one task, or (None) all of the order that its end settles.

        Goods that left otherwise than ordered are never settled by the order's end: somebody has to bill them.
        """
        open_still = tuple(
            seen
            for seen in self.order.exceptions
            if (seen.exception is _STAYS if kind is None else (seen.kind, seen.target) != (kind, target))
        )
        if len(open_still) != len(self.order.exceptions):
            self.set(exceptions=open_still)
            self._resolved.append((kind, target, by, resolution))

    def write(self, statement: str, *row: Any) -> None:
        """One row of a statement whose parameters are arrays, written with what is saved, or by `flush`."""
        self._writes.row(statement, *row)

    async def flush(self) -> None:
        """Write what was given to `write` so far, for who reads it next."""
        writes, self._writes = self._writes, Together()
        await writes.run(self.connection)

    def next(self) -> Step | Wait | None:
        """What is due now."""
        return next_step(self.order, self.now)

    def wake(self, delay: float = 0.0, *, priority: int = GOING_ON) -> None:
        """Enqueue another turn with what is saved, `delay` seconds from now; one that waits is remembered."""
        turn = self.order.turn + 1
        self.set(turn=turn, waiting_turn=turn if delay > 0 else self.order.waiting_turn)
        order = self.order
        _enqueue(self._writes, order.order_id, turn, order.shape, delay=delay, priority=priority)

    async def save(self) -> Order:
        """Write what changed; returns the order as saved."""
        if self.order is self._before:
            return self.order
        if self.order.version == self._before.version:
            self.set(version=self.order.version + 1)
        if self.order.moves:
            self.order = followed(self.order)
        self.set(state=derive_state(self.order))
        self._write_order()
        self._write_lines()
        self._write_tasks()
        self._writes.tell([self._event(*told) for told in self._events])
        await self.flush()
        await self._write_beside()
        await self._write_places()
        await self._write_rework()
        await self._write_exceptions()
        for move in self.order.moves:
            if move not in self._before.moves:
                await self.connection.execute(
                    _move_sql.update_move, self.order.order_id, move.from_erp, move.state, move.detail
                )
        return self.order

    def _write_order(self) -> None:
        order, due = self.order, self.next()
        due_at = self.now if isinstance(due, Step) else due.until if due else None
        self._writes.add(
            sql.update_order, order.order_id, order.version, order.state, order.approved_at, order.allocated_at,
            order.hold_reason, order.cancel_requested_at, order.cancel_reason, order.cancel_refused_at,
            order.picking_began_at, order.rejected_at, order.reject_reason, order.cancelled_at, order.completed_at,
            exposure(order), order.turn, order.waiting_turn, due_at, order.shape,
        )  # fmt: skip

    def _write_lines(self) -> None:
        changed = [line for line in self.order.lines if line not in self._before.lines]
        if changed:
            longer = self.order.total != self._before.total
            statement = _service.lengthen_lines if longer else sql.update_lines
            columns = _columns(changed, ("line", *(_ORDERED if longer else _COUNTED)))
            self._writes.add(statement, self.order.order_id, *columns)

    def _write_tasks(self) -> None:
        changed = [task for task in self.order.tasks if task not in self._before.tasks]
        if changed:
            self._writes.add(sql.upsert_tasks, self.order.order_id, *_columns(changed, Task.__struct_fields__))

    async def _write_beside(self) -> None:
        """What the order's own row has of freight and invoices: not with the rest, one statement changes a row once."""
        order, before = self.order, self._before
        for statement, after, then in (
            (_freight.update_freight, order.freight, before.freight),
            (_invoices.update_invoices, order.invoices, before.invoices),
        ):
            if after != then:
                await self.connection.execute(statement, order.order_id, msgspec.json.encode(after).decode())

    async def _write_places(self) -> None:
        if self.order.allocations != self._before.allocations:
            await write_allocations(self.connection, self.order.order_id, self.order.allocations)
        if released := self.order.released[len(self._before.released) :]:
            claims = [msgspec.json.encode(part.claims).decode() for part in released]
            columns = _columns(released, ("release", "line", "location", "amount"))
            await self.connection.execute(sql.insert_released, self.order.order_id, *columns, claims)

    async def _write_rework(self) -> None:
        order, before = self.order, self._before
        if (order.ship_to, order.requested_date, order.total) != (before.ship_to, before.requested_date, before.total):
            ship_to = msgspec.json.encode(order.ship_to).decode()
            await self.connection.execute(_service.amend, order.order_id, ship_to, order.requested_date, order.total)
        after, then = ((each.hold_kind, each.rework, each.vetted_at) for each in (order, before))
        if after != then:
            rework = None if order.rework is None else msgspec.json.encode(order.rework).decode()
            await self.connection.execute(_service.set_rework, order.order_id, order.hold_kind, rework, order.vetted_at)
        known = {part.release for part in before.released if part.withdrawn}
        if gone := {part.release for part in order.released if part.withdrawn} - known:
            await self.connection.execute(_service.withdraw_releases, order.order_id, sorted(gone))

    async def _write_exceptions(self) -> None:
        for kind, target, by, resolution in self._resolved:
            await self.connection.execute(sql.resolve_exceptions, self.order.order_id, kind, target, by, resolution)
        for found in self._raised:
            await self.connection.fetchval(
                sql.raise_exception, new_id(EXCEPTION_PREFIX), self.order.tenant, self.order.order_id, found.exception,
                found.fault_domain, found.code, found.detail, found.blocking, found.kind, found.target,
            )  # fmt: skip

    def _event(self, event_type: str, version: int, data: dict[str, Any]) -> Event:
        return order_event(self.order, event_type, version, self.now, data)


def workflow_id(order_id: str, turn: int) -> str:
    """The name of one turn's workflow; the first one bears the order's id."""
    return order_id if turn == 1 else f"{order_id}:{turn}"


def order_event(order: Order, event_type: str, version: int, at: datetime, data: dict[str, Any]) -> Event:
    """An event of an order: who may see it and its state, then what the event says."""
    return Event(
        tenant=order.tenant,
        type=event_type,
        aggregate=order.order_id,
        aggregate_version=version,
        occurred_at=at,
        correlation_id=order.correlation_id,
        data={
            "order": order.order_id,
            "channel": order.channel,
            "partner": order.partner,
            "sold_to": order.sold_to,
            "external_number": order.external_number,
            "state": order.state,
            **data,
        },
    )


async def write_allocations(connection: Connection, order_id: str, parts: Sequence[Allocation]) -> None:
    """Make `parts` the allocations of the order."""
    await connection.execute(
        sql.replace_allocations, order_id, *_columns(parts, ("line", "location", "claim", "amount"))
    )


async def insert_orders(connection: Connection, orders: Sequence[Order], contents: Sequence[bytes]) -> frozenset[str]:
    """Insert new orders of one tenant, promised, with their lines; returns the ids of those whose identity was free."""
    before = _columns(orders, ("order_id", "channel", "partner", "sold_to", "external_number", "release"))
    after = _columns(orders, ("requested_date", "total", "placed_at", "correlation_id"))
    addresses = [msgspec.json.encode(order.ship_to).decode() for order in orders]
    currencies = [order.currency for order in orders]
    names = ("line", "item", "sku", "asked_amount", "asked_uom", "uom", "factor", "unit_price", "ordered")
    ids = [order.order_id for order in orders for _ in order.lines]
    lines = _columns([line for order in orders for line in order.lines], names)
    rows = await connection.fetch(
        sql.insert_orders, orders[0].tenant, *before, list(contents), currencies, addresses, *after, ids, *lines,
        [order.fill for order in orders], orders[0].shape,
        [line.stated_price for order in orders for line in order.lines],
    )  # fmt: skip
    return frozenset(row["order_id"] for row in rows)


def insert_allocations(writes: GathersWrites, orders: Sequence[Order]) -> None:
    """The allocations of new orders."""
    ids = [order.order_id for order in orders for _ in order.allocations]
    parts = [part for order in orders for part in order.allocations]
    writes.add(sql.insert_allocations, ids, *_columns(parts, ("line", "location", "claim", "amount")))


def _columns(rows: Sequence[Any], names: Sequence[str]) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names]
