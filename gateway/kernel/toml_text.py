"""Trees of plain values as TOML 1.0 text; the standard library only reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_text(tree: Mapping[str, Any]) -> str:
    """TOML of nested mappings, lists of mappings, and JSON-like values (JSON scalars and flat lists are TOML's)."""
    return _tables(tree, "")


def _tables(tree: Mapping[str, Any], prefix: str) -> str:
    plain = {k: v for k, v in tree.items() if not isinstance(v, Mapping) and not _is_table_list(v) and v is not None}
    lines = [f"{_key(k)} = {_written(v)}" for k, v in plain.items()]
    for name, value in tree.items():
        here = f"{prefix}{_key(name)}"
        if isinstance(value, Mapping):
            lines += ["", f"[{here}]", _tables(value, f"{here}.")]
        elif _is_table_list(value):
            for entry in value:
                lines += ["", f"[[{here}]]", _tables(entry, f"{here}.")]
    return "\n".join(lines) + ("\n" if not prefix else "")


def _is_table_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else _written(name)


def _written(value: Any) -> str:
    # JSON escapes what is beyond the basic plane as two surrogates, and leaves DEL as it is: TOML takes neither.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
