"""What the door takes beyond a document's own words: texts without control characters, whole numbers within bounds.

A schema that says nothing of them is published with these bounds, where callers send it; one that has a pattern, an
enumeration or a format is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_BODY_TEXT: Final = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"
_FIELD_TEXT: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_SEGMENT: Final = r"^(?!\.{1,2}$)[^\u0000-\u001f\u007f-\u009f/\\%]+$"
_LARGEST: Final = 10**18 - 1  # 18 digits, as `gateway.systems.proxied.parameters` reads them
_SAID: Final = frozenset({"pattern", "enum", "const", "format"})
_SCHEMA: Final = ("additionalProperties", "contains", "items", "propertyNames")
_SCHEMAS: Final = ("properties", "patternProperties", "$defs")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")


def accepted_body(schema: Any) -> Any:
    """A schema of a body, or of a component that bodies refer to."""
    return _bounded(schema, _BODY_TEXT, numbers=False)


def accepted_parameter(parameter: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """A parameter with its `schema`, which may come from a component."""
    text = {"path": _SEGMENT, "header": None}.get(str(parameter.get("in")), _FIELD_TEXT)  # HTTP bounds fields itself
    return {**parameter, "schema": _bounded(schema, text, numbers=True)}


def _bounded(schema: Any, text: str | None, *, numbers: bool) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SCHEMA:
            made[key] = _bounded(value, text, numbers=numbers)
        elif key in _SCHEMAS and isinstance(value, Mapping):
            made[key] = {name: _bounded(inner, text, numbers=numbers) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list):
            made[key] = [_bounded(inner, text, numbers=numbers) for inner in value]
        else:
            made[key] = value
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if text is not None and "string" in kinds and not _SAID & set(schema):
        made["pattern"] = text
    if numbers and "integer" in kinds and not _SAID - {"format"} & set(schema):
        made |= {} if {"minimum", "exclusiveMinimum"} & set(schema) else {"minimum": -_LARGEST}
        made |= {} if {"maximum", "exclusiveMaximum"} & set(schema) else {"maximum": _LARGEST}
    return made
