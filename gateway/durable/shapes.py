"""Shapes of durable work: which releases can go on with each other's turns, as `shapes.toml` declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gateway.kernel.errors import Misconfigured

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,31}")


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shape: its name, the earlier shapes whose work it goes on with, and the words that turns keep."""

    name: str
    succeeds: tuple[str, ...] = ()
    vocabulary: Mapping[str, tuple[str, ...]] = {}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    shape: tuple[Shape, ...]


def read_shapes(path: Path) -> tuple[Shape, ...]:
    """The shapes of a file, oldest first. Raises `Misconfigured` for names that are used twice or not known before."""
    shapes = msgspec.toml.decode(path.read_bytes(), type=_File).shape
    known: set[str] = set()
    for shape in shapes:
        if shape.name in known or not _NAME.fullmatch(shape.name):
            raise Misconfigured(f"{path}: {shape.name!r} is used twice or is no name: small letters, digits, dots")
        if missing := sorted({*shape.succeeds} - known):
            raise Misconfigured(f"{path}: {shape.name} succeeds {missing[0]!r}, which is no earlier shape")
        known.add(shape.name)
    if not shapes:
        raise Misconfigured(f"{path} declares no shape")
    return shapes


_SHAPES: Final = read_shapes(Path(__file__).with_name("shapes.toml"))
CURRENT: Final = _SHAPES[-1]
EARLIER: Final = tuple(shape.name for shape in _SHAPES[:-1])
