"""Accepting orders: one transaction of order, lines, claims, events, audit and the enqueued workflow.

What comes back with 201 is promised: the stock is claimed and the workflow that takes the order further exists.
Orders that come while a transaction runs share the next one; each is accepted or refused for itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import ClaimsStock, Connection, ResolvesItems
from gateway.canonical.kit import in_kits
from gateway.canonical.order import ORDER_PREFIX, FillPolicy
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimRequest, StandingClaim
from gateway.durable.enqueue import enqueue_all
from gateway.durable.shapes import CURRENT
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Unavailable
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store.audit import AuditEntry
from gateway.store.batches import Batches
from gateway.store.postgres import Store
from gateway.store.together import Together
from process_apis.order_to_ship.covering import merged
from process_apis.order_to_ship.kits import insert_kit_lines
from process_apis.order_to_ship.models import (
    QUEUE,
    WORKFLOW,
    Allocation,
    Order,
    OrderLine,
    Placed,
    PlacedAnswer,
    PlaceOrder,
)
from process_apis.order_to_ship.overselling import whatever_there_is, with_late, with_waiting, write_oversold
from process_apis.order_to_ship.records import (
    find_by_identity,
    insert_allocations,
    insert_orders,
    load,
    order_event,
    sql,
)
from process_apis.order_to_ship.rules import derive_state, fingerprint, price_lines
from process_apis.order_to_ship.vetting import Vetting

_FIRST_TURN: Final = 1
_SHORT: Final = "stock.insufficient"
# Each enqueues behind a savepoint of its own, and PostgreSQL keeps track of 64 of them cheaply.
_LARGEST_BATCH: Final = 48


class _Wanted(Struct, frozen=True):
    """An order to accept: the command, the draft made of it, its content's fingerprint, and who keeps the answer."""

    command: PlaceOrder
    order: Order
    content: bytes
    answer: PlacedAnswer | None


class _RefusedError(Exception):
    """Some of a batch cannot be promised; ends its transaction, so that nothing of them is left."""

    def __init__(self, refusals: Mapping[str, Conflict]) -> None:
        super().__init__(f"{len(refusals)} orders cannot be promised")
        self.refusals = refusals


