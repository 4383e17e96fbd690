from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from gateway.store.arrays import array

ODD = ["", "NULL", "null", None, 'a"b', "a\\b", "\\", '\\"', "{x,y}", " a ", "é日本", "line\nfeed", "\x01", "a\\nb"]
CASES = {
    "text": [*ODD, '{"json": "a\\nb"}'],
    "bigint": [0, -1, 2**62, None],
    "numeric": [Decimal("0.10"), Decimal("-12345678901234567890.123456789"), Decimal("1E+3"), None],
    "timestamptz": [datetime(2026, 11, 1, 12, 30, 0, 123456, tzinfo=UTC), None],
    "boolean": [True, False, None],
}


def test_arrays_are_written_as_literals():
    assert array(["a", None, 'q"']) == '{"a",null,"q\\""}'
    assert array(["line\n", None]) == '{"line\n",null}'
    assert array([]) == "{}"


@pytest.mark.integration
async def test_postgresql_reads_back_what_was_written(database):
    connection = await asyncpg.connect(database)
    for kind, values in CASES.items():
        assert await connection.fetchval(f"select $1::text::{kind}[]", array(values)) == values
    for value in ODD:
        assert await connection.fetchval("select $1::text::text[]", array([value])) == [value]
    documents = ['{"a": "line\\nfeed \\" \\\\ é"}', "[]"]
    assert await connection.fetchval("select ($1::text::jsonb[])::text[]", array(documents)) == documents
    await connection.close()
