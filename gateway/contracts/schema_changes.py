"""What differs between two JSON Schemas (draft 2020-12, as OpenAPI 3.1 has it), seen by who sends or who receives.

Every keyword that differs is judged: known ones as narrower or wider, annotations as nothing, all others as breaking.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final

from gateway.contracts.changes import Change, Document, Side, additive, breaking

_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_WORDS: Final = ("pattern", "contentEncoding", "contentMediaType", "multipleOf")
_ANNOTATIONS: Final = frozenset(
    {"$comment", "$ref", "deprecated", "description", "discriminator", "example", "examples", "externalDocs", "title"}
)
_JUDGED: Final = frozenset(
    {
        *(*_UPPER, *_LOWER, *_WORDS, "additionalProperties", "allOf", "anyOf", "const", "default", "enum", "format"),
        "contentSchema",
        *("items", "not", "nullable", "oneOf", "properties", "propertyNames", "required", "type", "uniqueItems"),
    }
)
_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_WIDER_FORMATS: Final = frozenset({("int32", "int64"), ("float", "double"), ("uri", "uri-reference")})


class SchemaChanges:
    """Compares schemas of two documents; each pair of references once for each way it travels."""

    def __init__(self, before: Document, after: Document) -> None:
        self._before = before
        self._after = after
        self._seen: set[tuple[str, str, bool]] = set()

    def compare(self, before: Any, after: Any, side: Side, where: str) -> Iterator[Change]:
        """The differences, at `where`."""
        old, old_name = self._before.resolved(before)
        new, new_name = self._after.resolved(after)
        if old_name is not None and new_name is not None:
            pair = (old_name, new_name, side.takes)
            if pair in self._seen:
                return
            self._seen.add(pair)
        if any(word in schema for schema in (old, new) for word in ("anyOf", "oneOf")):
            yield from self._alternatives(old, new, side, where)
            return
        yield from _types(old, new, side, where)
        yield from _values(old, new, side, where)
        yield from _limits(old, new, side, where)
        yield from _defaults(old, new, side, where)
        yield from self._inside(old, new, side, where)
        yield from _unknown(old, new, side, where)

    def _inside(self, old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
        yield from self._properties(old, new, side, where)
        yield from self._others(old, new, side, where)
        parts: Iterator[tuple[Any, Any]] = zip_longest(old.get("allOf", ()), new.get("allOf", ()), fillvalue={})
        for each, other in parts:
            yield from self.compare(each, other, side, where)
        for word, inner, what in (("items", f"{where}/*", "members are"), ("contentSchema", where, "content is")):
            if word in old and word in new:
                yield from self.compare(old[word], new[word], side, inner)
            elif word in old or word in new:
                grown = side.wider if word in old else side.narrower
                yield grown(where, word, f"the {what} {'no longer' if word in old else 'now'} described")

    def _properties(self, old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
        had, has = old.get("properties", {}), new.get("properties", {})
        needed, needs = frozenset(old.get("required", ())), frozenset(new.get("required", ()))
        for name in [*had, *(needed - had.keys())]:
            place = f"{where}/{name}"
            if name in had and name not in has:
                yield breaking(place, f"{side}.field_removed", "is gone")
                continue
            if name in had:
                yield from self.compare(had[name], has[name], side, place)
            if (name in needed) != (name in needs):
                changed = side.narrower if name in needs else side.wider
                yield changed(place, "required", "is required now" if name in needs else "may be left out now")
        for name in [*(name for name in has if name not in had), *sorted(needs - had.keys() - has.keys() - needed)]:
            place = f"{where}/{name}"
            if side.takes and name in needs:
                yield breaking(place, "request.field_required", "is new and required")
            else:
                yield additive(place, f"{side}.field_added", "is new")

    def _others(self, old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
        for word in ("additionalProperties", "propertyNames"):
            had, has = old.get(word, True), new.get(word, True)
            if isinstance(had, dict) and isinstance(has, dict):
                yield from self.compare(had, has, side, f"{where}/*")
            elif had != has:
                openness = (_openness(had), _openness(has))
                changed = side.narrower if openness[1] < openness[0] else side.wider
                yield changed(where, "other_fields", f"{word}: {_told(had)} → {_told(has)}")

    def _alternatives(self, old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
        yield from _defaults(old, new, side, where)
        had, has = _branches(old), _branches(new)
        same = [branch for branch in had if branch in has]
        rest = [branch for branch in had if branch not in same]
        left = [branch for branch in has if branch not in same]
        for branch in same:
            yield from self.compare(branch, branch, side, where)
        for branch in rest:
            key = _key(self._before, branch)
            match = next((other for other in left if _key(self._after, other) == key), None)
            if match is None:
                yield side.narrower(where, "alternative_removed", f"is no longer {key}")
            else:
                left.remove(match)
                yield from self.compare(branch, match, side, where)
        for branch in left:
            yield side.wider(where, "alternative_added", f"may also be {_key(self._after, branch)}")


def _types(old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
    had, has = _type_set(old), _type_set(new)
    gone, come = had - has, has - had
    if "number" in has:
        gone -= {"integer"}
    if "number" in had:
        come -= {"integer"}
    told = " → ".join("anything" if types == _TYPES else _told(sorted(types)) for types in (had, has))
    if gone and come:
        yield side.other(where, "type", told)
    elif gone:
        yield side.narrower(where, "type", told)
    elif come:
        yield side.wider(where, "type", told)


def _type_set(schema: dict[str, Any]) -> frozenset[str]:
    told = schema.get("type")
    found = frozenset([told] if isinstance(told, str) else told or _implied(schema))
    return found | {"null"} if schema.get("nullable") is True else found


def _implied(schema: dict[str, Any]) -> frozenset[str]:
    """The types of enum and const, where nothing else says them."""
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return _TYPES if values is None else frozenset(names.get(type(value), "object") for value in values)


def _values(old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
    had, has = _enumerated(old), _enumerated(new)
    if had is None or has is None:
        if had is not None:
            yield side.wider(where, "enum", "is no longer one of few values")
        if has is not None:
            yield side.narrower(where, "enum", f"is one of {_told(has)} now")
        return
    for value in (value for value in had if value not in has):
        # In an answer as well: somebody waits for this value.
        yield breaking(where, f"{side}.enum_removed", f"is never {_told(value)} any more")
    for value in (value for value in has if value not in had):
        yield side.wider(where, "enum_added", f"may be {_told(value)}")


def _enumerated(schema: dict[str, Any]) -> list[Any] | None:
    found: list[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
    return found


def _limits(old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
    for word in (*_UPPER, *_LOWER):
        had, has = old.get(word), new.get(word)
        if had == has:
            continue
        lower = has is not None and (had is None or (has > had if word in _LOWER else has < had))
        yield (side.narrower if lower else side.wider)(where, word, f"{word}: {_told(had)} → {_told(has)}")
    for word in (*_WORDS, "format", "not"):
        had, has = old.get(word), new.get(word)
        if had == has:
            continue
        told = f"{word}: {_told(had)} → {_told(has)}"
        if had is None or (has, had) in _WIDER_FORMATS:
            yield side.narrower(where, word, told)
        elif has is None or (had, has) in _WIDER_FORMATS:
            yield side.wider(where, word, told)
        else:
            yield side.other(where, word, told)
    if bool(old.get("uniqueItems")) != bool(new.get("uniqueItems")):
        changed = side.narrower if new.get("uniqueItems") else side.wider
        yield changed(where, "uniqueItems", "members are distinct" if new.get("uniqueItems") else "members may repeat")


def _defaults(old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
    if side.takes and old.get("default") != new.get("default") and "default" in old:
        told = f"left out, it means {_told(new.get('default'))}, not {_told(old['default'])}"
        yield breaking(where, "request.default", told)


def _unknown(old: dict[str, Any], new: dict[str, Any], side: Side, where: str) -> Iterator[Change]:
    for word in sorted((old.keys() | new.keys()) - _ANNOTATIONS - _JUDGED):
        if not word.startswith("x-") and old.get(word) != new.get(word):
            yield side.other(where, "keyword", f"{word} differs, and nobody can say what that means")


def _branches(schema: dict[str, Any]) -> list[Any]:
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return list(schema[word])
    return [{word: value for word, value in schema.items() if word not in _ANNOTATIONS and word != "default"}]


def _key(document: Document, branch: Any) -> str:
    """What an alternative is known by: its reference, or its tag, or its type and format."""
    schema, name = document.resolved(branch)
    if name is not None:
        return name.rpartition("/")[2]
    tags = [f"{field} {inner['const']}" for field, inner in schema.get("properties", {}).items() if "const" in inner]
    return " ".join(tags) or " ".join([*sorted(_type_set(schema)), str(schema.get("format", ""))]).strip()


def _openness(value: Any) -> int:
    return 0 if value is False else 1 if isinstance(value, dict) and value else 2


def _told(value: Any) -> str:
    if value is None:
        return "none"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}…"  # noqa: PLR2004 - a line of the table
