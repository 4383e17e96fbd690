"""What each source says of each record, kept beside each other on the connection of the change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.reference.ownership import matrix_of
from gateway.reference.survivorship import Provenance, Statement, provenance
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_encode: Final = msgspec.json.Encoder(decimal_format="string", order="sorted").encode
_instants: Final = msgspec.json.Decoder(dict[str, datetime]).decode
_values: Final = msgspec.json.Decoder(dict[str, Any]).decode

Statements = dict[str, list[Statement]]
"""By record, in no order."""


async def statements_of(connection: Connection, tenant: str, domain: str, records: Sequence[str]) -> Statements:
    """What is said of these records."""
    return _by_record(await connection.fetch(_sql.statements_of, tenant, domain, list(records)))


async def all_statements(connection: Connection, tenant: str, domain: str) -> Statements:
    """What is said of every record of a domain: for domains that fit into memory."""
    return _by_record(await connection.fetch(_sql.all_statements, tenant, domain))


async def provenance_of(
    store: Store, tenant: str, domain: str, attributes: Sequence[str], record: str
) -> Sequence[Provenance]:
    """Where each of `attributes` of a record comes from, and what everybody says of it."""
    async with store.connection() as connection:
        matrix = await matrix_of(connection, tenant, domain, attributes)
        said = await statements_of(connection, tenant, domain, [record])
    return provenance(said.get(record, []), matrix.attributes, attributes)


async def keep_statements(
    connection: Connection, tenant: str, domain: str, said: Iterable[tuple[str, Statement]]
) -> None:
    """Write what sources say now, (record, statement) each."""
    rows = [
        (record, statement.source, statement.first_at, _encode(statement.said_at).decode(),
         _encode(statement.attributes).decode())
        for record, statement in sorted(said, key=lambda each: (each[0], each[1].source))
    ]  # fmt: skip
    if rows:
        await connection.execute(_sql.write_statements, tenant, domain, *map(list, zip(*rows, strict=True)))


def _by_record(rows: Iterable[Any]) -> Statements:
    found: Statements = {}
    for row in rows:
        statement = Statement(
            source=row["source"],
            first_at=row["first_at"],
            said_at=_instants(row["said_at"]),
            attributes=_values(row["attributes"]),
        )
        found.setdefault(row["record"], []).append(statement)
    return found
