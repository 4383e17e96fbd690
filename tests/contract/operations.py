"""Every operation of the published contracts, and requests for it made of named values.

A parameter or a required member is filled by its name. One that nobody has named yet is an error: whoever adds an
operation says what its inputs are, in `isolation_world.py`, before anybody can call it isolated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from gateway.contracts.reading import read_document

CONTRACTS = Path(__file__).parents[2] / "openapi"
Values = Mapping[str, Any]


class UnclassifiedError(Exception):
    """An input that the walk does not know."""


@dataclass(frozen=True)
class Operation:
    """One operation of one document."""

    zone: str
    method: str
    template: str
    definition: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def route(self) -> str:
        return f"{self.method} {self.template}"

    def names(self, place: str) -> dict[str, bool]:
        """The parameters of one place (``path``, ``query``, ``header``) by name, and whether they are required."""
        return {
            each["name"]: each.get("required", False)
            for each in self.definition.get("parameters", ())
            if each["in"] == place
        }

    @property
    def body_schema(self) -> Mapping[str, Any] | None:
        return None if self.body_type is None else self.definition["requestBody"]["content"][self.body_type]["schema"]

    @property
    def body_type(self) -> str | None:
        """The content type of the body; the first where there are several."""
        return next(iter(self.definition.get("requestBody", {"content": {}})["content"]), None)

    def optional(self) -> set[str]:
        """The names of what may be left out: query parameters and members of the body."""
        found = {name for name, required in self.names("query").items() if not required}
        if self.body_schema is not None:
            schema = {"properties": {}, **self._resolved(self.body_schema)}
            found |= set(schema["properties"]) - set(schema.get("required", ()))
        return found

    def request(self, values: Values, *, also: frozenset[str] = frozenset(), body: bool = True) -> httpx.Request:
        """The smallest request of `values`, and of the optional inputs those in `also`."""
        path = self.template
        for name in self.names("path"):
            path = path.replace(f"{{{name}}}", quote(str(self._named(values, name)), safe=""))
        query = {
            name: self._named(values, name)
            for name, required in self.names("query").items()
            if required or name in also
        }
        # A precondition and a key are always sent: without them nothing is looked up.
        headers = {name: str(self._named(values, name)) for name in self.names("header") if name != "If-None-Match"}
        schema = self.body_schema
        sent = (
            None
            if schema is None or self.body_type == "text/csv"
            else self._instance(schema, values, "", also)
            if body
            else {}
        )
        if self.body_type is not None:
            headers["Content-Type"] = self.body_type
        if self.body_type == "text/csv":
            text = str(self._named(values, self.definition["operationId"])) if body else ""
            return httpx.Request(self.method, f"http://gateway{path}", params=query, headers=headers, content=text)
        return httpx.Request(self.method, f"http://gateway{path}", params=query, headers=headers, json=sent)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for each in schema.get("anyOf", ()) or schema.get("oneOf", ()):
            if each.get("type") != "null":
                return self._resolved(each)
        return schema

    def _instance(self, schema: Mapping[str, Any], values: Values, name: str, also: frozenset[str]) -> Any:
        title = schema.get("$ref", "").rpartition("/")[2]
        schema = self._resolved(schema)
        if schema.get("type") == "object" and "properties" in schema:
            wanted = [*schema.get("required", ()), *sorted(also & set(schema["properties"]))]
            return {
                each: self._member(schema["properties"][each], values, title, each) for each in dict.fromkeys(wanted)
            }
        if schema.get("type") == "array":
            return [self._instance(schema["items"], values, name, frozenset())]
        if "enum" in schema:
            return schema["enum"][0]
        if name in values:
            return values[name]
        raise self._unclassified(name)

    def _member(self, schema: Mapping[str, Any], values: Values, title: str, name: str) -> Any:
        """A member of an object, by its own name or as ``Title.name`` where one name means two things."""
        particular = f"{title}.{name}"
        return values[particular] if particular in values else self._instance(schema, values, name, frozenset())

    def _named(self, values: Values, name: str) -> Any:
        if name not in values:
            raise self._unclassified(name)
        return values[name]

    def _unclassified(self, name: str) -> UnclassifiedError:
        return UnclassifiedError(f"{self.route}: say in isolation_world.py what {name!r} is, and whose")


def all_operations() -> Iterator[Operation]:
    """Those of every published document."""
    for path in sorted(CONTRACTS.glob("*/*/v*.yaml")):
        document = read_document(path.name, path.read_bytes())
        for template, item in document["paths"].items():
            for method, definition in item.items():
                yield Operation(path.parts[-3], method.upper(), template, definition, document)
