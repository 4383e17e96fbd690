"""Reading an OpenAPI document (3.0 or 3.1, JSON or YAML) into the operations that can be served."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

from gateway.kernel.errors import Misconfigured
from gateway.kernel.pointers import standing_at

METHODS: Final = ("get", "put", "post", "delete", "patch", "head")
SAFE: Final = frozenset({"GET", "HEAD"})
_LARGEST: Final = 32 * 1024 * 1024
_SEGMENT: Final = re.compile(r"\{(?P<name>[A-Za-z0-9_.-]+)\}|[^{}]+")
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_BOOLEAN: Final = "tag:yaml.org,2002:bool"
_DEEPEST_REF: Final = 20


class Operation(Struct, frozen=True, kw_only=True):
    """One operation: `identity` names it, `path` is its template; parameters are resolved, its schemas are not.

    `parameters` are those of path and operation; `bodies` maps media types to schemas (None: any), None where it takes
    no body; `answers` maps ``200``, ``4XX`` or ``default`` to (media types with schemas, names of its header fields).
    """

    identity: str
    method: str
    path: str
    parameters: tuple[Mapping[str, Any], ...]
    bodies: Mapping[str, Any] | None
    body_required: bool
    answers: Mapping[str, tuple[Mapping[str, Any], frozenset[str]]]


class Document:
    """A whole document. `content` is what was read; `where` names it in errors."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, dict) or not isinstance(content.get("paths"), dict):
            raise Misconfigured(f"{where} is not an OpenAPI document: it has no paths")
        version = str(content.get("openapi", ""))
        if not version.startswith(("3.0", "3.1")):
            raise Misconfigured(f"{where} must say openapi: 3.0.x or 3.1.x, not {version or 'nothing'}")
        self.content: dict[str, Any] = content
        self.where = where
        self.is_3_0 = version.startswith("3.0")

    def operations(self) -> Iterator[Operation]:
        """Every operation but OPTIONS and TRACE, which the door answers itself. Raises `Misconfigured`."""
        for path, item in self.content["paths"].items():
            if str(path).startswith("x-"):
                continue
            resolved = self.resolve(item)
            for method in METHODS:
                if isinstance(resolved.get(method), dict):
                    yield self._operation(str(path), method.upper(), resolved, resolved[method])

    def _operation(self, path: str, method: str, item: Mapping[str, Any], content: Mapping[str, Any]) -> Operation:
        parameters: dict[tuple[str, str], Mapping[str, Any]] = {}
        for given in (*item.get("parameters", ()), *content.get("parameters", ())):
            parameter = self.resolve(given)
            parameters[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        body = self.resolve(content.get("requestBody") or {})
        answers = {
            str(status): self._answer(self.resolve(answer))
            for status, answer in (content.get("responses") or {}).items()
        }
        return Operation(
            identity=str(content.get("operationId") or f"{method} {path}"),
            method=method,
            path=path,
            parameters=tuple(parameters.values()),
            bodies=_media_types(body) if body else None,
            body_required=bool(body.get("required", False)),
            answers=answers,
        )

    def _answer(self, answer: Mapping[str, Any]) -> tuple[Mapping[str, Any], frozenset[str]]:
        return _media_types(answer), frozenset(str(name).lower() for name in answer.get("headers") or {})

    def resolve(self, value: Any) -> Mapping[str, Any]:
        """`value`, or what its ``$ref`` inside this document names."""
        for _ in range(_DEEPEST_REF):
            if not isinstance(value, dict):
                raise Misconfigured(f"{self.where}: an object is expected where {str(value)[:60]!r} stands")
            if "$ref" not in value:
                return value
            value = self._named(str(value["$ref"]))
        raise Misconfigured(f"{self.where}: its references go in a circle")

    def _named(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise Misconfigured(f"{self.where} refers to {reference}: bundle it into one document first")
        try:
            return standing_at(self.content, reference)
        except KeyError:
            raise Misconfigured(f"{self.where}: nothing stands at {reference}") from None


def load_document(path: Path, *, setting: str) -> Document:
    """The document in a file; raises `Misconfigured` naming `setting`."""
    try:
        if path.stat().st_size > _LARGEST:
            raise Misconfigured(f"{setting}: {path} is larger than {_LARGEST} bytes")
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise Misconfigured(f"{setting}: cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Misconfigured(f"{setting}: {path} is neither JSON nor YAML: {str(error)[:200]}") from error
    return Document(content, setting)


def segments_of(path: str, where: str) -> tuple[str, ...]:
    """The segments of a template, parameters as ``{name}``; `Misconfigured` for what the door cannot match exactly."""
    segments = path.strip("/").split("/") if path != "/" else []
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise Misconfigured(
                f"{where}: the path {path} mixes text and parameters in one segment, or has an empty one; leave it "
                "out with exclude"
            )
    return tuple(segments)


def _media_types(value: Mapping[str, Any]) -> dict[str, Any]:
    content = value.get("content") or {}
    return {str(kind).lower().strip(): (media or {}).get("schema") for kind, media in content.items()}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as JSON Schema sees it: no dates, and only true and false are booleans (YAML 1.2, core schema)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_TIMESTAMP, _BOOLEAN)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
