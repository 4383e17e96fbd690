"""A format on every number, so that generated clients choose a type that holds it."""

from __future__ import annotations

from typing import Any, Final

_INT32: Final = 2**31 - 1


def name_number_formats(schema: Any) -> None:
    """Give numbers in `schema`, at any depth, ``double``, integers ``int32`` where their bounds fit, else ``int64``."""
    if isinstance(schema, list):
        for member in schema:
            name_number_formats(member)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "integer":
        bounded = "maximum" in schema and "minimum" in schema
        fits = bounded and schema["minimum"] >= -_INT32 and schema["maximum"] <= _INT32
        schema.setdefault("format", "int32" if fits else "int64")
    elif schema.get("type") == "number":
        schema.setdefault("format", "double")
    for member in schema.values():
        name_number_formats(member)
