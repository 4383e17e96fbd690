"""Where a JSON body breaks a bound: said with a JSON pointer (RFC 6901), found without recursion.

Values that were read are walked; what could not be read is scanned as text, in bounded time, only to say where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from gateway.kernel.errors import Invalid, Problem
from gateway.kernel.validation import JsonLimits

LONGEST_INTEGER: Final = 19
_MOST_WORDS: Final = 20_000
_LONGEST_POINTER: Final = 300
_WORD: Final = re.compile(
    r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{},:]|[^\s\[\]{},:"]++', re.DOTALL
)  # an open string too: linear
_DIGITS: Final = re.compile(r"-?[0-9]+")
_CONSTANTS: Final = frozenset({"NaN", "Infinity", "-Infinity"})


def broken(why: str, pointer: str | None = None) -> Invalid:
    """A body that is no JSON to some reader, or more of it than is read here: 400."""
    problems = []
    if pointer is not None:  # half a surrogate pair in a key cannot be told in UTF-8
        told = pointer[:_LONGEST_POINTER].encode("utf-8", "replace").decode()
        problems = [Problem(why, pointer=told)]
    return Invalid(f"the body is not JSON that can be read: {why}", code="request.json", syntax=True, problems=problems)


def below(pointer: str, step: str | int) -> str:
    """The pointer of a member."""
    return f"{pointer}/{step}" if isinstance(step, int) else f"{pointer}/{step.replace('~', '~0').replace('/', '~1')}"


def members_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value in `value`, itself and keys included, each with its pointer."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        pointer, current = waiting.pop()
        yield pointer, current
        if isinstance(current, list):
            waiting.extend((f"{pointer}/{index}", member) for index, member in enumerate(current))
        elif isinstance(current, dict):
            for key, member in current.items():
                inner = below(pointer, key)
                yield inner, key
                waiting.append((inner, member))


def refuse_large(value: Any, limits: JsonLimits) -> None:
    """Raise `Invalid` (400) where an array, an object or a string is larger than `limits` allow."""
    for pointer, current in members_of(value):
        if isinstance(current, str):
            if len(current) > limits.string:
                raise broken(f"a string or key has more than {limits.string} characters", pointer)
        elif isinstance(current, list):
            if len(current) > limits.items:
                raise broken(f"an array has more than {limits.items} elements: split it", pointer)
        elif isinstance(current, dict) and len(current) > limits.members:
            raise broken(f"an object has more than {limits.members} members", pointer)


class _Walk:
    """Where in a text we are: a step for each open bracket, and the keys seen of each open object."""

    def __init__(self) -> None:
        self.path: list[str | int] = []
        self.keys: list[set[str] | None] = []
        self.key_comes = False

    def open(self, bracket: str) -> None:
        self.path.append(0 if bracket == "[" else "")
        self.keys.append(None if bracket == "[" else set())
        self.key_comes = bracket == "{"

    def close(self) -> None:
        self.path.pop()
        self.keys.pop()
        self.key_comes = False

    def next(self) -> None:
        step = self.path[-1]
        self.path[-1] = step + 1 if isinstance(step, int) else ""
        self.key_comes = self.keys[-1] is not None

    def name(self, key: str) -> bool:
        """Enter the member `key`; False when its object has one already."""
        self.key_comes, known = False, self.keys[-1]
        self.path[-1] = key
        if known is None or key in known:
            return False
        known.add(key)
        return True

    @property
    def pointer(self) -> str:
        pointer = ""
        for step in self.path:
            pointer = below(pointer, step)
        return pointer


def refused_at(body: bytes, limits: JsonLimits) -> str | None:
    """The pointer of the first value that is too deep, stands twice or is no number; None where it cannot be told."""
    walk = _Walk()
    words = _WORD.finditer(body.decode("utf-8", "replace"))
    for word in (match[0] for match in islice(words, _MOST_WORDS)):
        if word in "]},:" and not walk.path:
            return None
        if word in "[{":
            if len(walk.path) >= limits.depth:
                return walk.pointer
            walk.open(word)
        elif word in "]}":
            walk.close()
        elif word == ",":
            walk.next()
        elif word[0] == '"':
            if walk.key_comes and not walk.name(_text(word)):
                return walk.pointer
        elif _is_no_number(word, limits):
            return walk.pointer
    return None


def _text(word: str) -> str:
    try:
        return str(json.loads(word, strict=False))
    except ValueError:
        return word[1:-1]


def _is_no_number(word: str, limits: JsonLimits) -> bool:
    if word[0] not in "-0123456789":
        return word in _CONSTANTS
    if len(word) > limits.digits or (_DIGITS.fullmatch(word) and len(word) > LONGEST_INTEGER):
        return True
    try:
        return float(word) in (float("inf"), float("-inf"))
    except ValueError:
        return False
