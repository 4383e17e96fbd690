from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.errors import Rejected
from gateway.reference.csv_rows import Column, Layout, RefusedRow, Row, one_of, read_rows, text_of, whole_number

LAYOUT = Layout(
    columns=(
        Column("id", text_of(10), required=True),
        Column("name", text_of()),
        Column("kind", one_of("site", "zone")),
        Column("priority", whole_number(0, 9)),
    ),
    families={"code:": text_of()},
)


def read(text):
    return list(read_rows(io.BytesIO(text if isinstance(text, bytes) else text.encode()), LAYOUT))


def test_a_file_as_spreadsheets_write_it_is_read():
    text = b"\xef\xbb\xbfid,name,code:wms\r\n" + 'A,"Nörd, ""the"" one\r\n",W1\r\n\r\nB,,\r\n'.encode()
    assert read(text) == [
        Row(2, {"id": "A", "name": 'Nörd, "the" one', "code:wms": "W1"}),
        Row(5, {"id": "B"}),
    ]


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("", "import.header", "empty"),
        ("id,colour\n", "import.header", "no column"),
        ("id,id\n", "import.header", "twice"),
        ("name\n", "import.header", "missing"),
        ("id;name\n", "import.header", "commas"),
        ("id,code:\n", "import.header", "no column"),
        ('id\n"open', "import.csv", "line 2"),
        ('id\n"a"b\n', "import.csv", "line 2"),
        (b"id\nA\n\xff\xfe\n", "import.encoding", "UTF-8"),
        ("id\nA\n" + "x" * (1 << 20), "import.csv", "longer"),
    ],
)
def test_what_is_no_such_file_is_refused_as_a_whole(text, code, word):
    with pytest.raises(Rejected, match=word) as refused:
        read(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("A", None, "import.fields"),
        (",n,site,1", "id", "import.missing"),
        ("A,n,house,1", "kind", "import.value"),
        ("A,n,site,10", "priority", "import.value"),
        ("A,n,site,-1", "priority", "import.value"),
        ("A,n,site,\u0661", "priority", "import.value"),
        ("A,n\x00,site,1", "name", "import.value"),
        ("A" * 11 + ",n,site,1", "id", "import.value"),
    ],
)
def test_a_row_that_does_not_fit_is_told_with_line_column_and_cause_and_the_others_are_read(row, column, code):
    first, second = read(f"id,name,kind,priority\n{row}\nB,,,\n")
    assert isinstance(first, RefusedRow)
    assert (first.line, first.column, first.code) == (2, column, code)
    assert second == Row(3, {"id": "B"})


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=30)


@given(st.lists(st.tuples(st.text("abcXYZ019", min_size=1, max_size=10), _TEXT), max_size=20))
def test_whatever_another_writer_writes_is_read_back(rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("id", "name"), *rows])
    found = read(out.getvalue())
    for (identity, name), row in zip(rows, found, strict=True):
        told = row.values.get("name", "") if isinstance(row, Row) else None
        assert told in (name.strip(), None)
        assert isinstance(row, RefusedRow) or row.values["id"] == identity
