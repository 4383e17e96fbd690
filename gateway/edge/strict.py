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
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

import msgspec

from gateway.edge.json_bounds import LONGEST_INTEGER, broken, members_of, refuse_large, refused_at
from gateway.kernel.errors import Invalid, Problem
from gateway.kernel.validation import DEFAULT_LIMITS, JsonLimits

_EXACT_FLOAT: Final = 2.0**53
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # matches an open one too: linear time
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SUSPECT_ESCAPE: Final = re.compile(r"\\(?:[bf]|u(?:00[0189]|007[fF]|[dD][89a-fA-F]))")
_WHERE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile("Object contains unknown field `(.*)`", re.DOTALL)
_MOST_FORGIVEN: Final = 100
_ABSENT: Final = object()
_STEP: Final = re.compile(r"\[(\d+)\]|\[\.\.\.\]|\.([^.\[]+)")


class _Refused(ValueError):
    """Syntax that Python's parser would let through."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _Refused(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _integer(digits: str, longest: int = LONGEST_INTEGER) -> int:
    if len(digits) > longest:
        raise _Refused(f"a number has too many digits: at most {min(longest, LONGEST_INTEGER - 1)}")
    return int(digits)


def _float(digits: str, longest: int = DEFAULT_LIMITS.digits) -> float | int:
    if len(digits) > longest:
        raise _Refused(f"a number has too many digits: it may have {longest} characters")
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _Refused("a number is out of range")
    return int(number) if number.is_integer() and abs(number) < _EXACT_FLOAT else number


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not a JSON number")


_parser: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


@lru_cache(maxsize=64)
def _parser_of(limits: JsonLimits, *, forgiving: bool = False) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=None if limits.duplicate_keys or forgiving else _object,
        parse_int=partial(_integer, longest=min(limits.digits, LONGEST_INTEGER)),
        parse_float=partial(_float, longest=limits.digits),
        parse_constant=_constant,
    )


def parse_json(body: bytes, limits: JsonLimits = DEFAULT_LIMITS, *, forgiving: bool = False) -> Any:
    """The value of `body`; `Invalid` (400) when it is not JSON that every reader understands alike.

    `forgiving` lets the last of two equal keys count and bounds only depth and numbers; characters that nothing
    beneath can store are refused all the same.
    """
    if body.count(b"[") + body.count(b"{") > limits.depth:
        _refuse_depth(body, limits)
    parser = _parser if limits is DEFAULT_LIMITS and not forgiving else _parser_of(limits, forgiving=forgiving)
    try:
        text = body.decode()
        value = parser.decode(text)
    except UnicodeDecodeError:
        raise broken("it is not valid UTF-8") from None
    except RecursionError:
        raise broken(f"it is nested deeper than {limits.depth}") from None
    except json.JSONDecodeError as error:
        raise broken(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except _Refused as error:
        raise broken(str(error), refused_at(body, limits)) from None
    # No string is longer than the body, and no array has more elements than the body has commas.
    if not forgiving and (len(body) > limits.string or body.count(b",") >= min(limits.items, limits.members)):
        refuse_large(value, limits)
    if ("\\" in text and _SUSPECT_ESCAPE.search(text)) or "\x7f" in text or not text.isascii():
        _refuse_characters(value)
    return value


def _refuse_depth(body: bytes, limits: JsonLimits) -> None:
    """Depth without recursion: each pass takes away the innermost brackets."""
    brackets = _STRING.sub(b"", body).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(limits.depth):
        brackets, before = brackets.replace(b"[]", b""), len(brackets)
        if len(brackets) == before:
            break
    if brackets:
        raise broken(f"its brackets do not match, or are nested deeper than {limits.depth}", refused_at(body, limits))


def _refuse_characters(value: Any) -> None:
    for pointer, text in members_of(value):
        if not isinstance(text, str):
            continue
        try:
            text.encode()
        except UnicodeEncodeError:
            raise broken("it holds half of a surrogate pair", pointer) from None
        if _CONTROL.search(text):
            raise Invalid(
                "the body does not fit: remove control characters",
                code="request.body_invalid",
                problems=[Problem("holds a control character", pointer=pointer)],
            )


def json_decoder(annotation: Any) -> Callable[[bytes, JsonLimits], Any]:
    """What turns a body into `annotation`, or raises `Invalid` with a JSON pointer to what does not fit."""

    def decode(body: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> Any:
        value = parse_json(body, limits)
        try:
            return msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            problem = problem_at(str(error))
        raise _misfit(problem)

    return decode


def forgiving_decoder(annotation: Any) -> Callable[[bytes, JsonLimits], Any]:
    """As `json_decoder`, for what a more lenient reader could take: unknown members are left out, texts converted."""

    def read(body: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> Any:
        value = parse_json(body, limits, forgiving=True)
        problem = Problem("holds too many unknown members", pointer="")
        for _ in range(_MOST_FORGIVEN):
            try:
                return msgspec.convert(value, annotation, strict=False)
            except msgspec.ValidationError as error:
                problem = problem_at(str(error))
            unknown = _UNKNOWN.match(problem.detail)
            if unknown is None or not _leave_out(value, problem.pointer or "", unknown[1]):
                break
        raise _misfit(problem)

    return read


def _leave_out(value: Any, pointer: str, name: str) -> bool:
    """Take the member `name` out of the object at `pointer`; False when it is not to be found."""
    for step in pointer.split("/")[1:]:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False
    return isinstance(value, dict) and value.pop(name, _ABSENT) is not _ABSENT


def _misfit(problem: Problem) -> Invalid:
    return Invalid("the body does not fit this operation: see errors", code="request.body_invalid", problems=[problem])


def problem_at(message: str) -> Problem:
    """What msgspec says (``... at `$.lines[0].quantity```) as a detail and a pointer (``/lines/0/quantity``)."""
    match = _WHERE.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    pointer = "".join(f"/{index or name or '-'}" for index, name in _STEP.findall(path))
    return Problem(what[:300], pointer=pointer)
