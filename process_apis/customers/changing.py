"""Changes of customers in one transaction: what sources say, judged together, with codes and events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.kernel.clock import Clock
from gateway.kernel.ids import new_id
from gateway.reference.outcomes import Outcome, Refusal
from gateway.reference.ownership import Matrix, matrix_of
from gateway.reference.statements import Statements, keep_statements, statements_of
from gateway.reference.survivorship import Statement, restated, surviving
from gateway.store import log
from gateway.store.queries import queries_beside
from process_apis.customers.models import (
    ATTRIBUTES,
    CUSTOMER_PREFIX,
    DEEPEST,
    DOMAIN,
    Change,
    Customer,
)
from process_apis.customers.rules import refusals

_sql: Final = queries_beside(__file__)
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_PAGE: Final = 500
_HIGHEST: Final = 8 * DEEPEST


def customer_of(row: Mapping[str, Any]) -> Customer:
    """A customer from its row."""
    return Customer(
        customer=row["customer"], number=row["number"], attributes=_decode(row["attributes"]), version=row["version"]
    )


async def by_number(connection: Connection, tenant: str, numbers: Iterable[str]) -> dict[str, Customer]:
    """Those that exist."""
    rows = await connection.fetch(_sql.customers_by_number, tenant, sorted(set(numbers)))
    return {row["number"]: customer_of(row) for row in rows}


async def family_of(connection: Connection, tenant: str, known: dict[str, Mapping[str, Any]]) -> None:
    """Add to `known` (attributes by number) all that those in it refer to, and those above them."""
    asked = set(known)
    for _ in range(_HIGHEST):
        wanted = {
            str(other)
            for values in known.values()
            for other in (values.get("parent"), values.get("bill_to"))
            if other is not None
        } - asked
        if not wanted:
            return
        asked |= wanted
        known |= {number: each.attributes for number, each in (await by_number(connection, tenant, wanted)).items()}


class _Work:
    """Changes of one source on their way into the record."""

    def __init__(self, source: str, changes: Sequence[Change], there: Mapping[str, Customer]) -> None:
        self.source = source
        self.changes = {each.number: each for each in changes}
        self.there = there
        self.ids = {
            number: there[number].customer if number in there else new_id(CUSTOMER_PREFIX) for number in self.changes
        }
        self.statements: dict[str, Statement] = {}
        self.values: dict[str, dict[str, Any]] = {}

    def restate(self, said: Statements, matrix: Matrix, clock: Clock) -> None:
        """What the source says now, and what counts then."""
        for number, change in self.changes.items():
            before = said.get(self.ids[number], [])
            mine = next((each for each in before if each.source == self.source), None)
            made = restated(mine, self.source, change.attributes, clock.now(), whole=change.whole)
            if made is not None:
                self.statements[number] = made
                others = [each for each in before if each.source != self.source]
                self.values[number] = surviving([*others, made], matrix.attributes)


async def lock_customers(connection: Connection, tenant: str) -> int:
    """Let nobody else change customers before this transaction ends."""
    return int(await connection.fetchval(_sql.next_catalogue_version, tenant))


async def change_customers(
    connection: Connection,
    clock: Clock,
    *,
    tenant: str,
    source: str,
    changes: Sequence[Change],
    correlation_id: str,
) -> Outcome:
    """Let `source` say `changes` (each number once); what cannot hold is refused, the rest is written with events."""
    await lock_customers(connection, tenant)
    matrix = await matrix_of(connection, tenant, DOMAIN, ATTRIBUTES)
    work = _Work(source, changes, await by_number(connection, tenant, (each.number for each in changes)))
    work.restate(
        await statements_of(connection, tenant, DOMAIN, [each.customer for each in work.there.values()]), matrix, clock
    )
    refused = await _judge(connection, tenant, work)
    taken = await _codes_there(connection, tenant, work)
    refused += _foreign_codes(work, taken, {each.record for each in refused})
    out = {each.record for each in refused}
    added = [
        (code_source, code, work.ids[number])
        for number, change in work.changes.items()
        for code_source, codes in change.codes.items()
        for code in codes
        if number not in out and (code_source, code) not in taken
    ]
    coded = {customer for _, _, customer in added}
    touched = [
        number
        for number in work.changes
        if number not in out and (number in work.statements or work.ids[number] in coded)
    ]
    await _write(connection, clock, tenant, work, touched, correlation_id)
    if added:
        await connection.execute(_sql.add_codes, tenant, *map(list, zip(*added, strict=True)))
    return Outcome(
        created=tuple(each for each in touched if each not in work.there),
        changed=tuple(each for each in touched if each in work.there),
        unchanged=tuple(each for each in work.changes if each not in touched and each not in out),
        refused=tuple(refused),
    )


async def recount(connection: Connection, clock: Clock, tenant: str, correlation_id: str) -> None:
    """Let what counts of every customer follow an ownership that changed."""
    matrix = await matrix_of(connection, tenant, DOMAIN, ATTRIBUTES)
    after: str | None = None
    while rows := await connection.fetch(_sql.customer_page, tenant, after, None, _PAGE):
        after = rows[-1]["customer"]
        some = [customer_of(row) for row in rows]
        said = await statements_of(connection, tenant, DOMAIN, [each.customer for each in some])
        counted = [(each, surviving(said.get(each.customer, []), matrix.attributes)) for each in some]
        changed = [(each.customer, each.number, values) for each, values in counted if values != each.attributes]
        await _write_rows(connection, clock, tenant, changed, correlation_id)


async def _judge(connection: Connection, tenant: str, work: _Work) -> list[Refusal]:
    """Which changes cannot hold, until those that are left hold together."""
    refused: list[Refusal] = []
    left = set(work.statements)
    while True:
        family: dict[str, Mapping[str, Any]] = {number: each.attributes for number, each in work.there.items()}
        family |= {number: work.values[number] for number in left}
        await family_of(connection, tenant, family)
        found = refusals(left, family)
        if not found:
            return refused
        refused += found
        left -= {each.record for each in found}


async def _codes_there(connection: Connection, tenant: str, work: _Work) -> dict[tuple[str, str], str]:
    """Whom the codes that are to be added mean already."""
    found: dict[tuple[str, str], str] = {}
    sources = sorted({source for change in work.changes.values() for source in change.codes})
    for source in sources:
        codes = sorted({code for change in work.changes.values() for code in change.codes.get(source, ())})
        rows = await connection.fetch(_sql.customers_by_code, tenant, source, codes)
        found |= {(source, row["code"]): row["customer"] for row in rows}
    return found


def _foreign_codes(work: _Work, taken: Mapping[tuple[str, str], str], out: set[str]) -> list[Refusal]:
    claimed = dict(taken)
    found: list[Refusal] = []
    for number, change in work.changes.items():
        pairs = [] if number in out else [(source, code) for source, codes in change.codes.items() for code in codes]
        for source, code in pairs:
            if claimed.setdefault((source, code), work.ids[number]) != work.ids[number]:
                detail = f"{source} calls another customer {code!r}: correct one of the two"
                found.append(Refusal(number, f"code:{source}", "customer.code_taken", detail))
    return found


async def _write(
    connection: Connection, clock: Clock, tenant: str, work: _Work, touched: Sequence[str], correlation_id: str
) -> None:
    rows = [
        (work.ids[number], number, work.values[number] if number in work.values else work.there[number].attributes)
        for number in touched
        if number in work.values or number in work.there
    ]
    await _write_rows(connection, clock, tenant, rows, correlation_id)
    said = [(work.ids[number], work.statements[number]) for number in touched if number in work.statements]
    await keep_statements(connection, tenant, DOMAIN, said)


async def _write_rows(
    connection: Connection,
    clock: Clock,
    tenant: str,
    rows: Sequence[tuple[str, str, Mapping[str, Any]]],
    correlation_id: str,
) -> None:
    if not rows:
        return
    now = clock.now()
    columns = [(customer, number, _encode(values).decode()) for customer, number, values in rows]
    written = await connection.fetch(_sql.write_customers, tenant, now, *map(list, zip(*columns, strict=True)))
    await log.append(
        connection,
        [
            Event(
                tenant=tenant,
                type="customer.changed",
                aggregate=row["customer"],
                aggregate_version=row["version"],
                occurred_at=now,
                correlation_id=correlation_id,
                data={"customer": row["customer"], "number": row["number"]},
            )
            for row in written
        ],
    )
