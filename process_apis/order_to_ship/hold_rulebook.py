"""The rules that hold or refuse orders: the record's, and a copy of them in this process, a second old at most."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid, Problem, Unavailable
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.order_to_ship.hold_rules import HISTORICAL, Condition, HoldRule, Outcome, in_force

_sql: Final = queries_beside(__file__, "hold_queries.sql")
_POLL_S: Final = 1.0
_TRUST_S: Final = 30.0
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_decode: Final = msgspec.json.Decoder(Condition, strict=False).decode


class RuleChange(Struct, frozen=True, kw_only=True):
    """A new version of the rule `name`, from `effective_from` on (None: now).

    With `expected`, the version that it follows (0: none), it is refused if somebody else made one meanwhile.
    """

    name: str
    when: Condition
    then: Outcome
    business_owner: str
    reason: str
    active: bool = True
    channels: tuple[str, ...] = ()
    customer_classes: tuple[str, ...] = ()
    effective_from: datetime | None = None
    expected: int | None = None


def check_fit(asked: RuleChange) -> None:
    """Raise `Invalid` (``hold_rule.unfit``) for a condition that cannot do what is asked of it."""
    if asked.then == "refuse" and isinstance(asked.when, HISTORICAL):
        problem = Problem("it is known only once the order is accepted: hold it", pointer="/then")
        raise Invalid("this condition cannot refuse orders", problems=[problem], code="hold_rule.unfit")


class HoldRulebook:
    """Reads and changes them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._copies: dict[str, _Copy] = {}

    async def in_force(self, tenant: str) -> Sequence[HoldRule]:
        """The active ones, by a copy that is a second old at most; it is trusted for a while if the record is away."""
        copy = self._copies.setdefault(tenant, _Copy())
        if self._clock.monotonic() - copy.checked >= _POLL_S:
            async with copy.comparing:
                await self._compare(tenant, copy)
        return in_force(copy.rules, self._clock.now()) if copy.rules else ()

    async def _compare(self, tenant: str, copy: _Copy) -> None:
        at = self._clock.monotonic()
        if at - copy.checked < _POLL_S:
            return
        try:
            latest = await self._store.fetchval(_sql.latest_change, tenant)
            if latest != copy.latest:
                copy.rules = await self.known(tenant)
                copy.latest = latest
        except Unavailable:
            if at - copy.checked > _TRUST_S:
                raise
            return
        copy.checked = at

    async def known(self, tenant: str) -> Sequence[HoldRule]:
        """What holds, active or not, and what is to come, from the record."""
        return [_rule(row) for row in await self._store.fetch(_sql.rules, tenant, self._clock.now())]

    async def versions(self, tenant: str, name: str, *, before: int | None, limit: int) -> Sequence[HoldRule]:
        """The versions of one rule, the latest first."""
        return [_rule(row) for row in await self._store.fetch(_sql.versions, tenant, name, before, limit)]

    async def change(self, caller: Caller, asked: RuleChange) -> HoldRule:
        """Make a new version.

        Raises `Invalid` (``hold_rule.unfit``, ``hold_rule.past``) and `Conflict` (``hold_rule.changed``).
        """
        now = self._clock.now()
        begins = asked.effective_from or now
        if begins < now:
            raise Invalid("what is past was decided already: begin now or later", code="hold_rule.past")
        check_fit(asked)
        async with self._store.transaction() as connection:
            await connection.fetchval(_sql.lock_rules, caller.tenant)
            latest = await connection.fetchval(_sql.latest_of, caller.tenant, asked.name)
            if asked.expected is not None and asked.expected != latest:
                raise Conflict(
                    f"the rule {asked.name} was changed meanwhile (now {latest}): read it again, then decide",
                    code="hold_rule.changed",
                )
            subject = caller.principal.subject
            await connection.execute(
                _sql.add_rule, caller.tenant, asked.name, _encode(asked.when).decode(), asked.then, asked.active,
                list(asked.channels), list(asked.customer_classes), asked.business_owner, asked.reason, begins,
                subject, now, latest + 1,
            )  # fmt: skip
            await record_act(
                connection,
                caller,
                "hold_rule.change",
                f"hold_rule/{asked.name}",
                detail={"version": latest + 1, "active": asked.active, "reason": asked.reason},
            )
        self._copies.pop(caller.tenant, None)
        [made] = await self.versions(caller.tenant, asked.name, before=latest + 2, limit=1)
        return made


class _Copy:
    def __init__(self) -> None:
        self.checked = float("-inf")
        self.comparing = asyncio.Lock()
        self.latest = 0
        self.rules: Sequence[HoldRule] = ()


def _rule(row: Any) -> HoldRule:
    fields = {
        name: row[name] for name in HoldRule.__struct_fields__ if name not in ("when", "channels", "customer_classes")
    }
    return HoldRule(
        when=_decode(row["when"]),
        channels=tuple(row["channels"]),
        customer_classes=tuple(row["customer_classes"]),
        **fields,
    )
