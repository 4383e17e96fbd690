"""Rows of a file that say what is dated of items: which are new, which say what holds already, which are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from gateway.reference.csv_rows import RefusedRow, Row
from gateway.reference.importing import Taken
from process_apis.items.dated_copy import Dated


class Says(Dated, Protocol):
    """What is dated of an item, and says something of it: nothing, and it ends what was said before."""

    @property
    def said(self) -> tuple[object, ...]:
        """What it says."""
        ...


_Entry = TypeVar("_Entry", bound=Says)


def holds(entry: _Entry, others: Sequence[_Entry]) -> bool:
    """Whether that is so at that instant already; `others` in the order of their dates."""
    before = [each for each in others if each.of == entry.of and each.effective_from <= entry.effective_from]
    return (before[-1].said if before else ()) == entry.said


def take(
    rows: Sequence[Row], standing: Sequence[_Entry], read: Callable[[Row, Sequence[_Entry]], _Entry | RefusedRow]
) -> tuple[list[_Entry], Taken]:
    """What is to be written, and what became of the rows. `read` is given what was made of the rows before."""
    made: list[_Entry] = []
    refused: list[RefusedRow] = []
    unchanged = 0
    for row in rows:
        entry = read(row, made)
        if isinstance(entry, RefusedRow):
            refused.append(entry)
        elif holds(entry, standing):
            unchanged += 1
        else:
            made.append(entry)
    known = {each.of for each in standing}
    created = sum(each.of not in known for each in made)
    return made, Taken(created=created, changed=len(made) - created, unchanged=unchanged, refused=tuple(refused))
