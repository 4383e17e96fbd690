"""Rows of a CSV file (RFC 4180), one at a time: UTF-8 with or without a byte order mark, a header, quotes, commas.

What makes the whole unreadable is raised, with the line; what is wrong with one row is told in its place.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Final

from msgspec import Struct

from gateway.kernel.errors import Rejected
from gateway.kernel.spelling import with_nearest

_LONGEST_LINE: Final = 1 << 20
_LONGEST_FIELD: Final = 10_000
Parse = Callable[[str], Any]


class Column(Struct, frozen=True):
    """One column: `parse` raises ValueError, saying what a value must be. An empty field says nothing."""

    name: str
    parse: Parse
    required: bool = False


class Layout(Struct, frozen=True):
    """The columns of a kind of file. The first is what a row is known by.

    `families` are columns of a common beginning (``code:``), of which a file may have any number.
    """

    columns: tuple[Column, ...]
    families: Mapping[str, Parse] = {}

    @property
    def key(self) -> str:
        """The column that a row is known by."""
        return self.columns[0].name


class Row(Struct, frozen=True):
    """What one row says, by column; empty fields are left out. `line` is where it begins, from 1."""

    line: int
    values: Mapping[str, Any]


class RefusedRow(Struct, frozen=True, kw_only=True):
    """A row that is not taken: where, why, and what to do. No `column`: the row as a whole."""

    line: int
    column: str | None
    code: str
    detail: str


def read_rows(stream: BinaryIO, layout: Layout) -> Iterator[Row | RefusedRow]:
    """Each row of `stream`, as it is read. Raises `Rejected` (``import.*``) for what is no such file."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict", newline="")
    counted = _Counted(text)
    reader = csv.reader(counted, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise Rejected("the file is empty: begin it with a line of column names", code="import.header")
        names = [name.strip() for name in header]
        parsers = _parsers(names, layout)
        required = [column.name for column in layout.columns if column.required]
        begin = counted.lines + 1
        for fields in reader:
            if fields:
                yield _row(begin, names, fields, parsers, required)
            begin = counted.lines + 1
    except UnicodeDecodeError as error:
        raise Rejected(
            f"after line {counted.lines} the file is not UTF-8: save it as CSV in UTF-8", code="import.encoding"
        ) from error
    except csv.Error as error:
        raise Rejected(
            f"line {counted.lines}: {error}: a field with a comma, quote or line break stands in quotes, and quotes in "
            "it are doubled",
            code="import.csv",
        ) from error
    finally:
        with suppress(ValueError):  # whoever opened it has closed it meanwhile
            text.detach()


class _Counted:
    """The lines of a text, counted, none longer than can be meant."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.lines = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        line = self._text.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        self.lines += 1
        if len(line) >= _LONGEST_LINE:
            raise Rejected(f"line {self.lines} is longer than {_LONGEST_LINE} characters", code="import.csv")
        return line


def _parsers(names: Sequence[str], layout: Layout) -> dict[str, Parse]:
    known = {column.name: column.parse for column in layout.columns}
    found: dict[str, Parse] = {}
    for name in names:
        family = next(
            (parse for begin, parse in layout.families.items() if name.startswith(begin) and name != begin), None
        )
        parse = known.get(name, family)
        if parse is None:
            also = "".join(f", or {begin}…" for begin in layout.families)
            if ";" in name and len(names) == 1:
                raise Rejected("columns are separated by commas, not semicolons (RFC 4180)", code="import.header")
            raise Rejected(
                f"there is no column {with_nearest(name[:60], known)}; there are {', '.join(known)}{also}",
                code="import.header",
            )
        if name in found:
            raise Rejected(f"the column {name} stands twice: keep one", code="import.header")
        found[name] = parse
    missing = [column.name for column in layout.columns if column.required and column.name not in found]
    if missing:
        raise Rejected(f"the column {missing[0]} is missing from the first line", code="import.header")
    return found


def _row(
    line: int, names: Sequence[str], fields: Sequence[str], parsers: Mapping[str, Parse], required: Sequence[str]
) -> Row | RefusedRow:
    if len(fields) != len(names):
        detail = f"{len(fields)} fields where the header has {len(names)}: quote fields that hold commas"
        return RefusedRow(line=line, column=None, code="import.fields", detail=detail)
    values: dict[str, Any] = {}
    for name, field in zip(names, fields, strict=True):
        text = field.strip()
        if not text:
            if name in required:
                detail = f"{name} is empty: every row needs one"
                return RefusedRow(line=line, column=name, code="import.missing", detail=detail)
            continue
        try:
            if len(text) > _LONGEST_FIELD:
                raise ValueError(f"at most {_LONGEST_FIELD} characters")  # noqa: TRY301 - told as any other misfit
            values[name] = parsers[name](text)
        except ValueError as error:
            detail = f"{name}: {error}, not {text[:60]!r}"
            return RefusedRow(line=line, column=name, code="import.value", detail=detail)
    return Row(line, values)


# --- what fields hold -------------------------------------------------------------------------------------------------


def text_of(longest: int = 200) -> Parse:
    """A line of text without control characters."""

    def parse(text: str) -> str:
        if len(text) > longest or any(not character.isprintable() for character in text):
            raise ValueError(f"at most {longest} printable characters")
        return text

    return parse


def one_of(*words: str) -> Parse:
    """One of these words."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text.lower()

    return parse


def whole_number(lowest: int, highest: int) -> Parse:
    """A whole number between two."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return int(text)

    return parse