class Acceptance:
    """Takes orders: promised in full, or refused; those of `committed` channels wait for what stock cannot give.

    Those of `dated` channels wait too, where supply is known that covers it; their lines say when. `fills` are the
    channels' policies for orders that bring none.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        items: ResolvesItems,
        claims: ClaimsStock,
        committed: Collection[str] = (),
        dated: Collection[str] = (),
        fills: Mapping[str, FillPolicy] | None = None,
        *,
        vetting: Vetting,
    ) -> None:
        self._vetting = vetting
        self._fills = dict(fills or {})
        self._store = store
        self._clock = clock
        self._items = items
        self._claims = claims
        self._committed = frozenset(committed)
        self._dated = frozenset(dated)
        self._batches: dict[str, Batches[_Wanted, Order | None]] = {}

    async def place(self, command: PlaceOrder, answer: PlacedAnswer | None = None) -> Placed:
        """Accept the order, or return the one that this identity and content already made.

        The `answer` to a new order is kept in its transaction.

        Raises `Conflict` (``order.lines_invalid``; ``order.number_reused``: the identity is taken by other content;
        ``stock.insufficient``: nothing was promised; what `Vetting.admit` raises).
        """
        content = fingerprint(command)
        try:
            order = await self._draft(command)
        except Conflict:
            # What was accepted once stays accepted, whatever became of its items since.
            if (known := await self._known(command, content)) is None:
                raise
            return Placed(order=known, created=False)
        accepted = await self._batches_of(order.tenant).ask(_Wanted(command, order, content, answer))
        if accepted is not None:
            if answer is not None:
                answer.keeper.completed = True
            return Placed(order=accepted, created=True)
        if (known := await self._known(command, content)) is None:
            raise Unavailable("another request with this number was just undone; try again")
        return Placed(order=known, created=False)

    async def accept_within(self, connection: Connection, command: PlaceOrder, draft: Order, content: bytes) -> Order:
        """Accept `draft`, made of `command`, in the caller's transaction; what its identity made before, where it did.

        Raises what `place` raises of a channel's stock and claims.
        """
        try:
            accepted = await self._accept(connection, [_Wanted(command, draft, content, None)])
        except _RefusedError as refused:
            raise refused.refusals[draft.order_id] from refused
        if (order := accepted.get(draft.order_id)) is not None:
            return order
        known = await find_by_identity(connection, draft)
        if known is None:
            raise Unavailable("another import of this order was just undone; try again")
        return known

    def draft(self, command: PlaceOrder) -> Order:
        """The order that `command` would make, without its lines."""
        return self._draft_without_lines(command)

    async def recall(self, command: PlaceOrder) -> Order | None:
        """The order that this command made, None when it is certain that it made none.

        Waits for a transaction of this identity that is still under way, by asking for the place it would take.
        """
        content = fingerprint(command)
        draft = self._draft_without_lines(command)
        async with self._store.connection() as connection:
            trial = connection.transaction()
            await trial.start()
            try:
                await insert_orders(connection, [draft], [content])
            finally:
                await trial.rollback()
        try:
            return await self._known(command, content)
        except Conflict:
            return None

    async def _known(self, command: PlaceOrder, content: bytes) -> Order | None:
        async with self._store.connection() as connection:
            row = await connection.fetchrow(
                sql.find_by_identity,
                command.caller.tenant,
                command.channel,
                command.sold_to,
                command.external_number,
                command.release,
            )
            if row is None:
                return None
            if row["fingerprint"] != content:
                raise Conflict(
                    f"number {command.external_number} already names another order: send the same content again, "
                    "or another number",
                    code="order.number_reused",
                    context={"order": row["order_id"]},
                )
            return await load(connection, row["order_id"])

    async def _draft(self, command: PlaceOrder) -> Order:
        tenant = command.caller.tenant
        ids = [line.item for line in command.lines if line.item]
        skus = [line.sku for line in command.lines if line.sku and not line.item]
        by_id = await self._items.by_id(tenant, ids) if ids else {}
        by_sku = await self._items.by_sku(tenant, skus) if skus else {}
        lines, total = price_lines(command, by_id, by_sku)
        draft = replace(self._draft_without_lines(command), lines=lines, total=total)
        await self._vetting.admit(draft)
        return draft

    def _draft_without_lines(self, command: PlaceOrder) -> Order:
        return Order(
            order_id=new_id(ORDER_PREFIX),
            tenant=command.caller.tenant,
            channel=command.channel,
            partner=command.partner,
            sold_to=command.sold_to,
            external_number=command.external_number,
            release=command.release,
            currency=command.currency,
            ship_to=command.ship_to,
            requested_date=command.requested_date,
            total=Decimal(0),
            placed_at=self._clock.now(),
            correlation_id=command.caller.correlation_id,
            lines=(),
            fill=command.fill or self._fills.get(command.channel, "complete"),
            shape=CURRENT.name,
        )

    def _batches_of(self, tenant: str) -> Batches[_Wanted, Order | None]:
        batches = self._batches.get(tenant)
        if batches is None:
            batches = self._batches[tenant] = Batches(self._accept_all, largest=_LARGEST_BATCH)
        return batches

    async def _accept_all(self, wanted: Sequence[_Wanted]) -> Sequence[Order | BaseException | None]:
        """The order, None where its identity was taken already, or why it is refused; all in one transaction.

        When some are refused the transaction is undone and the others are accepted in another one.
        """
        refused: dict[str, Conflict] = {}
        accepted: Mapping[str, Order] = {}
        while rest := [each for each in wanted if each.order.order_id not in refused]:
            try:
                async with self._store.transaction() as connection:
                    accepted = await self._accept(connection, rest)
                break
            except _RefusedError as some:
                refused.update(some.refusals)
        ids = [each.order.order_id for each in wanted]
        return [refused.get(order_id) or accepted.get(order_id) for order_id in ids]

    async def _accept(self, connection: Connection, wanted: Sequence[_Wanted]) -> Mapping[str, Order]:
        """Everything in the caller's transaction; the claims last, because they lock stock that others wait for."""
        drafts, contents = [each.order for each in wanted], [each.content for each in wanted]
        free = await insert_orders(connection, drafts, contents)
        fresh = [each for each in wanted if each.order.order_id in free]
        if not fresh:
            return {}
        drafts = [each.order for each in fresh]
        writes = Together()
        orders = await self._claim(connection, drafts, writes)
        insert_allocations(writes, orders)
        write_oversold(writes, orders, self._clock.now())
        writes.record([_audited(each) for each in fresh])
        enqueue_all(
            writes,
            workflow=WORKFLOW,
            queue=QUEUE,
            args={order.order_id: [order.order_id, _FIRST_TURN] for order in orders},
        )
        writes.tell(
            [order_event(order, "order.accepted", order.version, order.placed_at, _told(order)) for order in orders]
        )
        accepted = {order.order_id: order for order in orders}
        await _answer_all(connection, writes, fresh, accepted)
        return accepted

    async def _claim(self, connection: Connection, drafts: Sequence[Order], writes: Together) -> Sequence[Order]:
        requests = [self._request(order) for order in drafts]
        tenant = drafts[0].tenant
        answers = await self._claims.claim_all(connection, tenant=tenant, requests=requests, writes=writes)
        promised: list[tuple[Order, ClaimRequest, Sequence[ClaimedLine]]] = []
        refusals: dict[str, Conflict] = {}
        for order, request, answer in zip(drafts, requests, answers, strict=True):
            if not isinstance(answer, Conflict):
                promised.append((order, request, answer))
            elif self._waits(order) and answer.code == _SHORT:
                promised.append((order, request, ()))
            else:
                refusals[order.order_id] = answer
        if refusals:
            raise _RefusedError(refusals)
        insert_kit_lines(writes, {order.order_id: made for order, _, made in promised})
        return [
            _promised(
                with_late(order, self._claims.arrive_late(tenant, request, made)) if order.requested_date else order,
                made,
                await self._backorder(connection, request, made, writes, tenant) if self._waits(order) else (),
                oversold=order.channel in self._committed,
            )
            for order, request, made in promised
        ]

    def _waits(self, order: Order) -> bool:
        return order.channel in self._committed or self._is_dated(order)

    def _is_dated(self, order: Order) -> bool:
        return order.channel in self._dated and order.fill != "fill_or_kill"

    async def _backorder(
        self,
        connection: Connection,
        request: ClaimRequest,
        made: Sequence[ClaimedLine],
        writes: Together,
        tenant: str,
    ) -> Sequence[StandingClaim]:
        dated = request.channel not in self._committed
        try:
            return await self._claims.backorder(
                connection, tenant=tenant, request=request, made=made, writes=writes, known_supply=dated
            )
        except Conflict as refusal:
            raise _RefusedError({request.order: refusal}) from refusal

    def _request(self, order: Order) -> ClaimRequest:
        request = ClaimRequest(
            action=f"{order.order_id}:claim",
            order=order.order_id,
            channel=order.channel,
            lines=[ClaimLine(line=line.line, item=line.item, amount=line.ordered) for line in order.lines],
            correlation_id=order.correlation_id,
            need_by=order.requested_date,
            ship_to=f"{order.ship_to.country} {order.ship_to.postal_code}",
        )
        if order.channel in self._committed:
            return whatever_there_is(request)
        return replace(request, fill="partial") if self._is_dated(order) else request


