"""JSON pointers as URI fragments (RFC 6901, section 6): how a document refers to a place in itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote


def standing_at(document: Any, reference: str) -> Any:
    """What stands at `reference` (``#/a/b~1c/0``); raises `KeyError` where nothing does."""
    found = document
    for step in unquote(reference.removeprefix("#/")).split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, Sequence) and not isinstance(found, str) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise KeyError(reference)
    return found
