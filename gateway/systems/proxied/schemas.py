"""JSON Schema validators of a document, compiled once: formats asserted, references resolved, nothing fetched.

The schemas of OpenAPI 3.0 are a dialect of their own; they are rewritten to draft 2020-12 (`nullable`, boolean
`exclusiveMinimum`). Requests need no `readOnly` member and answers no `writeOnly` one, so each direction has its set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jsonschema_rs import (
    Draft202012Validator,
    FancyRegexOptions,
    ReferencingError,
    RegexOptions,
    Registry,
    ValidationError,
)

from gateway.kernel.errors import Misconfigured, Problem
from gateway.systems.proxied.document import Document

Validator = Draft202012Validator

_COMPONENTS: Final = "#/components/schemas/"
_MOST_PROBLEMS: Final = 20
_BACKTRACKING: Final = 50_000
_HOLDS_SCHEMA: Final = frozenset(
    {
        *("additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
_HOLDS_SCHEMAS: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
_HOLDS_LIST: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_LEFT_OUT: Final = frozenset({"discriminator", "example", "externalDocs", "nullable", "xml", "$schema", "$id", "id"})

_SAYS_NO_MORE: Final = frozenset({"type", "title", "description", "default", "example", "examples", "deprecated"})


class Schemas:
    """The validators of one document in one direction; `hidden` is the keyword of members that do not travel in it."""

    def __init__(self, document: Document, hidden: str) -> None:
        self.where = document.where
        self._document = document
        self._hidden = hidden
        self._resource = f"urn:crossdock:{hidden}"
        named = (document.content.get("components") or {}).get("schemas") or {}
        self._named: dict[str, Any] = named
        converted = {"components": {"schemas": {name: self._converted(schema) for name, schema in named.items()}}}
        try:
            self._registry = Registry([(self._resource, converted)])
        except (ReferencingError, ValueError) as error:
            raise Misconfigured(f"{document.where}: {str(error)[:300]}") from error
        self._made: dict[int, tuple[Any, Validator]] = {}

    def validator(self, schema: Any, where: str) -> Validator | None:
        """The validator of `schema`, None for one that admits everything; raises `Misconfigured` naming `where`."""
        if schema is None or schema is True or schema == {}:
            return None
        known = self._made.get(id(schema))
        if known is None:
            known = self._made[id(schema)] = schema, self._compiled(self._converted(schema), where)
        return known[1]

    def _compiled(self, schema: Any, where: str) -> Validator:
        try:
            return self._with(schema, RegexOptions())
        except ValidationError:
            pass  # perhaps a pattern that looks around: a bounded engine takes those
        except (ReferencingError, ValueError) as error:
            raise Misconfigured(f"{where}: {str(error)[:300]}") from error
        try:
            return self._with(schema, FancyRegexOptions(backtrack_limit=_BACKTRACKING))
        except (ReferencingError, ValidationError, ValueError) as error:
            raise Misconfigured(f"{where}: {str(error)[:300]}") from error

    def _with(self, schema: Any, patterns: RegexOptions | FancyRegexOptions) -> Validator:
        return Draft202012Validator(
            schema,
            registry=self._registry,
            validate_formats=True,
            offline=True,
            pattern_options=patterns,
            mask="the value",
        )

    def kind_of(self, schema: Any) -> tuple[str, Any]:
        """The plain type of a parameter (``string`` if it does not say) and, of an array, the schema of its items."""
        resolved = self._document.resolve(schema or {})
        for choice in (*resolved.get("allOf", ()), *resolved.get("anyOf", ()), *resolved.get("oneOf", ())):
            if "type" not in resolved:
                kind, items = self.kind_of(choice)
                if kind != "string":
                    return kind, items
        kinds = resolved.get("type", "string")
        if isinstance(kinds, list):
            kinds = next((kind for kind in kinds if kind != "null"), "string")
        return str(kinds), resolved.get("items")

    def admits_every_text(self, schema: Any) -> bool:
        """Whether any string fits, because nothing but its type is said of it."""
        said = self._document.resolve(schema or {})
        return said.get("type") == "string" and said.keys() <= _SAYS_NO_MORE

    def member_kinds(self, schema: Any) -> Mapping[str, tuple[str, str]]:
        """The plain types of an object's members, and of a list's items."""
        found: dict[str, tuple[str, str]] = {}
        for name, member in (self._document.resolve(schema or {}).get("properties") or {}).items():
            kind, items = self.kind_of(member)
            found[name] = kind, self.kind_of(items)[0] if items else "string"
        return found

    def _converted(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            reference = str(schema["$ref"])
            if not reference.startswith(_COMPONENTS):
                raise Misconfigured(
                    f"{self._document.where}: the schema reference {reference} does not lead to {_COMPONENTS}: "
                    "bundle the document first"
                )
            if reference.removeprefix(_COMPONENTS).split("/")[0].replace("~1", "/") not in self._named:
                raise Misconfigured(f"{self._document.where}: nothing stands at {reference}")
            rest = {} if self._document.is_3_0 else {key: value for key, value in schema.items() if key != "$ref"}
            return {**self._members(rest), "$ref": self._resource + reference}
        return self._members(schema)

    def _members(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in schema.items():
            if key in _LEFT_OUT and (self._document.is_3_0 or key not in ("$id", "$schema")):
                continue
            if key in _HOLDS_SCHEMA:
                made[key] = self._converted(value)
            elif key in _HOLDS_SCHEMAS and isinstance(value, dict):
                made[key] = {name: self._converted(inner) for name, inner in value.items()}
            elif key in _HOLDS_LIST and isinstance(value, list):
                made[key] = [self._converted(inner) for inner in value]
            else:
                made[key] = value
        self._leave_out_hidden(schema, made)
        if self._document.is_3_0:
            _from_3_0(schema, made)
        return made

    def _leave_out_hidden(self, schema: Mapping[str, Any], made: dict[str, Any]) -> None:
        properties = schema.get("properties")
        if isinstance(properties, dict) and isinstance(made.get("required"), list):
            travels = [
                name
                for name in made["required"]
                if not (isinstance(properties.get(name), dict) and properties[name].get(self._hidden) is True)
            ]
            made["required"] = travels


def _from_3_0(schema: Mapping[str, Any], made: dict[str, Any]) -> None:
    """OpenAPI 3.0.3, 4.7.24: null by `nullable`, exclusive bounds as booleans (draft 4)."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        flag = made.get(exclusive)
        if isinstance(flag, bool):
            del made[exclusive]
            if flag and bound in made:
                made[exclusive] = made.pop(bound)
    if schema.get("nullable") is True:
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list) and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]


def problems_of(validator: Validator, value: Any, *, parameter: str | None = None) -> list[Problem]:
    """What does not fit, at most 20 places: JSON pointers into a body, or the name of a parameter."""
    problems: list[Problem] = []
    for error in validator.iter_errors(value):
        pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in error.instance_path)
        problems.append(
            Problem(error.message[:300], parameter=parameter)
            if parameter is not None
            else Problem(error.message[:300], pointer=pointer)
        )
        if len(problems) == _MOST_PROBLEMS:
            break
    return problems
