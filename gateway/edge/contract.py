r"""What a handler may ask for: checked once at start, so that a lenient contract never reaches a partner.

A type that is decoded from partners' bodies must refuse unknown members, take instants only with their offset, take
decimals as strings of a published pattern (never JSON numbers or ``Decimal``, which accepts NaN), and end its patterns
with ``$(?!\n)`` because ``$`` alone lets a trailing newline through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args, get_origin

import msgspec
import msgspec.inspect as kinds
from litestar.response import Response

from gateway.kernel.errors import Misconfigured

_NEWLINE_PROOF: Final = ("$(?!\\n)", "\\Z")


def refuse_lenient(annotation: Any, where: str) -> None:
    """Raise `Misconfigured`, naming the route `where`, when `annotation` would accept what it should not."""
    seen: set[int] = set()
    waiting = [kinds.type_info(annotation)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, kinds.StructType):
            if id(info.cls) in seen:
                continue
            seen.add(id(info.cls))
            waiting.extend(field.type for field in info.fields)
        complaint = _complaint(info)
        if complaint:
            raise Misconfigured(f"{where}: {complaint}", code="route.lenient_input")
        waiting.extend(_inside(info))


def _complaint(info: kinds.Type) -> str:
    if isinstance(info, kinds.StructType) and not info.forbid_unknown_fields:
        return f"{info.cls.__name__} accepts unknown members: declare it with forbid_unknown_fields=True"
    if isinstance(info, kinds.DecimalType):
        return "a Decimal in a body accepts NaN and JSON numbers: take Annotated[str, Meta(pattern=...)]"
    if isinstance(info, kinds.DateTimeType | kinds.TimeType) and not info.tz:
        return "an instant without Meta(tz=True) accepts a time without its offset"
    pattern = info.pattern if isinstance(info, kinds.StrType) else None
    if pattern and pattern.endswith("$") and not pattern.endswith("\\$"):
        return f"the pattern {pattern} lets a trailing newline through: end it with {_NEWLINE_PROOF[0]}"
    return ""


def _inside(info: kinds.Type) -> list[kinds.Type]:
    if isinstance(info, kinds.Metadata):
        return [info.type]
    if isinstance(info, kinds.UnionType):
        return list(info.types)
    if isinstance(info, kinds.CollectionType):
        return [info.item_type]
    if isinstance(info, kinds.TupleType):
        return list(info.item_types)
    if isinstance(info, kinds.DictType):
        return [info.key_type, info.value_type]
    return []


def reply_checker(annotation: Any) -> Callable[[bytes], None] | None:
    """What raises `msgspec.ValidationError` unless a JSON body fits a handler's return type; None where it has none."""
    if isinstance(get_origin(annotation), type) and issubclass(get_origin(annotation), Response):
        arguments = get_args(annotation)
        annotation = arguments[0] if arguments else None
    if annotation in (None, type(None), Any, bytes, str) or _is_response(annotation):
        return None
    try:
        decoder = msgspec.json.Decoder(annotation)
    except (TypeError, NameError):
        return None

    def check(body: bytes) -> None:
        decoder.decode(body)

    return check


def _is_response(annotation: Any) -> bool:
    return isinstance(annotation, type) and (issubclass(annotation, Response) or "litestar" in annotation.__module__)
