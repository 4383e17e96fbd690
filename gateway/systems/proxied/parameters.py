"""Parameters of an operation: text from the path, query, headers and cookies, read by the document's own rules.

Styles as OpenAPI has them by default (``form`` in queries and cookies, ``simple`` in paths and headers), with
``explode`` or not, ``deepObject``, and delimited lists. A name that the document does not know is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.kernel.errors import CrossdockError, Invalid, Problem
from gateway.systems.proxied.document import Operation
from gateway.systems.proxied.schemas import Schemas, Validator, problems_of

ParseJson = Callable[[bytes], Any]

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,399})(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?")
_NOT_OURS: Final = frozenset({"accept", "content-type", "authorization"})  # OpenAPI 3.1, 4.8.12: not described so
_DELIMITERS: Final = {"spaceDelimited": " ", "pipeDelimited": "|"}
_MOST: Final = 200
_BOOLEANS: Final = {"true": True, "false": False}


class Rule(Struct, frozen=True, kw_only=True):
    """One parameter; `kind` and `inner` (of a list's items) are plain JSON types, or ``json`` with a media type."""

    name: str
    required: bool
    kind: str
    inner: str
    explode: bool
    delimiter: str
    deep: bool
    validator: Validator | None


class ParameterRules:
    """The parameters of one operation, by where they stand."""

    def __init__(self, operation: Operation, schemas: Schemas, parse_json: ParseJson, where: str) -> None:
        self._parse_json = parse_json
        self.path: dict[str, Rule] = {}
        self.query: dict[str, Rule] = {}
        self.header: dict[str, Rule] = {}
        self.cookie: dict[str, Rule] = {}
        places = {"path": self.path, "query": self.query, "header": self.header, "cookie": self.cookie}
        for parameter in operation.parameters:
            place, name = str(parameter.get("in")), str(parameter.get("name"))
            if place not in places or (place == "header" and name.lower() in _NOT_OURS):
                continue
            key = name.lower() if place == "header" else name
            places[place][key] = _rule(parameter, name, place, schemas, f"{where}: parameter {name}")
        self.deep = {f"{rule.name}[": rule for rule in self.query.values() if rule.deep}
        self.open = any(rule.kind == "object" and rule.explode and not rule.deep for rule in self.query.values())

    def check_query(self, query: bytes) -> list[Problem]:
        """What does not fit of a query string."""
        given: dict[str, list[str]] = {}
        deep: dict[str, dict[str, Any]] = {}
        problems: list[Problem] = []
        pairs = query.split(b"&", _MOST) if query else []
        if len(pairs) > _MOST:
            return [Problem(f"more than {_MOST} parameters", parameter="query")]
        for pair in filter(None, pairs):
            raw_name, _, raw_value = pair.partition(b"=")
            name, value = _text(raw_name), _text(raw_value)
            if name is None or value is None:
                problems.append(Problem("is not valid percent-encoded UTF-8 text", parameter=(name or "query")[:80]))
            elif name in self.query and not self.query[name].deep:
                given.setdefault(name, []).append(value)
            elif (inside := self._deep(name)) is not None:
                deep.setdefault(inside[0], {})[inside[1]] = value
            elif not self.open:
                known = ", ".join(sorted(self.query)) or "none"
                problems.append(Problem(f"is not known here; known are: {known}", parameter=name[:80]))
        for name, rule in self.query.items():
            found = deep.get(name) if rule.deep else given.get(name)
            problems += self._one(rule, found)
        return problems

    def check_texts(self, rules: Mapping[str, Rule], texts: Mapping[str, str]) -> list[Problem]:
        """What does not fit of the values of path, header or cookie parameters."""
        problems: list[Problem] = []
        for key, rule in rules.items():
            text = texts.get(key)
            problems += self._one(rule, None if text is None else [text])
        return problems

    def _deep(self, name: str) -> tuple[str, str] | None:
        for prefix, rule in self.deep.items():
            if name.startswith(prefix) and name.endswith("]"):
                return rule.name, name[len(prefix) : -1]
        return None

    def _one(self, rule: Rule, found: Any) -> list[Problem]:
        if found is None:
            return [Problem("is missing: give it", parameter=rule.name)] if rule.required else []
        if isinstance(found, list) and len(found) > 1 and not (rule.kind == "array" and rule.explode):
            return [Problem("is given twice: give it once", parameter=rule.name)]
        if rule.validator is None:
            return []
        try:
            value = found if isinstance(found, dict) else self._value(rule, found)
        except CrossdockError as error:
            return [Problem(error.detail[:300], parameter=rule.name)]
        return [] if rule.validator.is_valid(value) else problems_of(rule.validator, value, parameter=rule.name)

    def _value(self, rule: Rule, texts: list[str]) -> Any:
        if rule.kind == "json":
            return self._parse_json(texts[0].encode())
        if rule.kind == "array":
            parts: Iterable[str] = texts if rule.explode else texts[0].split(rule.delimiter)
            return [scalar(rule.inner, part) for part in parts]
        if rule.kind == "object":
            parts = texts[0].split(",")
            return dict(zip(parts[::2], parts[1::2], strict=False))
        return scalar(rule.kind, texts[0])


def scalar(kind: str, text: str) -> Any:
    """The JSON value that `text` means where `kind` is expected; the text itself where it cannot be one."""
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "number" and _NUMBER.fullmatch(text) and isfinite(number := float(text)):
        return number
    return _BOOLEANS.get(text, text) if kind == "boolean" else text


def invalid_parameters(problems: list[Problem]) -> Invalid:
    """400: the parameters do not fit."""
    return Invalid("the parameters do not fit this operation: see errors", code="request.parameters", problems=problems)


def _rule(parameter: Mapping[str, Any], name: str, place: str, schemas: Schemas, where: str) -> Rule:
    media: Mapping[str, Any] = parameter.get("content") or {}
    described = next(iter(media.values())) if media else parameter
    schema = described.get("schema")
    kind, items = schemas.kind_of(schema)
    style = str(parameter.get("style", "form" if place in ("query", "cookie") else "simple"))
    # A list in a header or path is separated by commas whether it explodes or not.
    explode = bool(parameter.get("explode", style == "form")) and place in ("query", "cookie")
    return Rule(
        name=name,
        required=bool(parameter.get("required", False)),
        kind="json" if media else kind,
        inner=schemas.kind_of(items)[0] if items else "string",
        explode=explode,
        delimiter=_DELIMITERS.get(style, ","),
        deep=style == "deepObject",
        validator=None if not media and schemas.admits_every_text(schema) else schemas.validator(schema, where),
    )


def _text(raw: bytes) -> str | None:
    if raw.isalnum():
        return raw.decode("ascii")
    if _BAD_ESCAPE.search(raw):
        return None
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text
