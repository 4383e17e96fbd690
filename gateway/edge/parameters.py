"""Strict query strings: which parameters an operation knows comes from its handler's signature.

Unknown and repeated names are refused, and so are ``=null``, bad percent encoding, control characters, and numbers,
booleans and instants that the router would coerce (``1e3`` for an integer, a time without an offset).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec.inspect
from msgspec import Struct

from gateway.kernel.errors import Invalid, Problem

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_MOST: Final = 100
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")
_BOOLEAN: Final = re.compile(r"true|false")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_SHAPES: Final[tuple[tuple[type, re.Pattern[str], str], ...]] = (
    (msgspec.inspect.BoolType, _BOOLEAN, "must be true or false"),
    (msgspec.inspect.IntType, _INTEGER, "must be a whole number"),
    (msgspec.inspect.FloatType, _NUMBER, "must be a number"),
    (msgspec.inspect.DecimalType, _NUMBER, "must be a decimal number"),
    (
        msgspec.inspect.DateTimeType,
        _INSTANT,
        "must be an RFC 3339 instant with its offset, such as 2026-11-21T08:00:00Z",
    ),
)


class Parameter(Struct, frozen=True):
    """One query parameter: whether it may be repeated, and what its text must look like."""

    repeated: bool = False
    shape: re.Pattern[str] | None = None
    expectation: str = ""


def parameter_of(annotation: Any, *, repeated: bool) -> Parameter:
    """The rules that follow from a parameter's annotated type; none where it may be any text."""
    kinds = _leaves(msgspec.inspect.type_info(annotation))
    for kind, shape, expectation in _SHAPES:
        if any(isinstance(leaf, kind) for leaf in kinds):
            return Parameter(repeated, shape, expectation)
    return Parameter(repeated)


def _leaves(info: Any) -> list[Any]:
    if isinstance(info, msgspec.inspect.Metadata):
        return _leaves(info.type)
    if isinstance(info, msgspec.inspect.UnionType):
        leaves = [leaf for member in info.types for leaf in _leaves(member)]
        return [] if any(isinstance(leaf, msgspec.inspect.StrType) for leaf in leaves) else leaves
    if isinstance(info, msgspec.inspect.CollectionType):
        return _leaves(info.item_type)
    return [info]


def query_checker(known: Mapping[str, Parameter]) -> Callable[[bytes], None]:
    """What raises `Invalid` (400, code ``request.parameters``) unless a query string fits `known`."""

    def check(query: bytes) -> None:
        seen: set[str] = set()
        pairs = query.split(b"&", _MOST)
        if len(pairs) > _MOST:
            raise _unfit("query", f"more than {_MOST} parameters")
        for pair in pairs:
            if pair:
                raw_name, _, raw_value = pair.partition(b"=")
                name = _text(raw_name, "query")
                _check_one(known, seen, name, _text(raw_value, name))

    return check


def _check_one(known: Mapping[str, Parameter], seen: set[str], name: str, value: str) -> None:
    rule = known.get(name)
    if rule is None:
        raise _unfit(name, f"is not known here; known are: {', '.join(sorted(known)) or 'none'}")
    if name in seen and not rule.repeated:
        raise _unfit(name, "is given twice: give it once")
    seen.add(name)
    if value.lower() == "null":
        raise _unfit(name, "is null: leave the parameter out instead")
    if rule.shape is not None and not rule.shape.fullmatch(value):
        raise _unfit(name, rule.expectation)


def _text(raw: bytes, name: str) -> str:
    if raw.isalnum():
        return raw.decode("ascii")
    if _BAD_ESCAPE.search(raw):
        raise _unfit(name, "holds a percent sign that is not followed by two hexadecimal digits")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise _unfit(name, "is not valid UTF-8") from None
    if _CONTROL.search(text):
        raise _unfit(name, "holds a control character")
    return text


def _unfit(name: str, why: str) -> Invalid:
    return Invalid(
        "the query string does not fit this operation: see errors",
        code="request.parameters",
        problems=[Problem(why, parameter=name[:80])],
    )
