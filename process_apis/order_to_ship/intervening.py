"""Customer service: hold, reallocate, split, cancel in part; its buyer: amend. Once per action id, locked, audited.

What other systems have is withdrawn first, each confirming that it has it no more; until then the claims stand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.canonical.capabilities import ClaimsStock, Connection, FindsSystems
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotFound
from gateway.kernel.quantity import plain
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.amending import difference
from process_apis.order_to_ship.models import Amendment, Order, Rework, ReworkLine, Verb
from process_apis.order_to_ship.records import Change, load, lock
from process_apis.order_to_ship.rework_rules import Intervention, amounts_of, check, concerned, digest, is_all
from process_apis.order_to_ship.reworking import rework_now

_sql: Final = queries_beside(__file__, "service_queries.sql")
_URGENT: Final = 10
Cancels = Callable[[Connection, Caller, str, str], Awaitable[Order]]


class Interventions:
    """What people do to orders. `cancel` gives up a whole order."""

    def __init__(self, store: Store, claims: ClaimsStock, systems: FindsSystems, cancel: Cancels) -> None:
        self._store = store
        self._claims = claims
        self._systems = systems
        self._cancel = cancel

    async def intervene(self, caller: Caller, order_id: str, asked: Intervention) -> Order:
        """Do it: at once where no system has what it concerns, else when they gave it back. Again changes nothing.

        Raises `NotFound`, `Invalid`, or `Conflict`: ``precondition.failed``, ``order.action_reused``,
        ``order.closed``, ``order.cancelling``, ``order.busy``, ``order.shipped_in_part``, ``order.not_approved``,
        ``order.lines_changed``, ``stock.insufficient``, ``claim.kit_divided``, ``claim.over``.
        """
        async with self._store.transaction() as connection:
            order, now = await lock(connection, order_id)
            if order.tenant != caller.tenant:
                raise NotFound(f"there is no order {order_id}", code="order.not_found")
            if await _is_known(connection, caller, order_id, asked):
                return order
            _check_version(order, asked)
            check(order, asked)
            self._check_places(order, asked)
            if asked.verb is Verb.CANCEL and is_all(order, asked.lines):
                return await self._cancel(connection, caller, order_id, asked.reason)
            order = await self._begin(Change(connection, order, now), _rework(order, caller, asked))
            await _audit(connection, caller, order, asked, asked.lines)
        return order

    async def amend(self, caller: Caller, order_id: str, asked: Intervention, *, partner: str) -> Order:
        """A buyer's change of its own order, before picking began: as `intervene`, and ``order.picking_began``.

        What is ordered more is promised like an order, in full or not at all; the customer's terms and the rules look
        at the order anew. An order of which nothing is wanted any more is cancelled.
        """
        amendment = asked.amendment or Amendment()
        async with self._store.transaction() as connection:
            order, now = await lock(connection, order_id)
            if order.tenant != caller.tenant or order.partner != partner:
                raise NotFound(f"there is no order {order_id}", code="order.not_found")
            if await _is_known(connection, caller, order_id, asked):
                return order
            _check_version(order, asked)
            check(order, asked)
            wanted = difference(order, amendment)
            if wanted.is_nothing:
                return order
            if is_all(order, wanted.less) and not wanted.more:
                return await self._cancel(connection, caller, order_id, asked.reason)
            amounts = None if wanted.concerns_all else amounts_of(order, wanted.less)
            rework = Rework(
                action=asked.action,
                verb=Verb.AMEND,
                actor=caller.principal.subject,
                reason=asked.reason,
                lines=wanted.less,
                more=wanted.more,
                ship_to=amendment.ship_to,
                requested_date=amendment.requested_date,
                releases=concerned(order, amounts),
            )
            order = await self._begin(Change(connection, order, now), rework)
            await _audit(connection, caller, order, asked, (*wanted.less, *wanted.more))
        return order

    async def is_amended(self, tenant: str, order_id: str, asked: Intervention, *, partner: str) -> bool:
        """Whether this very amendment was asked for; certain, since it is kept with what it did."""
        async with self._store.connection() as connection:
            order = await load(connection, order_id, tenant=tenant, partner=partner)
            known = await connection.fetchval(_sql.action_of, order_id, asked.action)
        return order is not None and known == digest(asked)

    async def _begin(self, change: Change, rework: Rework) -> Order:
        """Do it now where no system has what it concerns, else once they gave it back."""
        change.set(rework=rework)
        if rework.releases:
            change.wake(priority=_URGENT)
        else:
            await rework_now(change, self._claims, self._systems)
            change.wake()
        return await change.save()

    def _check_places(self, order: Order, asked: Intervention) -> None:
        for each in asked.lines:
            if (each.location is None) == (asked.verb is Verb.REALLOCATE):
                raise Invalid(
                    "name the location that each line is to come from, and only then", code="order.location_unclear"
                )
            try:
                if each.location is not None:
                    self._systems.erp_of(order.tenant, each.location)
            except CrossdockError as unknown:
                raise Conflict(
                    f"{each.location} is no location that orders are served from: read the locations",
                    code="order.location_unknown",
                ) from unknown


def _rework(order: Order, caller: Caller, asked: Intervention) -> Rework:
    amounts = None if asked.verb is Verb.HOLD else amounts_of(order, asked.lines)
    return Rework(
        action=asked.action,
        verb=asked.verb,
        actor=caller.principal.subject,
        reason=asked.reason,
        lines=asked.lines,
        releases=concerned(order, amounts),
    )


def _check_version(order: Order, asked: Intervention) -> None:
    if asked.version is not None and asked.version != order.version:
        raise Conflict(
            f"somebody changed this since version {asked.version} (now {order.version}): read it again, then decide",
            code="precondition.failed",
        )


async def _is_known(connection: Connection, caller: Caller, order_id: str, asked: Intervention) -> bool:
    """Keep the action; True where the same one was asked before."""
    content = digest(asked)
    known = await connection.fetchval(_sql.action_of, order_id, asked.action)
    if known is not None and known != content:
        raise Conflict(
            f"action {asked.action} was something else before: give every command its own action id",
            code="order.action_reused",
        )
    if known is None:
        await connection.execute(_sql.keep_action, order_id, asked.action, content, caller.principal.subject)
    return known is not None


async def _audit(
    connection: Connection, caller: Caller, order: Order, asked: Intervention, meant: Sequence[ReworkLine]
) -> None:
    lines: list[dict[str, Any]] = [
        {
            "line": each.line,
            **({} if each.amount is None else {"amount": plain(each.amount)}),
            **({} if each.location is None else {"location": each.location}),
        }
        for each in meant
    ]
    await record_act(
        connection,
        caller,
        f"order.{asked.verb}",
        order.order_id,
        "asked" if order.rework is not None else "done",
        detail={"reason": asked.reason, "action": asked.action, "lines": lines},
    )