async def _answer_all(
    connection: Connection, writes: Together, wanted: Sequence[_Wanted], orders: Mapping[str, Order]
) -> None:
    """Run `writes` with the answers; whoever lost the right to answer meanwhile loses the order too."""
    answered = [(each.order.order_id, each.answer) for each in wanted if each.answer is not None]
    for order_id, answer in answered:
        answer.keeper.keep(writes, answer.render(orders[order_id]))
    results = await writes.run(connection)
    if lost := {order_id: answer.keeper.lost for order_id, answer in answered if not answer.keeper.is_kept(results)}:
        raise _RefusedError(lost)


def _promised(
    order: Order, made: Sequence[ClaimedLine], waiting: Sequence[StandingClaim] = (), *, oversold: bool = False
) -> Order:
    parts = [
        Allocation(line=part.line, location=part.location, claim=part.claim, amount=part.amount)
        for part in in_kits(made)
    ]
    parts += [
        Allocation(line=part.line, location=part.location, claim=part.claim, amount=part.amount) for part in waiting
    ]
    order = replace(with_waiting(order, waiting, oversold=oversold), allocations=merged(parts))
    return replace(order, state=derive_state(order))


def _audited(wanted: _Wanted) -> AuditEntry:
    order = wanted.order
    return AuditEntry(
        tenant=order.tenant,
        actor=wanted.command.caller.principal.subject,
        action="order.place",
        subject=order.order_id,
        outcome="accepted",
        correlation_id=order.correlation_id,
        detail={},
    )


def _told(order: Order) -> dict[str, Any]:
    return {
        "total": {"amount": plain(order.total), "currency": order.currency},
        "lines": [_told_line(line) for line in order.lines],
    }


def _told_line(line: OrderLine) -> dict[str, Any]:
    return {"line": line.line, "item": line.item, "sku": line.sku, "amount": plain(line.ordered), "uom": line.uom}
