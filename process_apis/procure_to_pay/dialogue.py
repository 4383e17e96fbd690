"""What suppliers say of their orders: acknowledgements, ship notices, invoices. Each once, in one transaction.

Whatever it is, it is kept; what it means is weighed with all else that was said (`rules.stand`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.canonical.capabilities import Connection
from gateway.canonical.purchase import Acknowledgement, ShipNotice, SupplierInvoice
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.procure_to_pay.models import Purchase
from process_apis.procure_to_pay.records import keep_fact, load, lock, not_there
from process_apis.procure_to_pay.settling import Settling

Answered = Callable[[Connection, Caller, Purchase], Awaitable[None]]
"""Told of each purchase that something was said of, in that transaction."""


class Dialogue:
    """Takes what a supplier says, by itself or by somebody in purchasing who was told by telephone.

    `supplier` None is purchasing; with one, only its own orders exist. `expected` is the version that was seen: another
    one raises `Conflict` (``precondition.failed``). The same content again changes nothing, whatever the version.
    """

    def __init__(self, store: Store, settling: Settling, answered: Answered) -> None:
        self._store = store
        self._settling = settling
        self._answered = answered

    async def acknowledge(
        self,
        caller: Caller,
        purchase: str,
        said: Acknowledgement,
        *,
        supplier: str | None = None,
        expected: int | None = None,
    ) -> Purchase:
        """Take an answer by line. Raises `NotFound`, `Conflict` (``purchase.reference_reused``)."""
        lines = [{"line": each.line, "code": each.code, "amount": each.amount, "on": each.on} for each in said.lines]
        told = {"acknowledgement": said.number, "sequence": said.sequence, "lines": lines}
        key = ("acknowledgement", said.number, said.sequence)
        return await self._say(caller, purchase, key, said, ("supplier.acknowledged", told), supplier, expected)

    async def advise(self, caller: Caller, purchase: str, said: ShipNotice, *, supplier: str | None = None) -> Purchase:
        """Take a ship notice, or a later version of one. Raises `NotFound`, `Conflict`."""
        lines = [{"line": each.line, "amount": each.amount} for each in said.lines]
        told = {"notice": said.number, "sequence": said.sequence, "expected": said.expected, "lines": lines}
        key = ("notice", said.number, said.sequence)
        return await self._say(caller, purchase, key, said, ("asn.received", told), supplier, None)

    async def bill(
        self, caller: Caller, purchase: str, said: SupplierInvoice, *, supplier: str | None = None
    ) -> Purchase:
        """Take an invoice. Raises `NotFound`, `Conflict` (``invoice.number_used``)."""
        told = {"invoice": said.number, "net": said.net, "currency": said.currency}
        key = ("invoice", said.number, 0)
        return await self._say(caller, purchase, key, said, ("invoice.received", told), supplier, None)

    async def get(self, tenant: str, purchase: str, *, supplier: str | None = None) -> Purchase:
        """One purchase; of another supplier, or not approved yet, it is not there for a supplier."""
        async with self._store.connection() as connection:
            return _of(await load(connection, purchase, tenant), supplier)

    async def _say(
        self,
        caller: Caller,
        purchase: str,
        key: tuple[str, str, int],
        said: Acknowledgement | ShipNotice | SupplierInvoice,
        told: tuple[str, dict[str, Any]],
        supplier: str | None,
        expected: int | None,
    ) -> Purchase:
        kind, reference, sequence = key
        async with self._store.transaction() as connection:
            now = await lock(connection, purchase, caller.tenant)
            before = _of(await load(connection, purchase), supplier)
            if before.approved_at is None:
                raise Conflict(
                    f"{before.number} waits for a mapping ({before.cause}): mend it first", code="purchase.unmapped"
                )
            if not await keep_fact(connection, before, kind, reference, sequence, said, caller.principal.subject):
                return before
            if expected is not None and expected != before.version:
                raise Conflict(
                    f"the order changed since version {expected} (now {before.version}): read it again, then answer",
                    code="precondition.failed",
                )
            after = await self._settling.settle(connection, before, [told], now, caller.correlation_id)
            await self._answered(connection, caller, after)
            await record_act(connection, caller, f"purchase.{kind}", purchase, after.state, {"reference": reference})
        return after


def _of(purchase: Purchase, supplier: str | None) -> Purchase:
    if supplier is not None and (purchase.supplier != supplier or purchase.approved_at is None):
        raise not_there(purchase.purchase)
    return purchase
