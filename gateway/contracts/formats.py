"""A format on every number, so that generated clients choose a type that holds it."""

from __future__ import annotations

from typing import Any, Final

from gateway.contracts.objects import objects_in

_INT32: Final = 2**31 - 1


def name_number_formats(schema: Any) -> None:
    """Give numbers in `schema`, at any depth, ``double``, integers ``int32`` where their bounds fit, else ``int64``."""
    for each in objects_in(schema):
        if each.get("type") == "integer":
            bounded = "maximum" in each and "minimum" in each
            fits = bounded and each["minimum"] >= -_INT32 and each["maximum"] <= _INT32
            each.setdefault("format", "int32" if fits else "int64")
        elif each.get("type") == "number":
            each.setdefault("format", "double")
