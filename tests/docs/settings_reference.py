"""The settings reference of docs/operator.md, from the types themselves: python -m tests.docs.settings_reference."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from gateway.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "operator.md"
_MARKS = re.compile(r"(<!-- settings: begin -->\n).*(<!-- settings: end -->)", re.DOTALL)


def reference() -> str:
    """Markdown: one section for each table of the settings file."""
    return "\n".join(line for title, shape in _tables("", Settings) for line in _section(title, shape))


def page_with_reference() -> str:
    """The operator's page as it should be."""
    return _MARKS.sub(lambda found: f"{found[1]}{reference()}\n{found[2]}", PAGE.read_text(encoding="utf-8"))


def _tables(name: str, shape: type[Struct]) -> Iterator[tuple[str, type[Struct]]]:
    yield name, shape
    for field, kind in get_type_hints(shape).items():
        below = _struct_in(kind)
        if below is not None:
            inner, form = below
            yield from _tables(form.format(f"{name}.{field}".lstrip(".")), inner)


def _struct_in(kind: Any) -> tuple[type[Struct], str] | None:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind, "{}"
    parts = [part for part in get_args(kind) if isinstance(part, type) and issubclass(part, Struct)]
    if not parts:
        return None
    if type(None) in get_args(kind):
        return parts[0], "{}"
    return parts[0], "{}.<name>" if len(get_args(kind)) > 1 and get_args(kind)[0] is str else "{}[]"


def _section(title: str, shape: type[Struct]) -> list[str]:
    plain = [field for field in msgspec.structs.fields(shape) if _struct_in(get_type_hints(shape)[field.name]) is None]
    if not plain:
        return []
    heading = f"[[{title.replace('[]', '')}]]" if title.endswith("[]") else f"[{title}]" if title else "(top)"
    about = " ".join((shape.__doc__ or "").split())
    rows = [f"| `{field.name}` | {_kind(get_type_hints(shape)[field.name])} | {_default(field)} |" for field in plain]
    return [f"### `{heading}`", "", about, "", "| setting | type | default |", "|---|---|---|", *rows, ""]


def _kind(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is None:
        return str(getattr(kind, "__name__", kind))
    names = [_kind(part) for part in get_args(kind) if part not in (type(None), Ellipsis)]
    if type(None) in get_args(kind):
        return f"{names[0]}, or left out"
    return "table" if len(names) > 1 else f"list of {names[0]}"


def _default(field: Any) -> str:
    if field.default is NODEFAULT and field.default_factory is NODEFAULT:
        return "*required*"
    value = field.default if field.default is not NODEFAULT else field.default_factory()
    if value is None:
        return ""
    return f"`{msgspec.json.encode(value, order='deterministic').decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page_with_reference(), encoding="utf-8")
