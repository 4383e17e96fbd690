"""Strict JSON bodies: syntax first and in bounded time (400), then the handler's own type without coercion (422).

The router's own decoding is lenient: it turns ``"5"`` into 5, ignores unknown members, keeps the last of duplicate
keys, and answers 500 to invalid UTF-8 or 200,000 open brackets. Here nothing passes that two readers could understand
differently (RFC 8259 section 4 and 9, RFC 7493 I-JSON). A number such as ``3.0`` is an integer to JSON Schema, so it
is one here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from gateway.kernel.errors import Invalid, Problem

DEEPEST: Final = 64
_LONGEST_INTEGER: Final = 19
_LONGEST_FLOAT: Final = 400
_EXACT_FLOAT: Final = 2.0**53
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # matches an open one too: linear time
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SUSPECT_ESCAPE: Final = re.compile(r"\\(?:[bf]|u(?:00[0189]|007[fF]|[dD][89a-fA-F]))")
_WHERE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>.*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\[(\d+)\]|\[\.\.\.\]|\.([^.\[]+)")


class _Refused(ValueError):
    """Syntax that Python's parser would let through."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _Refused(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise _Refused("a number has too many digits: at most 18")
    return int(digits)


def _float(digits: str) -> float | int:
    if len(digits) > _LONGEST_FLOAT:
        raise _Refused("a number has too many digits")
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _Refused("a number is out of range")
    return int(number) if number.is_integer() and abs(number) < _EXACT_FLOAT else number


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not a JSON number")


_parser: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def parse_json(body: bytes) -> Any:
    """The value of `body`; `Invalid` (400) when it is not JSON that every reader understands alike."""
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        _refuse_depth(body)
    try:
        text = body.decode()
        value = _parser.decode(text)
    except UnicodeDecodeError:
        raise _broken("it is not valid UTF-8") from None
    except RecursionError:
        raise _broken(f"it is nested deeper than {DEEPEST}") from None
    except json.JSONDecodeError as error:
        raise _broken(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except _Refused as error:
        raise _broken(str(error)) from None
    if ("\\" in text and _SUSPECT_ESCAPE.search(text)) or "\x7f" in text or not text.isascii():
        _refuse_characters(value)
    return value


def _refuse_depth(body: bytes) -> None:
    """Depth without recursion: each pass takes away the innermost brackets."""
    brackets = _STRING.sub(b"", body).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(DEEPEST):
        brackets, before = brackets.replace(b"[]", b""), len(brackets)
        if len(brackets) == before:
            break
    if brackets:
        raise _broken(f"its brackets do not match, or are nested deeper than {DEEPEST}")


def _refuse_characters(value: Any) -> None:
    for pointer, text in _strings(value):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _broken("it holds half of a surrogate pair") from None
        if _CONTROL.search(text):
            raise Invalid(
                "the body does not fit: remove control characters",
                code="request.body_invalid",
                problems=[Problem("holds a control character", pointer=pointer)],
            )


def _strings(value: Any) -> Iterator[tuple[str, str]]:
    open_values: list[tuple[str, Any]] = [("", value)]
    while open_values:
        pointer, current = open_values.pop()
        if isinstance(current, str):
            yield pointer, current
        elif isinstance(current, list):
            open_values.extend((f"{pointer}/{index}", member) for index, member in enumerate(current))
        elif isinstance(current, dict):
            for key, member in current.items():
                below = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
                yield below, key
                open_values.append((below, member))


def _broken(why: str) -> Invalid:
    return Invalid(f"the body is not JSON that can be read: {why}", code="request.json", syntax=True)


def json_decoder(annotation: Any) -> Callable[[bytes], Any]:
    """What turns a body into `annotation`, or raises `Invalid` with a JSON pointer to what does not fit."""

    def decode(body: bytes) -> Any:
        value = parse_json(body)
        try:
            return msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            problem = problem_at(str(error))
        raise Invalid(
            "the body does not fit this operation: see errors", code="request.body_invalid", problems=[problem]
        )

    return decode


def problem_at(message: str) -> Problem:
    """What msgspec says (``... at `$.lines[0].quantity```) as a detail and a pointer (``/lines/0/quantity``)."""
    match = _WHERE.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    pointer = "".join(f"/{index or name or '-'}" for index, name in _STEP.findall(path))
    return Problem(what[:300], pointer=pointer)
