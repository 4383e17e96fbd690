"""Suppliers and their onboarding: who they are in each system, what was checked, whether orders go out to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotFound
from gateway.kernel.ids import new_id
from gateway.store import log
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.procure_to_pay.records import encoded, sql

Step = Literal["documents", "terms", "test_order"]
STEPS: Final[tuple[Step, ...]] = ("documents", "terms", "test_order")
"""What has to be done before orders go out: papers checked, terms agreed, a test order acknowledged."""
PREFIX: Final = "sup"


class SupplierState(StrEnum):
    """`suspended` takes no new orders; what it has goes on."""

    ONBOARDING = "onboarding"
    ACTIVE = "active"
    SUSPENDED = "suspended"


class StepDone(Struct, frozen=True, kw_only=True):
    """One step of onboarding, by whom and when."""

    step: str
    by: str
    at: datetime
    note: str | None = None


class Supplier(Struct, frozen=True, kw_only=True):
    """A supplier; `codes` is what each source calls it, `partner` the party of our doors that speaks for it."""

    supplier: str
    tenant: str
    name: str
    state: SupplierState
    version: int
    created_at: datetime
    changed_at: datetime
    partner: str | None = None
    steps: tuple[StepDone, ...] = ()
    codes: Mapping[str, str] = {}

    @property
    def missing(self) -> tuple[Step, ...]:
        """Steps that are still to be done, in their order."""
        done = {each.step for each in self.steps}
        return tuple(step for step in STEPS if step not in done)


_of_text: Final = msgspec.json.Decoder(Supplier).decode


class Suppliers:
    """Commands of purchasing about suppliers. Each change is one transaction with its event and audit entry."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def make_known(
        self, caller: Caller, *, name: str, codes: Mapping[str, str], partner: str | None = None
    ) -> Supplier:
        """A supplier in onboarding. Raises `Conflict`: ``supplier.exists``, ``supplier.code_taken``."""
        async with self._store.transaction() as connection:
            supplier = await connection.fetchval(sql.insert_supplier, caller.tenant, new_id(PREFIX), name, partner)
            if supplier is None:
                raise Conflict(
                    f"there is a supplier named {name}, or one that the same partner speaks for: change that one",
                    code="supplier.exists",
                )
            await self._set_codes(connection, caller.tenant, supplier, codes)
            made = await _load(connection, caller.tenant, supplier)
            await self._told(connection, caller, made, "supplier.make_known")
        return made

    async def change(
        self, caller: Caller, supplier: str, *, codes: Mapping[str, str] | None = None, partner: str | None = None
    ) -> Supplier:
        """Add what sources call it, or say which partner speaks for it."""
        async with self._store.transaction() as connection:
            before, _ = await _locked(connection, caller.tenant, supplier)
            await self._set_codes(connection, caller.tenant, supplier, codes or {})
            after = replace(before, partner=partner or before.partner, codes={**before.codes, **(codes or {})})
            return before if after == before else await self._save(connection, caller, after, "supplier.change")

    async def finish_step(self, caller: Caller, supplier: str, step: Step, note: str | None = None) -> Supplier:
        """Note that a step is done; the last one makes the supplier active. Again changes nothing.

        Raises `Conflict` (``supplier.step_early``): a test order is for who has given papers and terms.
        """
        async with self._store.transaction() as connection:
            return await self.finish_within(connection, caller, supplier, step, note)

    async def finish_within(
        self, connection: Connection, caller: Caller, supplier: str, step: Step, note: str | None = None
    ) -> Supplier:
        """`finish_step` in the caller's transaction."""
        before, now = await _locked(connection, caller.tenant, supplier)
        missing = before.missing
        if step not in missing:
            return before
        if missing[0] != step:
            raise Conflict(f"{step} comes behind {missing[0]}: finish that first", code="supplier.step_early")
        done = StepDone(step=step, by=caller.principal.subject, at=now, note=note)
        after = replace(before, steps=(*before.steps, done))
        if not after.missing and after.state is SupplierState.ONBOARDING:
            after = replace(after, state=SupplierState.ACTIVE)
        return await self._save(connection, caller, after, f"supplier.{step}")

    async def suspend(self, caller: Caller, supplier: str, *, suspended: bool, reason: str) -> Supplier:
        """Send it no new orders, or again. Raises `Conflict` (``supplier.onboarding``)."""
        async with self._store.transaction() as connection:
            before, _ = await _locked(connection, caller.tenant, supplier)
            if before.missing:
                raise Conflict(f"it is not through its onboarding: {before.missing[0]}", code="supplier.onboarding")
            after = replace(before, state=SupplierState.SUSPENDED if suspended else SupplierState.ACTIVE)
            if after == before:
                return before
            return await self._save(connection, caller, after, "supplier.suspend", {"reason": reason})

    async def get(self, tenant: str, supplier: str) -> Supplier:
        """One supplier; raises `NotFound`."""
        async with self._store.connection() as connection:
            return await _load(connection, tenant, supplier)

    async def of_partner(self, tenant: str, partner: str | None) -> str:
        """Whom a partner speaks for; raises `NotFound` (``supplier.not_found``) for one that is no supplier."""
        found: str | None = await self._store.fetchval(sql.supplier_of_partner, tenant, partner or "")
        if found is None:
            raise NotFound(
                "you speak for no supplier here: ask purchasing to make you known", code="supplier.not_found"
            )
        return found

    async def listed(self, tenant: str, *, after: str | None = None, limit: int = 50) -> Sequence[Supplier]:
        """By id, the eldest first."""
        return [_of_text(row["body"]) for row in await self._store.fetch(sql.list_suppliers, tenant, after, limit)]

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _set_codes(self, connection: Connection, tenant: str, supplier: str, codes: Mapping[str, str]) -> None:
        for source, code in sorted(codes.items()):
            if await connection.fetchval(sql.set_code, tenant, source, code, supplier) is None:
                raise Conflict(f"{source} calls another supplier {code}", code="supplier.code_taken")

    async def _save(
        self,
        connection: Connection,
        caller: Caller,
        after: Supplier,
        action: str,
        detail: Mapping[str, Any] | None = None,
    ) -> Supplier:
        after = replace(after, version=after.version + 1)
        await connection.execute(
            sql.save_supplier, after.tenant, after.supplier, after.name, after.partner, after.state,
            encoded(after.steps), after.version,
        )  # fmt: skip
        await self._told(connection, caller, after, action, detail)
        return after

    async def _told(
        self,
        connection: Connection,
        caller: Caller,
        supplier: Supplier,
        action: str,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        now = await connection.fetchval(sql.now)
        data = {"name": supplier.name, "state": supplier.state, "partner": supplier.partner, "action": action}
        event = Event(
            tenant=supplier.tenant,
            type="supplier.changed",
            aggregate=supplier.supplier,
            aggregate_version=supplier.version,
            occurred_at=now,
            correlation_id=caller.correlation_id,
            data=data,
        )
        await log.append(connection, [event])
        await record_act(connection, caller, action, supplier.supplier, supplier.state, {**data, **(detail or {})})


async def _load(connection: Connection, tenant: str, supplier: str) -> Supplier:
    text = await connection.fetchval(sql.get_supplier, tenant, supplier)
    if text is None:
        raise NotFound(f"there is no supplier {supplier[:40]!r}: look it up in the list", code="supplier.not_found")
    return _of_text(text)


async def _locked(connection: Connection, tenant: str, supplier: str) -> tuple[Supplier, datetime]:
    row = await connection.fetchrow(sql.lock_supplier, tenant, supplier)
    found = await _load(connection, tenant, supplier)
    return found, row["now"]
