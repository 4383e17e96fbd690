"""The words of types in a contract: what their docstrings say, whatever interpreter read them."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

from gateway.contracts.objects import objects_in


def dedent_descriptions(schema: Any) -> None:
    """Take the source's indentation out of descriptions in `schema`, at any depth; Python 3.13 has none any more."""
    for each in objects_in(schema):
        if isinstance(text := each.get("description"), str):
            each["description"] = cleandoc(text)
