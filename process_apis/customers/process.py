"""Customers: stated by ERPs, files and people, counted by attribute, and told with what they inherit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid, NotFound, Problem
from gateway.reference.csv_rows import Layout, Row
from gateway.reference.importing import Taken, taken_of
from gateway.reference.outcomes import Outcome
from gateway.reference.ownership import Matrix, held_matrix, own
from gateway.reference.statements import provenance_of
from gateway.reference.survivorship import Ownership, Provenance
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.customers.changing import (
    by_number,
    change_customers,
    customer_of,
    family_of,
    lock_customers,
    recount,
)
from process_apis.customers.files import LAYOUT, change_of_row
from process_apis.customers.models import ATTRIBUTES, DOMAIN, Account, Change, Customer
from process_apis.customers.rules import above, effective

_sql: Final = queries_beside(__file__)


class Customers:
    """The customers process. Safe to use from any number of tasks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock

    # --- changes --------------------------------------------------------------------------------------------------

    async def add(self, caller: Caller, source: str, change: Change) -> Account:
        """Add a customer that is not there yet; raises `Conflict` when its number is taken."""
        async with self.store.connection() as connection:
            if await by_number(connection, caller.tenant, [change.number]):
                raise Conflict(
                    f"there is a customer {change.number!r} already: state what you know of it", code="customer.exists"
                )
        return await self._change(caller, source, change)

    async def state(self, caller: Caller, source: str, customer: str, said: Mapping[str, Any]) -> Account:
        """Let `source` say of a customer what it says, in place of what it said before; raises `NotFound`."""
        known = await self._known(caller.tenant, customer)
        return await self._change(caller, source, Change(number=known.number, attributes=said, whole=True))

    async def add_code(self, caller: Caller, source: str, customer: str, code: str) -> Account:
        """Say that `source` calls this customer `code`; raises `NotFound`."""
        known = await self._known(caller.tenant, customer)
        return await self._change(caller, source, Change(number=known.number, attributes={}, codes={source: (code,)}))

    async def _change(self, caller: Caller, source: str, change: Change) -> Account:
        async with self.store.transaction() as connection:
            outcome = await change_customers(
                connection, self._clock, tenant=caller.tenant, source=source, changes=[change],
                correlation_id=caller.correlation_id,
            )  # fmt: skip
            if outcome.refused:
                refusal = outcome.refused[0]
                problems = [Problem(each.detail, pointer=f"/{each.attribute}") for each in outcome.refused]
                raise Invalid(refusal.detail, code=refusal.code, problems=problems)
            if not outcome.unchanged:
                await record_act(
                    connection,
                    caller,
                    "customer.added" if outcome.created else "customer.changed",
                    f"customers/{change.number}",
                    detail={"source": source, "says": change.attributes, "codes": change.codes},
                )
            found = (await by_number(connection, caller.tenant, [change.number]))[change.number]
        return await self.account(caller.tenant, found.customer)

    # --- files ----------------------------------------------------------------------------------------------------

    @property
    def layout(self) -> Layout:
        """The columns of a file of customers."""
        return LAYOUT

    async def take_rows(
        self, connection: Connection, *, tenant: str, source: str, rows: Sequence[Row], correlation_id: str
    ) -> Taken:
        """Let `source` say what the rows say, besides what it said before of columns that they leave empty."""
        lines = {row.values[LAYOUT.key]: row.line for row in rows}
        outcome = Outcome()
        if rows:
            outcome = await change_customers(
                connection, self._clock, tenant=tenant, source=source,
                changes=[change_of_row(row.values) for row in rows], correlation_id=correlation_id,
            )  # fmt: skip
        return taken_of(outcome, lines)

    # --- answers --------------------------------------------------------------------------------------------------

    async def account(self, tenant: str, customer: str) -> Account:
        """One customer with what it inherits, by our id; raises `NotFound`."""
        known = await self._known(tenant, customer)
        family: dict[str, Mapping[str, Any]] = {known.number: known.attributes}
        async with self.store.connection() as connection:
            await family_of(connection, tenant, family)
            codes = await connection.fetch(_sql.codes_of, tenant, customer)
        return Account(
            customer=known,
            above=tuple(above(known.number, family)),
            effective=effective(known.number, family),
            codes=tuple((row["source"], row["code"]) for row in codes),
        )

    async def page(
        self, tenant: str, *, after: str | None, limit: int, parent: str | None = None
    ) -> Sequence[Customer]:
        """Customers in the order of their ids; of `parent` (a number), those that belong to it at once."""
        return [customer_of(row) for row in await self.store.fetch(_sql.customer_page, tenant, after, parent, limit)]

    async def by_number(self, tenant: str, number: str) -> Sequence[Customer]:
        """The customer with this number, or none."""
        async with self.store.connection() as connection:
            return list((await by_number(connection, tenant, [number])).values())

    async def by_code(self, tenant: str, source: str, code: str) -> Sequence[Customer]:
        """The customer that `source` calls `code`, or none."""
        return [customer_of(row) for row in await self.store.fetch(_sql.customer_by_code, tenant, source, code)]

    async def record_of(self, tenant: str, name: str) -> str | None:
        """The id of the customer with the number `name`."""
        return next((each.customer for each in await self.by_number(tenant, name)), None)

    async def provenance(self, tenant: str, customer: str) -> Sequence[Provenance]:
        """Where each value of a customer comes from; raises `NotFound`."""
        await self._known(tenant, customer)
        return await provenance_of(self.store, tenant, DOMAIN, ATTRIBUTES, customer)

    async def ownership(self, tenant: str) -> Matrix:
        """Who owns which attribute."""
        return await held_matrix(self.store, tenant, DOMAIN, ATTRIBUTES)

    async def change_ownership(
        self, caller: Caller, attributes: Mapping[str, Ownership], *, expected: int, note: str
    ) -> Matrix:
        """Own `attributes` so from now on; what counts of every customer follows in the same transaction."""
        tenant, trace = caller.tenant, caller.correlation_id
        return await own(
            self.store, self._clock, caller, DOMAIN, attributes, known=ATTRIBUTES, expected=expected, note=note,
            lock=lambda connection: lock_customers(connection, tenant),
            recount=lambda connection, _: recount(connection, self._clock, tenant, trace),
        )  # fmt: skip

    async def _known(self, tenant: str, customer: str) -> Customer:
        row = await self.store.fetchrow(_sql.customer_by_id, tenant, customer)
        if row is None:
            raise NotFound("there is no such customer; look it up by its number", code="customer.not_found")
        return customer_of(row)
