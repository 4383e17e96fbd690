"""The words of types in a contract: what their docstrings say, whatever interpreter read them."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any


def dedent_descriptions(schema: Any) -> None:
    """Take the source's indentation out of descriptions in `schema`, at any depth; Python 3.13 has none any more."""
    if isinstance(schema, list):
        for member in schema:
            dedent_descriptions(member)
    if not isinstance(schema, dict):
        return
    if isinstance(text := schema.get("description"), str):
        schema["description"] = cleandoc(text)
    for member in schema.values():
        dedent_descriptions(member)
