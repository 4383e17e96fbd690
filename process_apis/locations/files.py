"""A file of locations: its columns, and what a row says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.canonical.location import LocationCode
from gateway.reference.csv_rows import Column, Layout, one_of, text_of, whole_number
from process_apis.locations.models import Change, Kind

_CODE: Final = "code:"
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _id(text: str) -> str:
    if _ID.fullmatch(text) is None:
        raise ValueError("up to 64 letters, digits, _, . and -, beginning with a letter or digit")
    return text


LAYOUT: Final = Layout(
    columns=(
        Column("location", _id, required=True),
        Column("name", text_of()),
        Column("kind", one_of(*Kind)),
        Column("type", text_of()),
        Column("parent", _id),
        Column("region", text_of()),
        Column("time_zone", text_of()),
        Column("holder", text_of()),
        Column("poster_to", text_of()),
        Column("priority", whole_number(0, 1_000_000)),
    ),
    families={_CODE: text_of()},
)
"""``code:wms_north`` is what the system wms_north calls the location."""


def change_of_row(values: Mapping[str, Any]) -> Change:
    """What one row says; columns without a value are not spoken of."""
    location = values[LAYOUT.key]
    codes = {
        source: (LocationCode(location=location, source=source, code=code),)
        for source, code in (
            (name.removeprefix(_CODE), value) for name, value in values.items() if name.startswith(_CODE)
        )
    }
    said = {name: value for name, value in values.items() if name != LAYOUT.key and not name.startswith(_CODE)}
    return Change(location=location, attributes=said, codes=codes)
