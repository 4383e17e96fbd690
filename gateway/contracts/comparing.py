"""What differs between two publications of the same API, and whether it breaks a consumer of the older one.

Within a major version nothing may break: a field, operation, answer or value that goes, an input that takes less, an
output that gives more than it said, a new obligation, dearer or more guarded calls. New operations, optional inputs and
new fields of answers are additive (`docs/partner.md`: clients ignore fields that they do not know).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.contracts.changes import ANSWER, REQUEST, Change, Document, additive, breaking, ordered
from gateway.contracts.schema_changes import SchemaChanges

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_VARIABLE: Final = re.compile(r"\{[^}]*\}")


def compare_documents(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """The changes from one OpenAPI 3.1 document to another, breaking ones first."""
    return ordered(_Documents(Document(before), Document(after)).changes())


def compare_publications(
    before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]], *, now: datetime | None = None
) -> dict[str, list[Change]]:
    """Changes by document, of those that have any. A whole document may go when its sunset is past."""
    found: dict[str, list[Change]] = {}
    for name in sorted({*before, *after}):
        if name not in after:
            ended = _ended(before[name], now or datetime.now(UTC))
            found[name] = [additive(name, "api.ended", "its sunset is past")] if ended else [_gone(name)]
        elif name not in before:
            found[name] = [additive(name, "api.added", "is new")]
        else:
            found[name] = compare_documents(before[name], after[name])
    return {name: changes for name, changes in found.items() if changes}


def _gone(name: str) -> Change:
    return breaking(name, "api.removed", "is gone, and its sunset was not past")


def _ended(document: Mapping[str, Any], now: datetime) -> bool:
    told = document.get("info", {}).get("x-lifecycle", {}).get("sunset_at")
    try:
        return datetime.fromisoformat(str(told)) <= now
    except (TypeError, ValueError):
        return False


class _Documents:
    def __init__(self, before: Document, after: Document) -> None:
        self._before = before
        self._after = after

    def changes(self) -> Iterator[Change]:
        had, has = _operations(self._before, "paths"), _operations(self._after, "paths")
        for key, (place, operation) in had.items():
            if key in has:
                yield from self._operation(place, operation, has[key][1])
            else:
                yield breaking(place, "operation.removed", "is gone")
        for key, (place, _) in has.items():
            if key not in had:
                yield additive(place, "operation.added", "is new")
        yield from self._webhooks()
        yield from self._schemes()

    def _webhooks(self) -> Iterator[Change]:
        """What we send: its body is an output of ours."""
        had, has = _operations(self._before, "webhooks"), _operations(self._after, "webhooks")
        for key, (_, operation) in had.items():
            place = f"webhook {key[1]}"
            if key not in has:
                yield breaking(place, "webhook.removed", "is never sent any more")
                continue
            schemas = SchemaChanges(self._before, self._after)
            theirs, ours = (
                document.of(each.get("requestBody")).get("content", {})
                for document, each in ((self._before, operation), (self._after, has[key][1]))
            )
            yield from _contents(schemas, theirs, ours, answer=True, where=place)
        for key in has.keys() - had.keys():
            yield additive(f"webhook {key[1]}", "webhook.added", "is new")

    def _schemes(self) -> Iterator[Change]:
        had, has = (
            document.content.get("components", {}).get("securitySchemes", {})
            for document in (self._before, self._after)
        )
        for name in had.keys() & has.keys():
            if _bare(had[name]) != _bare(has[name]):
                yield breaking(f"security scheme {name}", "security.scheme", "works otherwise")

    def _operation(self, place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
        schemas = SchemaChanges(self._before, self._after)
        if old.get("operationId") != new.get("operationId"):
            told = f"{old.get('operationId')} → {new.get('operationId')}: generated clients call it so"
            yield breaking(place, "operation.id", told)
        if new.get("deprecated") and not old.get("deprecated"):
            yield additive(place, "operation.deprecated", "is deprecated")
        if new.get("x-cost", 1) != old.get("x-cost", 1):
            dearer = new.get("x-cost", 1) > old.get("x-cost", 1)
            told = f"takes {new.get('x-cost', 1)} of the limit, not {old.get('x-cost', 1)}"
            yield (breaking if dearer else additive)(place, "operation.cost", told)
        yield from self._security(place, old, new)
        yield from self._parameters(schemas, place, old, new)
        yield from self._body(schemas, place, old, new)
        yield from self._answers(schemas, place, old, new)

    def _security(self, place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
        had, has = (
            [{name: frozenset(scopes) for name, scopes in way.items()} for way in ways or [{}]]
            for ways in (
                old.get("security", self._before.content.get("security")),
                new.get("security", self._after.content.get("security")),
            )
        )
        for way in had:
            if not any(_suffices(way, other) for other in has):
                yield breaking(place, "security.tightened", f"{_way(way)} is no longer enough")
        for way in has:
            if not any(_suffices(way, other) for other in had):
                yield additive(place, "security.added", f"{_way(way)} is enough now")

    def _parameters(
        self, schemas: SchemaChanges, place: str, old: dict[str, Any], new: dict[str, Any]
    ) -> Iterator[Change]:
        had, has = _parameters(self._before, old), _parameters(self._after, new)
        for key, parameter in had.items():
            where = f"{place} {key[0]} {parameter['name']}"
            if key not in has:
                yield breaking(where, "parameter.removed", "is refused or ignored now")
                continue
            other = has[key]
            needed, needs = parameter.get("required", False), other.get("required", False)
            if needed != needs:
                told = "is required now" if needs else "may be left out now"
                yield (breaking if needs else additive)(where, "parameter.required", told)
            for word in ("style", "explode", "allowReserved"):
                if parameter.get(word) != other.get(word):
                    yield breaking(where, "parameter.style", f"{word}: {parameter.get(word)} → {other.get(word)}")
            yield from schemas.compare(parameter.get("schema", {}), other.get("schema", {}), REQUEST, where)
        for key, parameter in has.items():
            if key not in had:
                needs = parameter.get("required", False)
                told = "is new and required" if needs else "is new"
                where = f"{place} {key[0]} {parameter['name']}"
                yield (breaking if needs else additive)(where, "parameter.added", told)

    def _body(self, schemas: SchemaChanges, place: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
        had, has = self._before.of(old.get("requestBody")), self._after.of(new.get("requestBody"))
        where = f"{place} body"
        if had and not has:
            yield breaking(where, "body.removed", "is not taken any more")
            return
        if has.get("required", False) and not had.get("required", False):
            yield breaking(where, "body.required", "is required now")
        elif had and had.get("required", False) and not has.get("required", False):
            yield additive(where, "body.required", "may be left out now")
        elif has and not had:
            yield additive(where, "body.added", "is taken now")
        if had:
            yield from _contents(schemas, had.get("content", {}), has.get("content", {}), answer=False, where=where)

    def _answers(
        self, schemas: SchemaChanges, place: str, old: dict[str, Any], new: dict[str, Any]
    ) -> Iterator[Change]:
        had, has = old.get("responses", {}), new.get("responses", {})
        for status, answer in had.items():
            where = f"{place} {status}"
            if status not in has:
                change = breaking if _succeeds(status) else additive
                yield change(where, "answer.removed", "is not answered any more")
                continue
            theirs, ours = self._before.of(answer), self._after.of(has[status])
            yield from _contents(schemas, theirs.get("content", {}), ours.get("content", {}), answer=True, where=where)
            yield from self._headers(schemas, where, theirs.get("headers", {}), ours.get("headers", {}))
        for status in has:
            if status not in had:
                change = breaking if _succeeds(status) else additive
                yield change(f"{place} {status}", "answer.added", "is new")

    def _headers(
        self, schemas: SchemaChanges, place: str, old: dict[str, Any], new: dict[str, Any]
    ) -> Iterator[Change]:
        theirs, ours = ({name.lower(): each for name, each in headers.items()} for headers in (old, new))
        for name, header in theirs.items():
            where = f"{place} header {name}"
            if name not in ours:
                yield breaking(where, "header.removed", "is gone")
                continue
            had, has = self._before.of(header), self._after.of(ours[name])
            yield from schemas.compare(had.get("schema", {}), has.get("schema", {}), ANSWER, where)
        for name in ours.keys() - theirs.keys():
            yield additive(f"{place} header {name}", "header.added", "is new")


def _contents(
    schemas: SchemaChanges, old: dict[str, Any], new: dict[str, Any], *, answer: bool, where: str
) -> Iterator[Change]:
    for kind, media in old.items():
        if kind not in new:
            yield breaking(where, "content_type.removed", f"{kind} is gone")
        else:
            side = ANSWER if answer else REQUEST
            yield from schemas.compare(media.get("schema", {}), new[kind].get("schema", {}), side, where)
    for kind in new.keys() - old.keys():
        yield additive(where, "content_type.added", f"{kind} is new")


def _operations(document: Document, section: str) -> dict[tuple[str, str], tuple[str, dict[str, Any]]]:
    """Operations by method and path, whatever its variables are called; with their place as it is written."""
    found: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for path, written in document.content.get(section, {}).items():
        item = document.of(written)
        shared = item.get("parameters", [])
        for method in _METHODS:
            if method in item:
                operation = {**item[method], "parameters": [*shared, *item[method].get("parameters", [])]}
                found[(method, _VARIABLE.sub("{}", path))] = (f"{method.upper()} {path}", {**operation, "path": path})
    return found


def _parameters(document: Document, operation: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Parameters by place and name; those of the path by their position, for nobody sends their names."""
    positions = {name[1:-1]: str(number) for number, name in enumerate(_VARIABLE.findall(operation["path"]))}
    found = {}
    for each in map(document.of, operation["parameters"]):
        name = each["name"].lower() if each["in"] == "header" else each["name"]
        found[(each["in"], positions.get(name, name) if each["in"] == "path" else name)] = each
    return found


def _suffices(way: Mapping[str, frozenset[str]], asked: Mapping[str, frozenset[str]]) -> bool:
    return all(name in way and scopes <= way[name] for name, scopes in asked.items())


def _way(way: Mapping[str, frozenset[str]]) -> str:
    return " and ".join(f"{name} {' '.join(sorted(scopes))}".strip() for name, scopes in way.items()) or "nothing"


def _succeeds(status: str) -> bool:
    return str(status)[:1] in ("1", "2", "3", "d")


def _bare(scheme: dict[str, Any]) -> Any:
    """A scheme without words, and without its list of scopes: operations say which they ask for."""
    bare = {word: value for word, value in scheme.items() if word != "description"}
    flows = bare.get("flows", {})
    bare["flows"] = {name: {k: v for k, v in flow.items() if k != "scopes"} for name, flow in flows.items()}
    return bare
