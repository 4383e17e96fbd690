"""What a rule would have held or refused of the orders placed last, before anybody makes it: nothing is written.

Each order is judged as it is now, by the predicate that judges it when its terms are decided (`Vetting.found`), and
beside the others of its account as they stood when it was placed. Its customer and its items are those of today, and a
duplicate that was cancelled since is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.order import OrderState
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.hold_rulebook import RuleChange, check_fit
from process_apis.order_to_ship.hold_rules import HoldRule
from process_apis.order_to_ship.records import load
from process_apis.order_to_ship.vetting import Vetting

_sql: Final = queries_beside(__file__, "hold_queries.sql")
MOST: Final = 1_000
"""Orders that one preview looks at."""


class Held(Struct, frozen=True, kw_only=True):
    """An order that the rule finds, and why."""

    order_id: str
    external_number: str
    channel: str
    sold_to: str
    total: Decimal
    currency: str
    placed_at: datetime
    state: OrderState
    why: str


class Preview(Struct, frozen=True, kw_only=True):
    """What was found of `looked` orders, the newest first; `since` is when the oldest of them was placed."""

    looked: int
    since: datetime | None
    found: Sequence[Held]


class Previews:
    """Previews of rules over the orders of one record."""

    def __init__(self, store: Store, clock: Clock, vetting: Vetting) -> None:
        self._store = store
        self._clock = clock
        self._vetting = vetting

    async def preview(self, caller: Caller, asked: RuleChange, *, last: int) -> Preview:
        """What `asked`, were it active already, finds of the tenant's `last` orders, of `MOST` at most.

        Raises `Invalid` (``hold_rule.unfit``) for a rule that cannot be made.
        """
        check_fit(asked)
        rule = self._draft(caller, asked)
        found, looked, since = [], 0, None
        async with self._store.connection() as connection:
            for row in await connection.fetch(_sql.placed_last, caller.tenant, min(last, MOST)):
                order = await load(connection, row["order_id"], tenant=caller.tenant)
                if order is None:
                    continue
                looked, since = looked + 1, order.placed_at
                for why in await self._vetting.found(connection, order, [rule], as_of=order.placed_at):
                    held = {name: getattr(order, name) for name in Held.__struct_fields__ if name != "why"}
                    found.append(Held(**held, why=why))
        return Preview(looked=looked, since=since, found=found)

    def _draft(self, caller: Caller, asked: RuleChange) -> HoldRule:
        now = self._clock.now()
        return HoldRule(
            name=asked.name, when=asked.when, then=asked.then, active=True, channels=asked.channels,
            customer_classes=asked.customer_classes, business_owner=asked.business_owner, reason=asked.reason,
            effective_from=now, changed_by=caller.principal.subject, changed_at=now, version=0,
        )  # fmt: skip
